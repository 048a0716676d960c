"""Search space, trials, resume: the only importer of ray, which it imports when it starts."""

from utils.tune_utils.folder import read_revisions
from utils.tune_utils.launch import launch, print_best
from utils.tune_utils.spec import Distribution, PlateauStopperSpec, RaySpec, Search, check_resources

__all__ = [
    "Distribution",
    "PlateauStopperSpec",
    "RaySpec",
    "Search",
    "check_resources",
    "launch",
    "print_best",
    "read_revisions",
]
