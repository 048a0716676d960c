"""Searches over made-up settings, for tests that train nothing."""

from pathlib import Path

from pydantic import TypeAdapter

from utils.model_utils import TrainingSpec
from utils.tune_utils import Distribution, RaySpec, Search


def search_for(folder: Path, distributions: dict, num_samples: int = 1, seed: int = 0, **ray) -> Search:
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
    return Search(run, parsed, spec, TrainingSpec(epochs=2, seed=seed), folder, data="digest")
