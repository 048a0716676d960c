"""Trials that are drawn one after the other from what earlier ones have reported: `ray.search_alg: optuna`.

Optuna's own state is not kept. Before each draw the trials on disk are told to it again, and the draw is seeded by the
run's seed and the number of the trial. So a resumed search draws what one that was never interrupted would have drawn.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping
from typing import Any

from utils.model_utils.training_spec import Best
from utils.model_utils.trials import has_diverged, read_end, read_history
from utils.tune_utils.draws import Draw, ray_domain
from utils.tune_utils.spec import Distribution, Experiment


def suggest(experiment: Experiment, trials: Mapping[str, Draw]) -> Draw:
    """Draw the next trial.

    Args:
        experiment: with its distributions, none of which is a grid.
        trials: name -> draw of those before it; each that has ended counts, by the best value that it has reported.
    """
    import numpy as np
    import optuna
    from ray.tune.search.optuna import OptunaSearch

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    logging.getLogger("ray.tune.search.optuna").setLevel(logging.ERROR)
    of, training = experiment.distributions, experiment.training
    space = OptunaSearch.convert_search_space({key: ray_domain(distribution) for key, distribution in of.items()})
    seed = int(np.random.SeedSequence([training.seed, len(trials)]).generate_state(1)[0])
    search = OptunaSearch(space, metric=training.select_on, mode=training.mode, seed=seed)
    for name, draw in trials.items():
        folder = experiment.folder / name
        if read_end(folder) is None:
            continue
        best = Best(training.mode)
        for row in read_history(folder):
            best.update(row.get(training.select_on, math.nan), int(row["epoch"]))
        drawn = {key: _to_optuna(distribution, draw[key]) for key, distribution in of.items()}
        failed: Any = best.value if not has_diverged(folder) else None  # Optuna ranks those without a value last
        search.add_evaluated_point(drawn, failed, pruned=failed is None)
    found = search.suggest("next") or {}
    return {key: _from_optuna(distribution, found[key]) for key, distribution in of.items()}


def _to_optuna(distribution: Distribution, value: Any) -> Any:
    """The items of a list are their numbers."""
    name, values = distribution.only()
    return values.index(value) if name == "choice" else value


def _from_optuna(distribution: Distribution, drawn: Any) -> Any:
    name, values = distribution.only()
    if name == "choice":
        return values[drawn]
    if name == "qloguniform":  # Optuna has no steps in the logarithm
        low, high, step = values
        return min(max(round(drawn / step) * step, low), high)
    return drawn


def searcher_of(next_trial: Callable[[], dict[str, Any] | None], at_a_time: int) -> Any:
    """Ray Tune's view: it asks for a trial when there is room for one.

    Args:
        next_trial: draws the next trial's config and writes it down; None: there are no more.
        at_a_time: how many trials run side by side.
    """
    from ray.tune.search import ConcurrencyLimiter, Searcher

    class Suggestions(Searcher):
        def set_search_properties(self, metric: str | None, mode: str | None, config: Any, **spec: Any) -> bool:
            del metric, mode, config, spec
            return True

        def suggest(self, trial_id: str) -> Any:
            del trial_id
            trial = next_trial()
            return Searcher.FINISHED if trial is None else {"trial": trial}

        def on_trial_complete(self, trial_id: str, result: Any = None, error: bool = False) -> None:
            del trial_id, result, error  # its rows are on disk

        def save(self, checkpoint_path: str) -> None:
            del checkpoint_path  # trials.json and the rows are what a resumed search needs

    return ConcurrencyLimiter(Suggestions(), max_concurrent=at_a_time)
