"""Measure all systems on the tracks that they share."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tasks.music.altered import AlteredSystem, altered_shares
from tasks.music.compared import ComparedSystems
from tasks.music.files import embedders
from tasks.music.results import (
    RecommendationResults,
    Settings,
    SystemResult,
    better_baseline,
    differences_of,
    effects_of,
    measure_one,
)
from tasks.music.systems import BASELINES
from utils.cli_utils import UserError
from utils.report_utils import progress_bar


def measure_all(compared: ComparedSystems, settings: Settings, root: Path, copies: int) -> RecommendationResults:
    """Measure every system, compare the chosen autoencoder with the baselines, and alter copies of tracks.

    Args:
        compared: the systems; another autoencoder that has collapsed is left out with a line.
        settings: how embeddings are compared.
        root: data.root, where the files of the tracks are.
        copies: tracks of which altered copies are made; 0: none.
    Raises:
        UserError: the chosen autoencoder has collapsed.
    """
    systems: dict[str, SystemResult] = {}
    with progress_bar(len(compared.vectors), "systems", "system") as bar:
        for name, vectors in compared.vectors.items():
            try:
                systems[name] = measure_one(vectors, compared.known, settings)
            except UserError as error:
                if name == compared.chosen:
                    raise
                print(f"left out: {error}")
            bar.update()
    baseline = better_baseline({name: systems[name].measures for name in BASELINES})
    shown = [compared.vectors[name] for name in (compared.chosen, baseline)]
    return RecommendationResults(
        tracks=compared.tracks,
        settings=settings,
        systems=systems,
        chosen=compared.chosen,
        baseline=baseline,
        differences=differences_of(systems, compared.chosen),
        effects=effects_of(shown, compared.known),
        controls=_controls(compared, systems, baseline, settings, (root, copies)) if copies else {},
    )


def _controls(
    compared: ComparedSystems,
    systems: Mapping[str, SystemResult],
    baseline: str,
    settings: Settings,
    sample: tuple[Path, int],
) -> dict[str, dict[str, float | None]]:
    root, copies = sample
    chosen = {name: systems[name] for name in (compared.chosen, baseline)}
    embed = embedders(compared.task, compared.chosen, {name: found.space for name, found in chosen.items()})
    altered = {name: AlteredSystem(embed[name], found.embeddings) for name, found in chosen.items()}
    return altered_shares(altered, compared.tracks, root, copies, settings)
