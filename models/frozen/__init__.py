"""Frozen pretrained networks: one module that freezes them, and one interface for sound and text."""
