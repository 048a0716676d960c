"""Embeddings of tracks: the codes of all windows of a track, pooled to their mean and standard deviation."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.autoencoders import Autoencoder
from utils.data_utils import Batch, ClipFeatures, VectorFeatures, audio_loader
from utils.data_utils.sampling import Ints
from utils.model_utils import on_device
from utils.model_utils.ranks import share_out

Array = NDArray[np.float32]


class CodeMoments:
    """Sums over the codes of N tracks, from which means and deviations come; a track's codes are never held together.

    Args:
        tracks: N.
        width: C of a code.
        device: where the codes are.
    """

    def __init__(self, tracks: int, width: int, device: torch.device) -> None:
        self._count = torch.zeros(tracks, 1, dtype=torch.float64, device=device)
        # in double precision: the mean of squares minus the square of the mean would lose small deviations
        self._total = torch.zeros(tracks, width, dtype=torch.float64, device=device)
        self._squares = torch.zeros_like(self._total)

    def add(self, rows: Tensor, codes: Tensor, steps: Tensor) -> None:
        """Add windows.

        Args:
            rows: (B,) int64, the track of each.
            codes: (B, T', C), zeros in the padding.
            steps: (B,) int64, own codes of each.
        """
        codes = codes.double()
        self._count.index_add_(0, rows, steps.double()[:, None])
        self._total.index_add_(0, rows, codes.sum(1))
        self._squares.index_add_(0, rows, codes.square().sum(1))

    def of_tracks(self) -> tuple[Tensor, Tensor]:
        """Compute the mean and the standard deviation of each unit within each track, (N, C) float64 each."""
        return _mean_and_deviation(self._count, self._total, self._squares)

    def of_all(self) -> tuple[Tensor, Tensor]:
        """Compute the same over all codes of all tracks, (C,) float64 each."""
        return _mean_and_deviation(self._count.sum(), self._total.sum(0), self._squares.sum(0))


def _mean_and_deviation(count: Tensor, total: Tensor, squares: Tensor) -> tuple[Tensor, Tensor]:
    mean = total / count
    return mean, (squares / count - mean.square()).clamp(min=0).sqrt()


class SplitCodes(NamedTuple):
    """What an autoencoder makes of tracks."""

    codes: CodeMoments
    error: float  # sum of squared errors, in standardised units
    mean_error: float  # the same of the mean prediction
    numbers: int  # how many were reconstructed
    kl: float  # nats, the sum over all windows
    windows: int


def encode_tracks(model: Autoencoder, audio: ClipFeatures, batch_size: int, workers: int = 0) -> SplitCodes:
    """Encode and reconstruct every window of tracks once; callers set eval mode and `inference_mode`.

    Args:
        model: the autoencoder.
        audio: N tracks, as it takes them.
        batch_size: of the longest windows; of shorter ones there are more in a batch.
        workers: processes that load batches; 0: this one.
    """
    device = next(model.parameters()).device
    codes = CodeMoments(len(audio.lengths), model.latent_dim, device)
    sums = torch.zeros(3, dtype=torch.float64, device=device)
    numbers = n_windows = 0

    def encode(batch: Batch) -> tuple[Tensor, Tensor, Tensor, Tensor, int]:
        lengths = batch["lengths"]
        output = model(batch["audio"], lengths)
        error, count = model.reconstruction_error(output, lengths)
        mean_error, _ = model.mean_prediction_error(output, lengths)
        errors = torch.stack([error.double(), mean_error.double(), output.kl.double().sum()])
        return batch["clip"], output.code, output.steps, errors, count

    for clip, code, steps, errors, count in share_out(
        on_device(audio_loader(audio, batch_size, workers), device), encode
    ):
        codes.add(*(one.to(device) for one in (clip, code, steps)))
        sums += errors.to(device)
        numbers += count
        n_windows += len(clip)
    error, mean_error, kl = sums.tolist()
    return SplitCodes(codes, error, mean_error, numbers, kl, n_windows)


def embeddings_of(codes: CodeMoments, *, vectors: bool) -> Array:
    """Compute the embeddings of N tracks.

    Args:
        codes: of their windows.
        vectors: a track is one vector, whose code has no deviation.
    Returns:
        (N, 2C) float32, means first; of vectors (N, C).
    """
    mean, deviation = codes.of_tracks()
    pooled = mean if vectors else torch.cat([mean, deviation], dim=1)
    return pooled.float().cpu().numpy()


class OneTrack:
    """The features of one track in memory, of the same interface as those of a split.

    Args:
        features: (T, F) or (S,) float32.
        max_length: of a window.
    """

    def __init__(self, features: Array, max_length: int) -> None:
        self._features = torch.from_numpy(features)
        self.lengths = np.array([len(features)], np.int64)
        self.max_length = max_length
        self.width = 1 if features.ndim == 1 else features.shape[1]

    def batch(self, clips: Ints, starts: Ints, lengths: Ints) -> Tensor:
        """Return (B, T, F) or (B, S) windows, padded with zeros."""
        windows = [self._features[start : start + n] for start, n in zip(starts, lengths, strict=True)]
        return torch.nn.utils.rnn.pad_sequence(windows, batch_first=True)


def embed_features(model: Autoencoder, features: Array, max_length: int, batch_size: int) -> Array:
    """Embed one track.

    Args:
        model: the autoencoder.
        features: (T, F) log-mels, the (S,) wave, or (1, D) features, as `model` takes them.
        max_length: of a window, in frames or samples.
        batch_size: windows a batch.
    Returns:
        (2C,) float32, of features (C,).
    """
    vectors = model.kind == "features"
    audio: ClipFeatures = VectorFeatures(features) if vectors else OneTrack(features, max_length)
    return embeddings_of(encode_tracks(model, audio, batch_size).codes, vectors=vectors)[0]
