"""What is measured of recommendations: every system, the chosen autoencoder against the baselines, and what helps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tasks.music.systems import BASELINES, CONTROLS, SystemVectors
from utils.artefact_utils import Track
from utils.cli_utils import ArtefactError
from utils.config_utils import read_json
from utils.metric_utils.comparison import Comparison
from utils.metric_utils.intervals import Interval
from utils.metric_utils.recommendation.similarity import Rescaling
from utils.metric_utils.recommendation.spaces import EmbeddingSpace, Scaling
from utils.metric_utils.recommendation.system import SystemMeasures, measure_system, paired
from utils.metric_utils.recommendation.tracks import FILTERS, Tracks

Array = NDArray[np.float32]

LEVEL = 0.95
_RESAMPLES = 2000
# By which lists are compared, the first that is measured.
MAIN_METRICS = ("genre_precision@5", "artist_precision@5")


class Settings(NamedTuple):
    """How embeddings are compared."""

    scaling: Scaling | None = None  # None: as each system has it
    local_scaling: bool = False

    @property
    def rescaling(self) -> Rescaling:
        """As metrics name it."""
        return "local_scaling" if self.local_scaling else "none"

    @property
    def suffix(self) -> str:
        """Of the names of result files; empty of the default, which other settings then never replace."""
        return "".join(f"_{part}" for part in (self.scaling, "local_scaling" if self.local_scaling else None) if part)

    def __str__(self) -> str:
        return ", ".join([self.scaling or "cosine", *(["local scaling"] if self.local_scaling else [])])


@dataclass(frozen=True, eq=False)
class SystemResult:
    """One system, measured on N tracks.

    Attributes:
        space: from raw embeddings to unit vectors.
        embeddings: (N, E) unit vectors.
        measures: its metrics.
        intervals: filter -> metric -> 95 % interval by bootstrap of the tracks.
    """

    space: EmbeddingSpace
    embeddings: Array
    measures: SystemMeasures
    intervals: dict[str, dict[str, Interval]]


class PairedDifference(NamedTuple):
    """The chosen autoencoder less the better of the two MFCC baselines, by one metric."""

    baseline: str
    found: Comparison  # b is the autoencoder


@dataclass(frozen=True, eq=False)
class RecommendationResults:
    """Everything that was measured of N tracks.

    Attributes:
        tracks: N, of which every system has an embedding.
        settings: how embeddings were compared.
        systems: name -> result.
        chosen: the autoencoder that validation chose.
        baseline: the better of the MFCC baselines.
        differences: filter -> metric -> chosen less the better baseline of this metric.
        effects: the chosen autoencoder and the baseline under all settings: name -> settings -> measures.
        controls: alteration -> its shares; empty: none were made.
    """

    tracks: Sequence[Track]
    settings: Settings
    systems: dict[str, SystemResult]
    chosen: str
    baseline: str
    differences: dict[str, dict[str, PairedDifference]]
    effects: dict[str, dict[str, SystemMeasures]]
    controls: Mapping[str, Mapping[str, float | None]]

    def as_json(self, made_from: Mapping[str, Any]) -> dict[str, Any]:
        """The same, as the file of results holds it.

        Args:
            made_from: checkpoint, split, ...
        """
        found = {name: result.measures.as_json() for name, result in self.systems.items()}
        return {
            "systems": {name: measured["metrics"] for name, measured in found.items()},
            "intervals": {name: _intervals(result.intervals) for name, result in self.systems.items()},
            "chance": found[self.chosen]["chance"],
            "queries": found[self.chosen]["counts"],
            "controls": {name: dict(shares) for name, shares in self.controls.items()},
            "hubness": {name: measured["hubness"] for name, measured in found.items()},
            "similarities": {name: measured["similarities"] for name, measured in found.items()},
            "chosen": self.chosen,
            "baseline": self.baseline,
            "differences": {
                name: {key: _difference(pair) for key, pair in pairs.items()}
                for name, pairs in self.differences.items()
            },
            "effects": {
                name: {setting: _effect(measures) for setting, measures in of_system.items()}
                for name, of_system in self.effects.items()
            },
            "tracks": len(self.tracks),
            "level": LEVEL,
            "settings": self.settings._asdict(),
            "made_from": dict(made_from),
        }


def known_tracks(tracks: Sequence[Track], similar: NDArray[np.int64] | None = None) -> Tracks:
    """What is known of the tracks, as the metrics take it.

    Args:
        tracks: N of them.
        similar: (P, 2) rows of near-duplicate recordings.
    """
    return Tracks.of(
        genre=[track.genre for track in tracks],
        artist=[track.artist for track in tracks],
        album=[track.album for track in tracks],
        title=[track.title for track in tracks],
        similar=similar,
    )


def measure_one(vectors: SystemVectors, known: Tracks, settings: Settings) -> SystemResult:
    """Measure a system.

    Raises:
        UserError: all training tracks have the same embedding.
    """
    if vectors.name in CONTROLS:  # random, whatever else is chosen
        settings = Settings()
    space = vectors.space(settings.scaling)
    embeddings = space(vectors.embeddings)
    measures = measure_system(embeddings, known, settings.rescaling)
    return SystemResult(space, embeddings, measures, measures.intervals(_RESAMPLES, level=LEVEL))


def better_baseline(measured: Mapping[str, SystemMeasures]) -> str:
    """The MFCC baseline that recommends better."""
    return max(BASELINES, key=lambda name: main_value(measured[name]))


def main_metric(measures: SystemMeasures) -> str | None:
    """The metric by which lists are compared; None where no track shares genre or artist with another."""
    return next((metric for metric in MAIN_METRICS if metric in measures.metrics()["none"]), None)


def main_value(measures: SystemMeasures) -> float:
    """Its value without a filter."""
    metric = main_metric(measures)
    return 0.0 if metric is None else measures.metrics()["none"][metric]


def differences_of(systems: Mapping[str, SystemResult], chosen: str) -> dict[str, dict[str, PairedDifference]]:
    """Compare the chosen autoencoder with the better MFCC baseline of each metric: filter -> metric -> difference.

    The better one is known from the same tracks, which is in its favour.
    """
    pairs = {name: paired(systems[name].measures, systems[chosen].measures, _RESAMPLES) for name in BASELINES}
    found: dict[str, dict[str, PairedDifference]] = {}
    for name, metrics in pairs[BASELINES[0]].items():
        found[name] = {}
        for metric in metrics:
            best = max(BASELINES, key=lambda baseline: pairs[baseline][name][metric].a)
            found[name][metric] = PairedDifference(best, pairs[best][name][metric])
    return found


def effects_of(vectors: Sequence[SystemVectors], known: Tracks) -> dict[str, dict[str, SystemMeasures]]:
    """Measure systems plain, standardised and whitened, each without and with local scaling."""
    found: dict[str, dict[str, SystemMeasures]] = {system.name: {} for system in vectors}
    for system in vectors:
        scalings: list[Scaling | None] = [None, "standardised", "whitened"]
        for scaling in scalings:
            if scaling == system.scaling:
                continue
            embeddings = system.space(scaling)(system.embeddings)
            for settings in (Settings(scaling), Settings(scaling, True)):
                found[system.name][str(settings)] = measure_system(embeddings, known, settings.rescaling)
    return found


def _intervals(found: Mapping[str, Mapping[str, Interval]]) -> dict[str, dict[str, Any]]:
    return {name: {key: interval._asdict() for key, interval in metrics.items()} for name, metrics in found.items()}


def _difference(pair: PairedDifference) -> dict[str, Any]:
    found = pair.found
    return {
        "baseline": pair.baseline,
        "of_baseline": found.a,
        "of_chosen": found.b,
        "difference": found.difference,
        **found.interval._asdict(),
        "p_value": found.p_value,
    }


def _effect(measures: SystemMeasures) -> dict[str, Any]:
    found = measures.filters["none"]
    return {"metrics": found.metrics(), "hubness": asdict(found.hubness)}


class SavedMetrics(NamedTuple):
    """What a file of results holds of the metrics."""

    systems: dict[str, dict[str, dict[str, float]]]  # name -> filter -> metric
    epochs: dict[str, int]  # autoencoder -> epoch of its checkpoint; empty in files of earlier versions
    tracks: int
    split: str
    settings: Settings

    @classmethod
    def read(cls, path: Path) -> SavedMetrics:
        """Read recommendation_metrics.json.

        Raises:
            ArtefactError: it is missing, broken, or a file of another program.
        """
        try:
            held = read_json(path)
            systems = {
                name: {filter_: {key: float(value) for key, value in of_system[filter_].items()} for filter_ in FILTERS}
                for name, of_system in held["systems"].items()
            }
            made_from, missing = held["made_from"], set(BASELINES) - set(systems)
            if missing:
                raise ValueError(f"has no system {' and '.join(sorted(missing))}")
            settings = Settings(**held["settings"])
            str(settings)  # refuses a scaling that is no text
            epochs = {name: int(epoch) for name, epoch in made_from.get("epochs", {}).items()}
            return cls(systems, epochs, int(held["tracks"]), str(made_from["split"]), settings)
        except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
            raise ArtefactError(f"{path}: does not hold what is measured of recommendations ({error})") from error
