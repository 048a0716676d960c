"""Controls without labels: copies of tracks, altered as a listener hardly hears, must find their originals first."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np
import soundfile
from numpy.typing import NDArray

from tasks.music.results import Settings
from utils.artefact_utils import Track
from utils.audio_utils import AudioError, read_wave
from utils.audio_utils.alteration import mp3_rate, softer, without_start, write_mp3
from utils.audio_utils.readers import open_sound
from utils.metric_utils.recommendation.controls import found_originals

Array = NDArray[np.float32]
# Files -> (n, E) unit vectors, and why a file has none.
EmbedFiles = Callable[[Sequence[Path]], tuple[Array, Mapping[int, str]]]

SOFTER_DB, MP3_KBPS, SHIFT_S = 10.0, 64, 3.0
_LEAST_LEFT_S = 1.0  # of a shifted copy
_BATCH_FILES = 16  # whose copies are on disk at a time
_SOFTER, _MP3, _SHIFTED = "softer_10db", "mp3_64kbps", "shifted_3s"
ALTERATIONS = {_SOFTER: ".wav", _MP3: ".mp3", _SHIFTED: ".wav"}


class AlteredSystem(NamedTuple):
    """A system that is controlled."""

    embed: EmbedFiles
    originals: Array  # (N, E) unit vectors


def altered_shares(
    systems: Mapping[str, AlteredSystem],
    tracks: Sequence[Track],
    root: Path,
    sample: int,
    settings: Settings,
) -> dict[str, dict[str, float | None]]:
    """Compute the share of altered copies whose nearest track is their original.

    Args:
        systems: name -> system.
        tracks: N of a split, which are the candidates.
        root: data.root, where their files are.
        sample: tracks that are copied, evenly spaced.
        settings: how embeddings are compared.
    Returns:
        Alteration -> system -> share, and `tracks`: how many copies were made. A copy that would be shorter than a
        second is not made (None: there is none); one that a system refuses is not found.
    """
    rows = np.unique(np.linspace(0, len(tracks) - 1, min(sample, len(tracks))).astype(np.int64)).tolist()
    found = {name: dict.fromkeys(systems, 0) | {"tracks": 0} for name in ALTERATIONS}
    for start in range(0, len(rows), _BATCH_FILES):
        with TemporaryDirectory(prefix="altered-") as folder:
            copies: dict[str, dict[int, Path]] = {name: {} for name in ALTERATIONS}
            for row in rows[start : start + _BATCH_FILES]:
                for name, path in _write_copies(root / tracks[row].path, Path(folder) / str(row)).items():
                    copies[name][row] = path
            for name, of_rows in copies.items():
                found[name]["tracks"] += len(of_rows)
                for system, (embed, originals) in systems.items():
                    found[name][system] += _found(embed, of_rows, originals, settings)
    return {
        name: {key: _share(key, count, counts["tracks"]) for key, count in counts.items()}
        for name, counts in found.items()
    }


def _share(key: str, count: int, copies: int) -> float | None:
    if key == "tracks":
        return count
    return count / copies if copies else None


def _write_copies(path: Path, stem: Path) -> dict[str, Path]:
    """Write the copies of a recording, at its own sample rate: alteration -> file; none if it cannot be read."""
    try:
        with open_sound(path) as sound:
            rate_hz = mp3_rate(sound.sample_rate_hz)
        wave = read_wave(path, rate_hz)
    except AudioError as error:
        print(f"{path}: {error}; no copy of it is made")
        return {}
    copies = {name: stem.with_suffix(f".{name}{suffix}") for name, suffix in ALTERATIONS.items()}
    soundfile.write(copies[_SOFTER], softer(wave, SOFTER_DB), rate_hz, subtype="FLOAT")
    write_mp3(copies[_MP3], wave, rate_hz, MP3_KBPS)
    if len(wave) < (SHIFT_S + _LEAST_LEFT_S) * rate_hz:
        del copies[_SHIFTED]
    else:
        soundfile.write(copies[_SHIFTED], without_start(wave, rate_hz, SHIFT_S), rate_hz, subtype="FLOAT")
    return copies


def _found(embed: EmbedFiles, paths: Mapping[int, Path], originals: Array, settings: Settings) -> int:
    """How many copies, by the row of the original, find their originals first."""
    if not paths:
        return 0
    copies, refused = embed(list(paths.values()))
    held = np.array([number not in refused for number in range(len(paths))])
    if not held.any():
        return 0
    own = np.array(list(paths))[held]
    return int(found_originals(copies[held], originals, settings.rescaling, own).sum())
