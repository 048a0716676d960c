"""Stage 2a: networks, each beside its Spec; no tables, no YAML, no Ray."""
