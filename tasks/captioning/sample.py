"""Captions of a few validation clips, measured after every epoch: are they right, and do they follow the input?"""

from __future__ import annotations

from typing import NamedTuple

from utils.metric_utils.captions.baselines import Collapse, collapse_of, shuffled_inputs
from utils.metric_utils.captions.cider import CIDER_D, cider_d


class Sample(NamedTuple):
    """Some clips, captioned."""

    hypotheses: list[str]  # (N,)
    references: list[list[str]]  # (N,) what people said of each


class Measured(NamedTuple):
    """How good the captions of a sample are."""

    metrics: dict[str, float]
    collapse: Collapse | None  # nearly all clips have one caption; None: they do not


def measure(sample: Sample) -> Measured:
    """Compute CIDEr-D, and how much of it the input brings.

    Every clip is also compared with what people said of another one: a captioner that does not use its input is as good
    with these.

    Args:
        sample: N clips; with fewer than two nothing is shuffled, and every word is in all documents.
    Returns:
        `CIDEr-D`, and `use_of_input`, CIDEr-D minus that with shuffled inputs; both higher is better, and empty for
        one clip.
    """
    count = len(sample.hypotheses)
    if count < 2:
        return Measured({}, None)
    found = cider_d(sample.hypotheses, sample.references).value
    chance = cider_d(shuffled_inputs(sample.hypotheses), sample.references).value
    return Measured({CIDER_D: found, "use_of_input": found - chance}, collapse_of(sample.hypotheses))
