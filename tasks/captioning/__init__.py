"""Captioning: a frozen encoder's frames, an adapter that learns, a frozen language model that writes."""
