"""Files of weights: write and read `pretrained_models/*.pth`, and read checkpoints of other programs."""

from __future__ import annotations

from utils.weight_utils.files import check_file, check_names, load_file, save_file
from utils.weight_utils.states import (
    check_values,
    key_problems,
    load_exactly,
    read_foreign,
    read_weights,
    repair_of,
    write_weights,
)

__all__ = [
    "check_file",
    "check_names",
    "check_values",
    "key_problems",
    "load_exactly",
    "load_file",
    "read_foreign",
    "read_weights",
    "repair_of",
    "save_file",
    "write_weights",
]
