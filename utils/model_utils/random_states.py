"""The state of every random generator: seeded, saved, restored."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from utils.cli_utils import ArtefactError


def random_state() -> dict[str, Any]:
    """The state of every random generator, as tensors and plain values."""
    kind, keys, position, has_gauss, gauss = np.random.get_state(legacy=True)  # noqa: NPY002 - libraries draw from it
    version, numbers, python_gauss = random.getstate()
    return {
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        "numpy": [str(kind), torch.from_numpy(np.asarray(keys).astype(np.int64)), position, has_gauss, float(gauss)],
        "python": [version, list(numbers), python_gauss],
    }


def restore_random_state(state: Any, checkpoint: Path) -> None:
    """Restore every random generator; print a line where the saved states do not fit the GPUs of this machine.

    Args:
        state: what `random_state` gave.
        checkpoint: its path, for messages.
    Raises:
        ArtefactError: the state is broken.
    """
    try:
        set_random_state(state)
    except (TypeError, ValueError, LookupError, AttributeError, OverflowError, RuntimeError) as error:
        raise ArtefactError(
            f"{checkpoint}: its random states are not those of this version ({error}); use another checkpoint, or "
            "train again"
        ) from error


def set_random_state(state: dict[str, Any]) -> None:
    """Set every random generator to what `random_state` gave."""
    torch.set_rng_state(state["torch"])
    _restore_cuda(state["cuda"])
    kind, keys, *rest = state["numpy"]
    np.random.set_state((kind, keys.numpy().astype(np.uint32), *rest))  # noqa: NPY002
    version, numbers, gauss = state["python"]
    random.setstate((version, tuple(numbers), gauss))


def _restore_cuda(states: Sequence[Tensor]) -> None:
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if len(states) == count:
        torch.cuda.set_rng_state_all(list(states))
    else:
        print(
            f"the checkpoint holds the random states of {len(states)} GPUs, here are {count}: theirs start from "
            "training.seed again, so that the run goes on a little differently than on the first machine",
            flush=True,
        )


def seed_everything(seed: int) -> None:
    """Seed Python, numpy and torch (all devices)."""
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002 - libraries draw from it
    torch.manual_seed(seed)
