"""Experimentes over made-up settings, for tests that train nothing."""

from pathlib import Path

from pydantic import TypeAdapter

from tests.training import StubTraining
from utils.tune_utils import Distribution, Experiment, RaySpec


def search_for(folder: Path, distributions: dict, num_samples: int = 1, seed: int = 0, **ray) -> Experiment:
    """A search in `folder`."""
    spec = RaySpec(num_samples=num_samples, **ray)
    run = {
        "output_root": "runs",
        "optimizer": {"lr": 0.5, "weight_decay": 0.0},
        "training": {"epochs": 2, "seed": seed},
        "data": {"root": "corpus", "features": "features", "workers": 0, "splits": {"eval": "evaluation"}},
        "search": distributions,
        "ray": spec.model_dump(mode="json"),
    }
    parsed = TypeAdapter(dict[str, Distribution]).validate_python(distributions)
    return Experiment(run, parsed, spec, StubTraining(epochs=2, seed=seed, select_on="val_loss"), folder, data="digest")
