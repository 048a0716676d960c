"""Benchmarks, each compared with a plain reference in the same run: `python -m benchmarks` runs them all."""
