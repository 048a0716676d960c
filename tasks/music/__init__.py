"""Autoencoders of music: embeddings of tracks that are learned from their sound or from hand-crafted features."""
