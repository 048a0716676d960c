"""One trial, in a process of its own, or in several that Ray Train starts."""

from __future__ import annotations

import logging
import sys
import traceback
from typing import Any

from utils.model_utils import DivergedError
from utils.model_utils.trials import TrialEnd, write_end
from utils.tune_utils.rank import TrialStart, newest_epoch, train_rank
from utils.tune_utils.ranks_of_trial import LostRankError, train_ranks

FAILED = "failed"  # key of what a trial returns when it has failed: the traceback


def train_trial(config: dict[str, Any], start: TrialStart) -> dict[str, str] | None:
    """Train a trial from its newest whole checkpoint on; a trial that diverges is marked, and ends well.

    Returns:
        None when it has ended; FAILED -> the traceback of an error that would come again.
    Raises:
        LostRankError: a rank is gone; Ray Tune may start the trial again.
    """
    from ray import tune

    logging.getLogger("ray.train").setLevel(logging.WARNING)
    exit_quietly()
    folder = start.folder / config["trial"]["name"]
    train = train_rank if start.spec.workers_per_trial == 1 else train_ranks
    try:
        train(config, start, lambda metrics: tune.report({"metrics": metrics}))
    except DivergedError as error:
        write_end(folder, TrialEnd("diverged", newest_epoch(folder), str(error)))
    except LostRankError:
        raise
    except Exception:  # noqa: BLE001 - Ray Tune would start the trial again; the search reports it
        return {FAILED: traceback.format_exc()}
    return None


def exit_quietly() -> None:
    """Ray ends a process by raising SystemExit wherever it is; in a destructor, Python would print a traceback."""
    show = sys.unraisablehook

    def hook(unraisable: sys.UnraisableHookArgs) -> None:
        if not issubclass(unraisable.exc_type, SystemExit):
            show(unraisable)

    sys.unraisablehook = hook
