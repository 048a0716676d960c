"""Stage 1: raw files to features on disk; one script writes one kind of file."""
