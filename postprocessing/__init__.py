"""Stage 3: a trial folder to scores, metrics, tables and pages."""
