"""Logits of the windows of recordings -> one distribution over the classes a recording."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from utils.metric_utils.checks import Indices, Values


def log_probabilities(logits: NDArray[Any]) -> Values:
    """Compute the (..., K) float64 log-probabilities of logits, all finite if the logits are."""
    # scipy is loaded where it is needed: it takes a third of a second, which every --help would wait for
    from scipy.special import log_softmax

    found: Values = log_softmax(np.asarray(logits, np.float64), axis=-1)
    return found


def average_windows(logits: NDArray[Any], recording: Indices, recordings: int) -> Values:
    """Average the probabilities of the windows of each recording.

    The mean of probabilities, not of log-probabilities (or logits): in a product of distributions one window that is
    wrong with confidence outvotes all others, such as a window of silence, which the network never heard in training.
    The mean is the average row of the window-by-window table that a user is shown, and is calibrated to the degree
    that the windows are. This function is the only place that decides it.

    Args:
        logits: (W, K) of the windows, float of any precision.
        recording: (W,) int64, the recording of each window, in any order.
        recordings: N.
    Returns:
        (N, K) float64, the logarithm of the mean probabilities; finite, also where a probability is below the smallest
        float64.
    Raises:
        ValueError: shapes that do not fit, logits that are not finite, a recording without windows, or one outside
            0 to N - 1.
    """
    if logits.ndim != 2 or recording.shape != logits.shape[:1]:
        raise ValueError(f"logits are {logits.shape}, recording is {recording.shape}; expected (W, K) and (W,)")
    bad = np.flatnonzero(~np.isfinite(logits).all(axis=1))
    if len(bad):
        raise ValueError(f"the logits of window {bad[0]} are {logits[bad[0]]}; expected finite numbers")
    if len(recording) and not 0 <= recording.min() <= recording.max() < recordings:
        raise ValueError(f"recording is {recording.min()} to {recording.max()}; expected 0 to {recordings - 1}")
    counts = np.bincount(recording, minlength=recordings)
    if not counts.all():
        raise ValueError(f"recording {counts.argmin()} has no windows")
    order = np.argsort(recording, kind="stable")
    starts = np.cumsum(counts) - counts
    ordered = log_probabilities(logits)[order]
    highest = np.maximum.reduceat(ordered, starts, axis=0)  # (N, K), taken out so that no sum of exponentials is 0
    sums = np.add.reduceat(np.exp(ordered - highest.repeat(counts, axis=0)), starts, axis=0)
    means: Values = highest + np.log(sums / counts[:, None])
    return means
