"""An autoencoder with its tracks, losses and metrics, and the embeddings of tracks."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.autoencoders import Autoencoder, dead_units
from models.autoencoders.windows import WaveAutoencoderSpec
from models.sounds import SoundEmbeddings, embed_batches, features_of_sounds, sound_input
from tasks.music.clips import EvenWindows, MusicClips
from tasks.music.embeddings import SplitCodes, embed_features, embeddings_of, encode_tracks
from tasks.music.measures import retrieval_metrics
from tasks.music.references import PcaReference, pca_reference
from tasks.music.run import MusicRun
from utils.artefact_utils.catalogue import Track
from utils.data_utils import TrainLoader, WaveNeeds
from utils.model_utils import WEIGHT, DivergedError, Loader

Array = NDArray[np.float32]

# Windows that the standardisation and the reference are computed on: waves and log-mels of a large corpus take hours
# to read, and their means and deviations are known well from these.
_MOST_WINDOWS = 2048


class MusicOutputs(NamedTuple):
    """What an autoencoder makes of a split."""

    codes: SplitCodes
    embeddings: Array  # (N, E)
    tracks: Sequence[Track]  # N
    reference: PcaReference | None  # of validation alone


class MusicTask:
    """An autoencoder with its data, losses and metrics."""

    def __init__(self, run: MusicRun, split: str) -> None:
        """Open a split, whose features set the width, and build the autoencoder.

        Raises:
            UserError: a file is missing, broken or made with other settings, or the code is larger than the input.
        """
        self._run = run
        self._splits: dict[str, MusicClips] = {}
        self._reference: PcaReference | None = None
        self._has_reference = False
        opened = self.data(split)
        self._width, self._max_length = opened.audio.width, opened.audio.max_length
        self.autoencoder: Autoencoder = run.model.build(self._width, self._max_length)
        if opened.name == run.data.splits.train:
            self.autoencoder.fit(self._even_windows(opened))

    @property
    def waves(self) -> WaveNeeds | None:
        """What an autoencoder of waves wants; None for the others."""
        model = self._run.model
        return WaveNeeds(model.sample_rate_hz) if isinstance(model, WaveAutoencoderSpec) else None

    def model(self) -> Autoencoder:
        """The autoencoder, its standardisation included."""
        return self.autoencoder

    def data(self, role: str) -> MusicClips:
        """The split of `train`, `val` or `eval`, or one by its own name; opened when it is first needed."""
        name = dict(self._run.data.splits).get(role, role)
        if name not in self._splits:
            self._splits[name] = MusicClips(self._run.data, name, self._run.model.input, self.waves)
        return self._splits[name]

    def loaders(self) -> Mapping[str, Loader]:
        """The training batches: every track once an epoch, as a random window."""
        training, split = self._run.training, self.data("train")
        return {
            "train": TrainLoader(
                split, split.sampler(training.batch_size, training.seed), self._run.data.worker_processes
            )
        }

    def losses(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """The squared error on the standardised input, a mean over its numbers, and with it the divergence."""
        windows, lengths = batch["audio"], batch["lengths"]
        losses = self.autoencoder.losses(self.autoencoder(windows, lengths), lengths)
        return {**losses, WEIGHT: lengths.sum().float()}

    def outputs(self, split: str) -> MusicOutputs:
        """The errors, codes and embeddings of every track; of validation, also the reference."""
        data = self.data(split)
        codes = self._encode(data)
        reference = self._pca() if split == "val" else None
        return MusicOutputs(codes, self._embeddings(codes), data.tracks, reference)

    def metrics(self, outputs: MusicOutputs) -> dict[str, float]:
        """Errors, dead units, the references, and how well the embeddings recommend.

        Raises:
            DivergedError: an error is not finite.
        """
        found = outputs.codes
        if not math.isfinite(found.error) or not np.isfinite(outputs.embeddings).all():
            raise DivergedError("the reconstruction is not finite; lower optimizer.lr, or use training.precision=fp32")
        _, deviations = found.codes.of_all()
        metrics = {
            "val_mse": found.error / found.numbers,
            "mean_prediction_mse": found.mean_error / found.numbers,
            "explained_variance": 1 - found.error / found.mean_error if found.mean_error else math.nan,
            "dead_units": float(dead_units(deviations).sum()),
        }
        if self._run.model.variational:
            metrics["val_kl"] = found.kl / found.windows
        if outputs.reference is not None:
            metrics["pca_explained_variance"] = outputs.reference.explained
        return {**metrics, **retrieval_metrics(outputs.embeddings, outputs.tracks)}

    def track_embeddings(self, split: str) -> Array:
        """Embed the tracks of a split; callers set eval mode and `inference_mode`.

        Args:
            split: its role or its own name.
        Returns:
            (N, E) float32 in the order of `data(split).clips`: mean and standard deviation of all codes of all windows;
            of features, one code a track.
        """
        return self._embeddings(self._encode(self.data(split)))

    def sounds(self, paths: Sequence[Path], workers: int, advance: Callable[[int], object]) -> SoundEmbeddings:
        """Embed N sound files as the tracks of a split; which other files there are does not change an embedding.

        Args:
            paths: the files.
            workers: threads that decode.
            advance: called with the number of files finished since the last call.
        """
        sound = sound_input(self._run.data, self._run.model.input, self.waves, torch.device("cpu"))
        batches = features_of_sounds(paths, sound, self._run.data.max_duration_s, workers)
        size = self._run.training.batch_size
        embed = partial(embed_features, self.autoencoder, max_length=self._max_length, batch_size=size)
        return embed_batches(batches, embed, (len(paths), self.embedding_dim), advance)

    @property
    def embedding_dim(self) -> int:
        """E of the embedding of a track."""
        return self.autoencoder.latent_dim * (1 if self._vectors else 2)

    @property
    def _vectors(self) -> bool:
        return self._run.model.input == "features"

    def _encode(self, data: MusicClips) -> SplitCodes:
        return encode_tracks(
            self.autoencoder, data.audio, self._run.training.batch_size, self._run.data.worker_processes
        )

    def _embeddings(self, codes: SplitCodes) -> Array:
        return embeddings_of(codes.codes, vectors=self._vectors)

    def _even_windows(self, data: MusicClips) -> EvenWindows:
        return EvenWindows(data, self._run.training.batch_size, None if self._vectors else _MOST_WINDOWS)

    def _pca(self) -> PcaReference | None:
        """The reference of the same size on validation, computed once and printed."""
        if not self._has_reference:
            train, val = (self._even_windows(self.data(role)) for role in ("train", "val"))
            self._reference = found = pca_reference(self.autoencoder, train, val)
            self._has_reference = True
            if found is not None:
                print(
                    f"variance explained on validation: mean prediction 0, PCA {found.explained:.4f} "
                    f"({found.components} components of {found.block} x {self._width} numbers, as a code)",
                    flush=True,
                )
        return self._reference
