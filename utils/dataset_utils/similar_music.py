"""Write the recordings that are nearly the same, whatever they are called: similar_tracks.csv."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from utils.artefact_utils import Clip
from utils.audio_utils import AudioError, read_window
from utils.audio_utils.fingerprints import SAMPLE_RATE_HZ, Fingerprint, fingerprint, similar_pairs
from utils.data_utils.music_spec import MusicDataSpec
from utils.dataset_utils.tables import write_similar
from utils.process_utils import ordered_map
from utils.report_utils import progress_bar

_COMPARED_S = 120  # of the beginning of a recording: longer ones need not fit into memory


def write_similar_tracks(data: MusicDataSpec, clips: Mapping[str, Sequence[Clip]], workers: int) -> None:
    """Compare all tracks of all splits, write the pairs, and print how many; without any, remove an old table.

    Args:
        data: the run's `data:` block.
        clips: of each split.
        workers: number of processes.
    """
    rows = [(split, clip) for split, members in clips.items() for clip in members]
    files = [data.root / clip.path for _, clip in rows]
    results = ordered_map(_print_of, files, 1 if len(files) < 64 else workers)
    prints = list(progress_bar(len(files), "comparing recordings", "track", iterable=results))
    pairs = similar_pairs(prints)
    write_similar(data.similar_tracks, rows, [pair[:2] for pair in pairs])
    if not pairs:
        return
    example = " and ".join(repr(rows[at][1].path) for at in pairs[0][:2])
    several = sum(rows[pair.first][0] != rows[pair.second][0] for pair in pairs)
    print(f"pairs of nearly the same recording: {len(pairs)}, {several} of them in two splits, such as {example}")
    print(f"all of them: {data.similar_tracks}")


def _print_of(path: Path) -> Fingerprint:
    try:
        wave = read_window(path, SAMPLE_RATE_HZ, 0, _COMPARED_S * SAMPLE_RATE_HZ)
    except AudioError:  # changed since it was decoded: whoever reads it next reports it
        wave = np.zeros(0, np.float32)
    return fingerprint(wave, SAMPLE_RATE_HZ)
