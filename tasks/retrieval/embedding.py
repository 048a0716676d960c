"""Embed clips, captions, free text and sound files with a dual encoder."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.core import DualEncoderModel, text_of
from models.frozen.text import FrozenTextEncoder
from models.frozen.text_loading import load_frozen_text
from models.sounds import SoundEmbeddings, SoundInput, embed_batches, features_of_sounds, sound_input
from tasks.same_sounds import refuse_changed, refuse_other_sounds
from utils.cli_utils import UserError
from utils.data_utils import (
    Batch,
    CaptionDataSpec,
    CaptionedClips,
    ClipFeatures,
    Inputs,
    TextFeatures,
    TokenTexts,
    VectorFeatures,
    VectorTexts,
    audio_loader,
)
from utils.data_utils.run_once import RunOnceClips
from utils.model_utils import on_device, to_device
from utils.model_utils.ranks import share_out
from utils.pretrained_utils import model_revision

Array = NDArray[np.float32]

_TEXT_BATCH = 4096  # precomputed caption vectors: only a small head runs on them
_TOKEN_BATCH = 256  # tokenised captions, for a transformer


class RetrievalOutputs(NamedTuple):
    """Every clip and every caption of a split, embedded once."""

    audio: Array  # (C, E)
    text: Array  # (Q, E)
    clip_of_caption: NDArray[np.int64]  # (Q,)
    fids: list[str]  # (C,)
    tids: list[str]  # (Q,)


def not_finite(checkpoint: str, name: str, value: float) -> UserError:
    """Return the error for an embedding that is not finite.

    Args:
        checkpoint: which weights made it.
        name: of the clip, caption or label.
        value: that it holds.
    """
    return UserError(
        f"{checkpoint}: the embedding of '{name}' holds {value}; choose another one with --checkpoint, or train again "
        "with a lower optimizer.lr"
    )


class DualEncoderEmbedder:
    """Embeddings by a dual encoder: of splits, clips, texts and sound files.

    Args:
        encoder: the model; callers set eval mode and `inference_mode`.
        data: the `data:` block of its run.
        inputs: what its encoders take.
        splits: those of the run that are open; their vectors must come from the networks that embed a query.
        batch_size: windows of clips in a batch.
    """

    def __init__(
        self,
        encoder: DualEncoderModel,
        data: CaptionDataSpec,
        inputs: Inputs,
        splits: Mapping[str, CaptionedClips],
        batch_size: int,
    ) -> None:
        self.encoder = encoder
        self._data = data
        self._inputs = inputs
        self._splits = splits
        self._batch_size = batch_size
        first = next(iter(splits.values()))
        self._text_dim = first.texts.width
        self._max_length = first.audio.max_length  # of a window

    def split(self, split: CaptionedClips) -> RetrievalOutputs:
        """Embed every clip (the mean over its windows) and every caption of a split once."""
        return RetrievalOutputs(
            self.clips(split.audio, 0 if isinstance(split.audio, RunOnceClips) else self._data.worker_processes),
            self._captions(split.texts),
            split.clip_of_caption,
            split.fids,
            [caption.tid for caption in split.captions],
        )

    def clips(self, audio: ClipFeatures, workers: int = 0) -> Array:
        """Embed clips, each as the mean over its windows.

        Args:
            audio: N clips, as features of the kind that the encoder takes.
            workers: processes that load batches; 0: this one.
        Returns:
            (N, E) float32.
        """
        clips = len(audio.lengths)
        total = torch.zeros(clips, self.encoder.out_dim, device=self._device)
        windows = torch.zeros(clips, 1, device=self._device)

        def embed(batch: Batch) -> tuple[Tensor, Tensor]:
            return batch["clip"], self.encoder.embed_audio(batch["audio"], batch["lengths"]).float()

        batches = on_device(audio_loader(audio, self._batch_size, workers), self._device)
        for clip, embeddings in share_out(batches, embed):
            rows = clip.to(self._device)
            total.index_add_(0, rows, embeddings.to(self._device))
            windows.index_add_(0, rows, windows.new_ones(len(embeddings), 1))
        return self.encoder.normalise(total / windows).cpu().numpy()

    def captions(self, split: CaptionedClips, rows: NDArray[np.int64]) -> Array:
        """Embed some captions of a split as (Q, E) float32, of what the split holds of them."""
        batch = to_device(split.texts.batch(torch.from_numpy(rows)), self._device)
        return self.encoder.embed_text(*text_of(batch)).float().cpu().numpy()

    def vectors(self, vectors: Array) -> Array:
        """Embed (N, E_audio) vectors of clips as (N, E) float32; only where the encoder takes vectors."""
        return self.clips(VectorFeatures(vectors))

    def features(self, features: Array) -> Array:
        """Embed one clip's (T, F) log-mels, (S,) wave or (1, E_audio) vector as (E,) float32, the mean over windows."""
        if self._inputs.audio == "vector":
            return self.vectors(features)[0]
        return self.encoder.embed_clip(torch.from_numpy(features).to(self._device), self._max_length).cpu().numpy()

    def texts(self, texts: Sequence[str]) -> Array:
        """Embed Q free texts as (Q, E) float32.

        Raises:
            UserError: the text model cannot be loaded, or is not the one that made the run's caption vectors.
        """
        if self._inputs.tokenizer is not None:
            return self._captions(TokenTexts(self._inputs.tokenizer, texts))
        vectors = VectorTexts(self._frozen_text.vectors(list(texts)))
        if vectors.width != self._text_dim:
            raise UserError(
                f"data.text_embeddings.model: {self._data.text_embeddings.model} gives {vectors.width} dimensions, the "
                f"run's caption vectors have {self._text_dim}; name the model that made them in training"
            )
        return self._captions(vectors)

    def sounds(self, paths: Sequence[Path], workers: int, advance: Callable[[int], object]) -> SoundEmbeddings:
        """Embed N sound files, decoded by threads; which other files there are does not change an embedding.

        Args:
            paths: the files.
            workers: threads.
            advance: called with the number of files finished since the last call.
        Raises:
            UserError: the run's audio vectors were made by another program.
        """
        batches = features_of_sounds(paths, self._sound_input, self._data.max_duration_s, workers)
        return embed_batches(batches, self.features, (len(paths), self.encoder.out_dim), advance)

    @functools.cached_property
    def _frozen_text(self) -> FrozenTextEncoder:
        """Load the model of the caption vectors, when the first text is embedded.

        Raises:
            UserError: it cannot be loaded, or is not the one that made the run's caption vectors.
        """
        model = self._data.text_embeddings.model
        refuse_changed(self._splits.values(), "text", model, model_revision(model))
        return load_frozen_text(model, device=self._device)

    @property
    def _device(self) -> torch.device:
        return next(self.encoder.parameters()).device

    @functools.cached_property
    def _sound_input(self) -> SoundInput:
        """Load what prepares sounds, when the first one is embedded: a frozen encoder takes seconds.

        Raises:
            UserError: the run's audio vectors were made by another program.
        """
        sound = sound_input(self._data, self._inputs.audio, self._inputs.waves, self._device)
        refuse_other_sounds(self._splits.values(), sound)
        return sound

    def _captions(self, texts: TextFeatures) -> Array:
        """(Q, E) float32."""
        size = _TEXT_BATCH if self._inputs.tokenizer is None else _TOKEN_BATCH
        batches = (text_of(to_device(batch, self._device)) for batch in texts.batches(size))
        return torch.cat([self.encoder.embed_text(*batch).float().cpu() for batch in batches]).numpy()
