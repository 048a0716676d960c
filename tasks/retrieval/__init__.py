"""The room of the systems that train a dual encoder: retrieval and the CLAP projection."""
