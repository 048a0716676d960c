"""Sound files -> the features that a run's audio encoder takes: for search by sound, and for sets without stage 1."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from utils.artefact_utils import Clip
from utils.audio_utils import AudioError, header_duration_s, log_mel, read_wave, why_refused
from utils.cli_utils import UserError
from utils.data_utils import AudioDataSpec, WaveNeeds
from utils.data_utils.clip_track_features import features_of_file
from utils.data_utils.decoding import clip_batches, decoded_batches

Array = NDArray[np.float32]

# Files decoded together: at most this many, and at most this many times the longest window of sound.
_BATCH_CLIPS, _BATCH_WINDOWS = 64, 16


def _same(wave: Array) -> Array:
    return wave


@dataclass(frozen=True)
class SoundInput:
    """How waveforms become the input of an audio encoder.

    Attributes:
        sample_rate_hz: of the waves.
        min_samples: of the shortest wave.
        prepare: computes the features of one wave: (T, F) log-mels, or the (S,) wave itself.
        embed: then maps several at once to (1, E_audio) vectors; None: the encoder takes them as they are.
        of_file: computes the features of a file at its own rate, in place of `prepare`.
        encoder: what `embed` is, as the file of the run's vectors says it: model, revision, pooling and input.
    """

    sample_rate_hz: int
    min_samples: int = 1
    prepare: Callable[[Array], Array] = _same
    embed: Callable[[Sequence[Array]], list[Array]] | None = None
    of_file: Callable[[Path], Array] | None = None
    encoder: Mapping[str, str] | None = None

    def features(self, waves: Sequence[Array]) -> list[Array]:
        """Compute the encoder's input from prepared waves."""
        return list(waves) if self.embed is None else [vector[None] for vector in self.embed(waves)]

    def prepared(self, wave: Array) -> Array:
        """`prepare`, of a wave that the encoder can take.

        Raises:
            AudioError: it is silent, or too short.
        """
        if reason := why_refused(wave, self.sample_rate_hz, self.min_samples):
            raise AudioError(reason)
        return self.prepare(wave)


class SoundBatch(NamedTuple):
    """A batch of the requested files."""

    rows: list[int]  # of those that have features
    features: list[Array]
    refused: dict[int, str]  # row -> reason


class SoundEmbeddings(NamedTuple):
    """Sound files, embedded."""

    embeddings: Array  # (N, E); rows of files that were refused are zero
    refused: dict[int, str]  # row -> reason


def sound_input(data: AudioDataSpec, audio_input: str, waves: WaveNeeds | None, device: torch.device) -> SoundInput:
    """How a run hears.

    Args:
        data: the run's `data:` block.
        audio_input: logmel, wave, features or vector.
        waves: of wave, what the network wants.
        device: where a frozen encoder computes.
    Raises:
        UserError: the run's vectors come from another program, which is not at hand.
    """
    if audio_input == "logmel":
        return SoundInput(data.front_end.sample_rate_hz, prepare=partial(log_mel, front_end=data.front_end))
    if audio_input == "wave":
        assert waves is not None
        return SoundInput(waves.sample_rate_hz, waves.min_samples)
    if audio_input == "features":
        return SoundInput(data.front_end.sample_rate_hz, of_file=features_of_file)
    wanted = data.audio_embeddings
    if wanted is None or wanted.model is None:
        source = "data.pairs" if wanted is None else wanted.file
        raise UserError(
            f"sounds cannot be embedded: the run's audio vectors come from {source}, and the encoder that made them "
            "is not known; search by text, or train with data.audio_embeddings: {model: NAME}"
        )
    from models.frozen.audio import load_frozen_audio

    encoder = load_frozen_audio(wanted.model, wanted.layers, data.front_end, data.max_duration_s, device)
    facts = {"pooling": encoder.pooling(False), "input": encoder.describe_input()}
    facts |= {"model": encoder.name, "revision": encoder.revision}
    return SoundInput(encoder.sample_rate_hz, encoder.min_samples, embed=encoder.embed, encoder=facts)


def features_of_sounds(
    paths: Sequence[Path], sound: SoundInput, max_duration_s: float, workers: int
) -> Iterator[SoundBatch]:
    """Compute the features of many files, those of similar length together; threads decode ahead of the encoder.

    Args:
        paths: the sound files.
        sound: the run's encoder input.
        max_duration_s: of a window.
        workers: threads.
    """
    clips = [Clip(str(row), path.name, str(path), header_duration_s(path), 0, 0, "") for row, path in enumerate(paths)]
    clips.sort(key=lambda clip: -clip.duration_s)
    batches = clip_batches(clips, _BATCH_CLIPS, _BATCH_WINDOWS * max_duration_s)

    def decode(clip: Clip) -> Array:
        if sound.of_file is not None:
            return sound.of_file(Path(clip.path))
        return sound.prepared(read_wave(Path(clip.path), sound.sample_rate_hz))

    for batch in decoded_batches(batches, decode, workers):
        waves = {int(clip.fid): wave for clip, wave in batch if not isinstance(wave, str)}
        refused = {int(clip.fid): wave for clip, wave in batch if isinstance(wave, str)}
        # one by one: in a batch, the last bits of a vector would depend on the other files
        features = [sound.features([wave])[0] for wave in waves.values()]
        yield SoundBatch(list(waves), features, refused)


def embed_batches(
    batches: Iterable[SoundBatch],
    embed: Callable[[Array], Array],
    shape: tuple[int, int],
    advance: Callable[[int], object],
) -> SoundEmbeddings:
    """Embed sound files one by one.

    In a batch, the last bits of an embedding would depend on the other files, so that a file that is embedded again
    would differ from the one before. On a CPU one by one is also faster than padded batches.

    Args:
        batches: of `features_of_sounds`.
        embed: the features of one clip -> (E,) float32.
        shape: N, E.
        advance: called with the number of files finished since the last call.
    """
    found = SoundEmbeddings(np.zeros(shape, np.float32), {})
    for rows, features, refused in batches:
        for row, clip in zip(rows, features, strict=True):
            found.embeddings[row] = embed(clip)
        found.refused.update(refused)
        advance(len(rows) + len(refused))
    return found
