"""What a system that does not see the input would say, and how alike captions are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from utils.metric_utils.captions.tokens import words_of
from utils.metric_utils.checks import Indices

_COLLAPSED = 0.9


def most_frequent_caption(captions: Sequence[str]) -> str:
    """Return the caption that occurs most often, compared by its words; of equals the first by alphabet.

    Raises:
        ValueError: there is none with a word.
    """
    counts: Counter[tuple[str, ...]] = Counter()
    spelled: dict[tuple[str, ...], str] = {}
    for caption in captions:
        if words := tuple(words_of(caption)):
            counts[words] += 1
            spelled.setdefault(words, caption)
    if not counts:
        raise ValueError("no caption has a word; expected at least one")
    return spelled[min(counts, key=lambda words: (-counts[words], words))]


def other_clips(clips: int, seed: int = 0) -> Indices:
    """Return (N,) another clip for each clip, every one once; of a single clip itself.

    A cycle through a random order: neighbours in a table may be alike, and a random permutation leaves some in place.
    """
    order = np.random.default_rng(seed).permutation(clips)
    others = np.empty(clips, np.int64)
    others[order] = np.roll(order, 1)
    return others


def shuffled_inputs(hypotheses: Sequence[str], seed: int = 0) -> list[str]:
    """Return for each clip what the system says of another clip's input: (N,)."""
    return [hypotheses[clip] for clip in other_clips(len(hypotheses), seed)]


class Collapse(NamedTuple):
    """One caption for nearly all clips: the commonest failure of a captioner."""

    caption: str
    clips: int  # that have it


def collapse_of(hypotheses: Sequence[str]) -> Collapse | None:
    """Find out whether nine clips in ten, or more, have one and the same caption; None: they have not, or are few."""
    caption, count = Counter(hypotheses).most_common(1)[0]
    return Collapse(caption, count) if len(hypotheses) > 1 and count >= _COLLAPSED * len(hypotheses) else None


def vocabulary_size(captions: Sequence[str]) -> int:
    """Count the different words of all captions."""
    return len({word for caption in captions for word in words_of(caption)})


def distinct_share(captions: Sequence[str]) -> float:
    """Compute the number of different captions, compared by their words, divided by the number of captions."""
    return len({tuple(words_of(caption)) for caption in captions}) / len(captions)
