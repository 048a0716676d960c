"""All metrics of words of 5 000 captions, with intervals: `python -m benchmarks.bench_caption_metrics`.

The reference has the same BLEU and ROUGE-L, but CIDEr-D of one pair of captions at a time, with dictionaries, as the
published code does, and draws one resample at a time. Both are timed on some of the clips and resamples, and
extrapolated.
"""

from __future__ import annotations

import math
import time
from collections import Counter

import numpy as np

from benchmarks.bench_captions import captions_like_clotho
from benchmarks.timing import Result, report
from utils.metric_utils.captions.bleu import bleu
from utils.metric_utils.captions.cider import CIDER_D, cider_d
from utils.metric_utils.captions.rouge import ROUGE_L, rouge_l
from utils.metric_utils.captions.statistics import RESAMPLES, Statistics, metric_intervals

CLIPS = 5_000
REFERENCES = 5
TIMED_CLIPS = 250
TIMED_RESAMPLES = 100

NGram = tuple[str, ...]


def measure() -> Result:
    """Measure the seconds from texts to all metrics, their intervals and the use of the input."""
    captions = captions_like_clotho(CLIPS * (1 + REFERENCES))
    hypotheses, people = captions[:CLIPS], captions[CLIPS:]
    references = [people[REFERENCES * clip : REFERENCES * (clip + 1)] for clip in range(CLIPS)]
    word_metrics(hypotheses[:10], references[:10])  # imports

    start = time.perf_counter()
    found = word_metrics(hypotheses, references)
    metrics = time.perf_counter() - start
    metric_intervals(found)
    ours = time.perf_counter() - start

    start = time.perf_counter()
    cider_d(hypotheses, references)
    others = metrics - (time.perf_counter() - start)
    start = time.perf_counter()
    frequency = Counter(ngram for of_clip in references for ngram in {n for text in of_clip for n in ngrams(text)})
    counted = time.perf_counter() - start
    start = time.perf_counter()
    slow = [cider_of_clip(hypotheses[clip], references[clip], frequency) for clip in range(TIMED_CLIPS)]
    cider = counted + (time.perf_counter() - start) / TIMED_CLIPS * CLIPS
    apart = max(abs(a - b) for a, b in zip(slow, found[CIDER_D].values[:TIMED_CLIPS, 0].tolist(), strict=True))
    return Result(
        name=f"caption metrics, {CLIPS} captions x {REFERENCES} references",
        reference=others + cider + seconds_one_resample_at_a_time(found),
        ours=ours,
        unit="s",
        minimum_ratio=1,
        limit=10,
        note=f"CIDEr-D, BLEU-1 to 4, ROUGE-L ({metrics:.1f} s) and intervals; reference: CIDEr-D of one pair at a time "
        f"({TIMED_CLIPS} clips timed), one resample at a time; CIDEr-D differs by {apart:.1e}",
    )


def seconds_one_resample_at_a_time(found: dict[str, Statistics]) -> float:
    """Extrapolate the seconds to draw all resamples of the clips, and to add what was drawn."""
    rng, start = np.random.default_rng(0), time.perf_counter()
    for _ in range(TIMED_RESAMPLES):
        drawn = rng.integers(0, CLIPS, CLIPS)
        for metric in found.values():
            metric.combine(metric.values[drawn].sum(axis=0))
    return (time.perf_counter() - start) / TIMED_RESAMPLES * RESAMPLES


def word_metrics(hypotheses: list[str], references: list[list[str]]) -> dict[str, Statistics]:
    """Compute every metric that needs no network."""
    return {
        CIDER_D: cider_d(hypotheses, references),
        **bleu(hypotheses, references),
        ROUGE_L: rouge_l(hypotheses, references),
    }


def ngrams(text: str) -> Counter[NGram]:
    """Count the n-grams of a caption, n = 1 to 4."""
    words = text.split()
    return Counter(tuple(words[i : i + n]) for n in range(1, 5) for i in range(len(words) - n + 1))


def cider_of_clip(hypothesis: str, references: list[str], frequency: Counter[NGram]) -> float:
    """Compute CIDEr-D of one clip."""

    def weighted(text: str) -> list[dict[NGram, float]]:
        vectors: list[dict[NGram, float]] = [{}, {}, {}, {}]
        for ngram, count in ngrams(text).items():
            vectors[len(ngram) - 1][ngram] = count * (math.log(CLIPS) - math.log(max(1, frequency[ngram])))
        return vectors

    total, said = 0.0, weighted(hypothesis)
    for reference in references:
        apart = len(hypothesis.split()) - len(reference.split())
        for h, r in zip(said, weighted(reference), strict=True):
            norms = math.hypot(*h.values()) * math.hypot(*r.values())
            overlap = sum(min(value, r[ngram]) * r[ngram] for ngram, value in h.items() if ngram in r)
            total += math.exp(-(apart**2) / 72) * overlap / norms if norms else 0.0
    return 10 * total / 4 / len(references)


if __name__ == "__main__":
    report(measure)
