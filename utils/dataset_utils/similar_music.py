"""Write the recordings that are nearly the same, whatever they are called: similar_tracks.csv."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import soxr
from numpy.typing import NDArray

from utils.artefact_utils import Clip
from utils.audio_utils import AudioError, regrouped, wave_blocks
from utils.audio_utils.decoding import BLOCK_S
from utils.audio_utils.fingerprints import SAMPLE_RATE_HZ, Fingerprint, fingerprint, similar_pairs
from utils.data_utils.music_spec import MusicDataSpec
from utils.dataset_utils.tables import write_similar
from utils.process_utils import ordered_map
from utils.report_utils import progress_bar

Array = NDArray[np.float32]

_COMPARED_S = 120  # of the beginning of a recording: longer ones need not fit into memory
_COMPARED = _COMPARED_S * SAMPLE_RATE_HZ


class BeginningPrint:
    """Makes the fingerprint of the beginning of a recording while it is decoded (`Listener`)."""

    def __init__(self) -> None:
        self._blocks: list[Array] = []  # at the rate of fingerprints
        self._missing = _COMPARED
        self._resample: soxr.ResampleStream | None = None

    def hear(self, block: Array, sample_rate_hz: int) -> None:
        """Take the next (S,) samples, mono."""
        if self._missing <= 0:
            return
        if sample_rate_hz != SAMPLE_RATE_HZ:
            if self._resample is None:
                self._resample = soxr.ResampleStream(sample_rate_hz, SAMPLE_RATE_HZ, 1, dtype="float32")
            block = self._resample.resample_chunk(block)
        self._take(block)

    def heard(self) -> Fingerprint:
        """The fingerprint."""
        if self._missing > 0 and self._resample is not None:
            self._take(self._resample.resample_chunk(np.zeros(0, np.float32), last=True))
        return fingerprint(np.concatenate([np.zeros(0, np.float32), *self._blocks]), SAMPLE_RATE_HZ)

    def _take(self, block: Array) -> None:
        self._blocks.append(block[: self._missing])
        self._missing -= len(block)


def write_similar_tracks(
    data: MusicDataSpec, clips: Mapping[str, Sequence[Clip]], prints: Mapping[str, Fingerprint], workers: int
) -> None:
    """Compare all tracks of all splits, write the pairs, and print how many; without any, remove an old table.

    Args:
        data: the run's `data:` block.
        clips: of each split.
        prints: path -> fingerprint of those that were decoded now; the others are read again.
        workers: number of processes.
    """
    rows = [(split, clip) for split, members in clips.items() for clip in members]
    files = {clip.path: data.root / clip.path for _, clip in rows if clip.path not in prints}
    all_prints = {**prints, **read_prints(files, workers)}
    pairs = similar_pairs([all_prints[clip.path] for _, clip in rows])
    write_similar(data.similar_tracks, rows, [pair[:2] for pair in pairs])
    if not pairs:
        return
    several = [pair for pair in pairs if rows[pair.first][0] != rows[pair.second][0]]
    example = " and ".join(repr(rows[at][1].path) for at in (several or pairs)[0][:2])
    print(f"pairs of nearly the same recording: {len(pairs)}, {len(several)} of them in two splits, such as {example}")
    print(f"all of them: {data.similar_tracks}")


def read_prints(files: Mapping[str, Path], workers: int) -> dict[str, Fingerprint]:
    """The fingerprints of the beginnings of files that are not decoded now.

    Args:
        files: key -> file.
        workers: number of processes.
    """
    results = ordered_map(_print_of, files.values(), 1 if len(files) < 64 else workers)
    bar = progress_bar(len(files), "reading known recordings", "recording", iterable=results, disable=not files)
    return dict(zip(files, bar, strict=True))


def _print_of(path: Path) -> Fingerprint:
    try:
        # in the blocks of decoding, so that the samples are those that `BeginningPrint` has
        wave = next(regrouped(wave_blocks(path, SAMPLE_RATE_HZ, BLOCK_S), [_COMPARED]))
    except AudioError:  # changed since it was decoded: whoever reads it next reports it
        wave = np.zeros(0, np.float32)
    return fingerprint(wave, SAMPLE_RATE_HZ)
