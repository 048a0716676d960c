"""What a recording costs: seconds and memory from its file to its category."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from tasks.classification.results import Cost
from tasks.classification.sounds import SoundClassifier
from utils.artefact_utils.labels import LabelledRecording
from utils.audio_utils import AudioError
from utils.cli_utils import UserError
from utils.process_utils import peak_memory, reset_peak_memory

_RECORDINGS = 20


def measure_cost(
    classifier: SoundClassifier, recordings: Sequence[LabelledRecording], root: Path, device: torch.device
) -> Cost:
    """Classify recordings one after the other; the first is not timed, since it loads libraries.

    Args:
        classifier: of files.
        recordings: N of them; 20, evenly spaced, are taken.
        root: of their files.
        device: where the classifier computes.
    Raises:
        UserError: a recording cannot be decoded.
    """
    rows = np.unique(np.linspace(0, len(recordings) - 1, min(len(recordings), _RECORDINGS)).astype(np.int64))
    chosen = [recordings[row] for row in rows]
    with torch.inference_mode():
        _classify(classifier, root / chosen[0].path)
        is_reset = reset_peak_memory()
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
        began = time.perf_counter()
        for one in chosen:
            _classify(classifier, root / one.path)
        seconds = (time.perf_counter() - began) / len(chosen)
    peak: float | None = peak_memory() if is_reset else None
    if device.type == "cuda":
        peak = torch.cuda.max_memory_allocated(device)
    return Cost(
        recordings=len(chosen),
        seconds=seconds,
        sound_s=float(np.mean([one.duration_s for one in chosen])),
        peak_memory_mb=None if peak is None else peak / 1e6,
        device=device.type,
    )


def _classify(classifier: SoundClassifier, path: Path) -> None:
    try:
        classifier(path)
    except AudioError as error:
        raise UserError(
            f"{path}: {error}; if the recordings are in another folder by now, name it: --set data.root=DIR"
        ) from error
