"""Sound files of any place, embedded as the tracks of a split are."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from models.sounds import SoundEmbeddings
from tasks.music.altered import EmbedFiles
from tasks.music.systems import FEATURES
from tasks.music.task import MusicTask
from utils.audio_utils import AudioError, probe, wave_blocks, why_refused
from utils.audio_utils.readers import open_sound
from utils.audio_utils.track_features import WINDOW_SAMPLES, mfcc_features, rate_of, track_features
from utils.cli_utils import UserError, printable
from utils.metric_utils.recommendation.spaces import EmbeddingSpace
from utils.process_utils import all_cores

Array = NDArray[np.float32]


def embedders(task: MusicTask, chosen: str, spaces: Mapping[str, EmbeddingSpace]) -> dict[str, EmbedFiles]:
    """What embeds files: of the autoencoder, and of hand-crafted features.

    Args:
        task: the autoencoder, in eval mode.
        chosen: its name.
        spaces: system -> the space of its embeddings; all but `chosen` are systems of hand-crafted features.
    """
    found: dict[str, EmbedFiles] = {}
    for name, space in spaces.items():
        if name == chosen:
            raw: Callable[[Sequence[Path]], SoundEmbeddings] = partial(_encoded, task)
        else:
            raw = partial(_computed, track_features if name == FEATURES else mfcc_features)
        found[name] = partial(_in_space, raw, space)
    return found


def check_users_files(paths: Sequence[Path]) -> None:
    """Make sure that one of the files can be decoded, before tracks are embedded.

    Raises:
        UserError: none is.
    """
    reasons = []
    for path in paths:
        try:
            probe(path)
            return
        except AudioError as error:
            reasons.append(f"--file {path}: {f'{error}; name another file' if path.is_file() else _missing(path)}")
    raise UserError(reasons[0])


def _missing(path: Path) -> str:
    return "is a folder; name files in it" if path.is_dir() else "there is no such file; correct the path"


def embed_users_files(paths: Sequence[Path], embed: Mapping[str, EmbedFiles]) -> dict[Path, dict[str, Array]]:
    """Embed files with every system; what is wrong with one of several is printed.

    Args:
        paths: of the files.
        embed: system -> what embeds files.
    Returns:
        File -> system -> (E,) unit vector.
    Raises:
        UserError: no file can be embedded.
    """
    refused = {path: _missing(path) for path in paths if not path.is_file()}
    found: dict[Path, dict[str, Array]] = {path: {} for path in paths if path not in refused}
    for name, embed_files in embed.items():
        whole = [path for path in found if path not in refused]
        if whole:
            vectors, reasons = embed_files(whole)
            refused |= {whole[number]: f"{reason}; name another file" for number, reason in reasons.items()}
            for path, vector in zip(whole, vectors, strict=True):
                found[path][name] = vector
    lines = [f"--file {path}: {reason}" for path, reason in refused.items()]
    if len(refused) == len(set(paths)):
        raise UserError(lines[0])
    for line in lines:
        print(printable(line))
    return {path: vectors for path, vectors in found.items() if path not in refused}


def _encoded(task: MusicTask, paths: Sequence[Path]) -> SoundEmbeddings:
    with torch.inference_mode():
        return task.sounds(paths, all_cores(), _ignore)


def _ignore(count: int) -> None:
    """Show no progress."""


def _computed(compute: Callable[[Iterable[Array], int], Array], paths: Sequence[Path]) -> SoundEmbeddings:
    rows: dict[int, Array] = {}
    refused: dict[int, str] = {}
    for number, path in enumerate(paths):
        try:
            rows[number] = _features_of(path, compute)
        except AudioError as error:
            refused[number] = str(error)
    empty = np.zeros(len(next(iter(rows.values()), ())), np.float32)
    return SoundEmbeddings(np.stack([rows.get(number, empty) for number in range(len(paths))]), refused)


def _features_of(path: Path, compute: Callable[[Iterable[Array], int], Array]) -> Array:
    """Compute hand-crafted features of a file, as stage 1 does.

    Raises:
        AudioError: it cannot be decoded, or is silent.
    """
    with open_sound(path) as sound:
        rate_hz = rate_of(sound.sample_rate_hz)
    waves = list(wave_blocks(path, rate_hz, WINDOW_SAMPLES / rate_hz))
    if all(reason := why_refused(wave, rate_hz, 1) for wave in waves):
        raise AudioError(str(reason))
    return compute(waves, rate_hz)


def _in_space(
    raw: Callable[[Sequence[Path]], SoundEmbeddings], space: EmbeddingSpace, paths: Sequence[Path]
) -> tuple[Array, Mapping[int, str]]:
    found = raw(paths)
    held = [number for number in range(len(paths)) if number not in found.refused]
    vectors = np.zeros((len(paths), len(space.mean)), np.float32)
    if held:
        vectors[held] = space(found.embeddings[held])
    return vectors, found.refused
