"""Random states of the ranks that train together: each draws numbers of its own, and goes on with them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from utils.model_utils.random_states import random_state, restore_random_state, seed_everything
from utils.model_utils.ranks import of_every_rank, rank, ranks

_OF_ALL = "random_of_ranks"  # section of a checkpoint that several ranks have written
_MAX_SEED = 2**63


def seed_of_rank(seed: int, epoch: int = 0) -> int:
    """Return the seed of this rank: the run's own on the first, and others elsewhere, so that dropout differs."""
    return (seed + rank() * 1_000_003 + (epoch * 7_919 if rank() else 0)) % _MAX_SEED


def random_state_of_ranks() -> dict[str, Any]:
    """Return the sections of a checkpoint: this rank's state and, of several ranks, those of all."""
    states = of_every_rank(random_state())
    return {"random": states[0]} | ({_OF_ALL: states} if ranks() > 1 else {})


def restore_ranks(state: Mapping[str, Any], seed: int, checkpoint: Path) -> None:
    """Restore the random generators of this rank.

    Where the checkpoint was written by another number of ranks, the first goes on with the first's numbers, and the
    others start with new ones.

    Args:
        state: the checkpoint.
        seed: training.seed.
        checkpoint: its path, for messages.
    Raises:
        ArtefactError: the state is broken.
    """
    found = state.get(_OF_ALL)
    states = found if isinstance(found, list) else []
    written_by = max(len(states), 1)
    if written_by == ranks() and ranks() > 1:
        restore_random_state(states[rank()], checkpoint)
        return
    restore_random_state(state.get("random"), checkpoint)
    if written_by != ranks() and rank() == 0:
        print(
            f"the checkpoint was written by {written_by} workers, and {ranks()} go on: batches stay the same, dropout "
            "draws other numbers",
            flush=True,
        )
    if rank() > 0:
        seed_everything(seed_of_rank(seed, int(state["epoch"])))
