"""Pretrained networks that never learn: one class that holds them still, and one interface for sound and text."""
