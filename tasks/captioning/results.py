"""What is reported of generated captions: every metric of the system and of two baselines, and what they differ by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from utils.metric_utils.captions.baselines import collapse_of, distinct_share, shuffled_inputs, vocabulary_size
from utils.metric_utils.captions.statistics import (
    Difference,
    Statistics,
    differences,
    metric_intervals,
    use_of_input,
)
from utils.metric_utils.intervals import Interval

MODEL, MOST_FREQUENT, SHUFFLED = "model", "most_frequent_caption", "shuffled_inputs"


class Measure(Protocol):
    """Computes all metrics of hypotheses."""

    @property
    def absent(self) -> Mapping[str, str]:
        """Metric -> why it cannot be computed of these clips."""

    def __call__(self, hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> Mapping[str, Statistics]:
        """Metric -> sums over clips."""


@dataclass(frozen=True, eq=False)
class CaptionResults:
    """Everything that was measured of N clips.

    Attributes:
        statistics: `model`, `most_frequent_caption`, `shuffled_inputs` -> metric -> sums over clips; of a single clip
            without the last, where there is no other input.
        counts: the same -> numbers without an interval: words of the vocabulary, share of distinct captions.
        intervals: the same -> metric -> its 95 % interval by bootstrap of the clips; empty of a single clip.
        use_of_input: metric -> metric of the model less that of shuffled inputs; empty of a single clip.
        over_most_frequent: metric -> the same against the most frequent training caption.
        hypotheses: (N,) of the model.
        empty: how many of them are empty.
        absent: metric -> why it cannot be computed.
    """

    statistics: dict[str, Mapping[str, Statistics]]
    counts: dict[str, dict[str, float]]
    intervals: dict[str, dict[str, Interval]]
    use_of_input: dict[str, Difference]
    over_most_frequent: dict[str, Difference]
    hypotheses: Sequence[str]
    empty: int
    absent: Mapping[str, str]

    def metrics(self, system: str) -> dict[str, float]:
        """Metric -> value of the model or of a baseline."""
        return {key: found.value for key, found in self.statistics[system].items()} | self.counts[system]

    @property
    def collapse(self) -> str | None:
        """One line if the model says nearly the same of every clip; None if it does not."""
        found = collapse_of(self.hypotheses)
        if found is None:
            return None
        return (
            f"collapsed: {found.clips} of {len(self.hypotheses)} clips have one and the same caption, '{found.caption}'"
        )

    def as_json(self, made_from: Mapping[str, Any]) -> dict[str, Any]:
        """The same, as the file of results holds it.

        Args:
            made_from: checkpoint, models, ...
        """
        nothing = dict.fromkeys(self.absent)
        systems = {system: {**self.metrics(system), **nothing} for system in self.statistics}
        return {
            **systems,
            "intervals": {"level": 0.95, **self.intervals},
            "use_of_input": {key: found._asdict() for key, found in self.use_of_input.items()},
            "over_most_frequent_caption": {key: found._asdict() for key, found in self.over_most_frequent.items()},
            "absent": dict(self.absent),
            "collapse": self.collapse,
            "clips": len(self.hypotheses),
            "empty_hypotheses": self.empty,
            "made_from": dict(made_from),
        }


def measure_captions(
    hypotheses: Sequence[str], references: Sequence[Sequence[str]], most_frequent: str, measure: Measure
) -> CaptionResults:
    """Measure a system beside two baselines that do not see the input.

    Args:
        hypotheses: (N,) its captions.
        references: (N,) the captions of each clip by people.
        most_frequent: the most frequent caption in training, said of every clip.
        measure: computes all metrics of N hypotheses.
    """
    several = len(hypotheses) > 1
    said = {MODEL: hypotheses, MOST_FREQUENT: [most_frequent] * len(hypotheses)}
    if several:
        said[SHUFFLED] = shuffled_inputs(hypotheses)
    found = {system: measure(captions, references) for system, captions in said.items()}
    return CaptionResults(
        found,
        {
            system: {"vocabulary": vocabulary_size(captions), "distinct_captions": distinct_share(captions)}
            for system, captions in said.items()
        },
        {system: metric_intervals(metrics) if several else {} for system, metrics in found.items()},
        use_of_input(found[MODEL], found[SHUFFLED]) if several else {},
        differences(found[MODEL], found[MOST_FREQUENT]) if several else {},
        hypotheses,
        sum(not caption.strip() for caption in hypotheses),
        measure.absent,
    )
