"""Log-mel spectrograms: a float32 FFT over blocks of frames that fit in the CPU's cache.

By hand, not with librosa, which takes longer (see benchmarks/bench_log_mel.py) and needs whole clips.
"""

from __future__ import annotations

import functools

import numpy as np
import torch
from numpy.typing import NDArray

from utils.audio_utils.decoding import MAX_SAMPLE, is_sound
from utils.audio_utils.front_end import FrontEnd

Array = NDArray[np.float32]

# Frames per FFT call: their buffers (2048 x 4 bytes each) fit in a core's second-level cache.
_FRAMES_A_BLOCK = 256
# The mel matrix is banded, mostly zeros: each of a few groups of neighbouring bands is multiplied only with its bins.
_MEL_GROUPS = 4


def log_mel(wave: Array, front_end: FrontEnd) -> Array:
    """Compute the log-mel spectrogram of a mono clip.

    Args:
        wave: (S,) float32, full scale is +-1, at front_end.sample_rate_hz.
        front_end: window, hop, mel bands, logarithm.
    Returns:
        (T, F) float32, T = 1 + S // hop; natural logarithm or dB, as `front_end.log`.
    Raises:
        ValueError: wave is empty, not one-dimensional, not finite, or so loud that its power overflows.
    Source: DCASE 2023 task 6B baseline, preprocessing/audio_logmel.py; PANNs (Kong et al. 2020) for the dB variant.
    """
    stream = LogMelStream(front_end)
    return np.concatenate([stream.push(wave), stream.finish()])


def prepare(front_end: FrontEnd) -> None:
    """Compute the window and the mel matrix, so that forked worker processes inherit them."""
    _window(front_end.fft_size, front_end.window_samples)
    _mel_groups(front_end)


class LogMelStream:
    """Log-mel frames of a recording in blocks of any size.

    The concatenated frames of all `push` calls and of `finish` are those of the whole recording: hours of sound need
    the memory of one block.
    """

    def __init__(self, front_end: FrontEnd) -> None:
        self._front_end = front_end
        self._half = front_end.fft_size // 2
        self._tail = np.zeros(0, np.float32)  # samples that later frames still need
        self._end = np.zeros(0, np.float32)  # the last samples so far, for the reflection at the end
        self._started = False
        self._samples = 0
        self._frames = 0

    def push(self, wave: Array) -> Array:
        """Add a block, and return the frames that it completes.

        Args:
            wave: (S,) float32.
        Returns:
            (T, F) float32; T may be 0.
        Raises:
            ValueError: wave is not one-dimensional, not finite, or so loud that its power overflows.
        """
        if wave.ndim != 1:
            raise ValueError(f"wave has shape {wave.shape}, expected (S,)")
        if not is_sound(wave):
            raise ValueError(f"wave holds NaN or infinite samples, or some beyond +-{MAX_SAMPLE:g}")
        wave = wave.astype(np.float32, copy=False)
        self._samples += len(wave)
        self._tail = np.concatenate([self._tail, wave]) if len(self._tail) else wave
        self._end = np.concatenate([self._end, wave[-self._half - 1 :]])[-self._half - 1 :]
        if not self._started:
            if len(self._tail) <= self._half:
                return self._no_frames()  # the reflection at the start needs samples of half a window
            self._begin()
        hop = self._front_end.hop_samples
        # Not before the start of the next frame is known: with a hop longer than the window, `_take` drops up to there.
        return self._take(min((len(self._tail) - self._front_end.fft_size) // hop + 1, len(self._tail) // hop))

    def finish(self) -> Array:
        """End the recording, and return its last frames.

        Returns:
            (T, F) float32.
        Raises:
            ValueError: no samples were pushed.
        """
        if self._samples == 0:
            raise ValueError("wave is empty")
        if not self._started:
            self._begin()
        self._tail = np.concatenate([self._tail, self._edge(self._end[::-1])])
        return self._take(1 + self._samples // self._front_end.hop_samples - self._frames)

    def _begin(self) -> None:
        self._tail = np.concatenate([self._edge(self._tail)[::-1], self._tail])
        self._started = True

    def _edge(self, wave: Array) -> Array:
        """Return the (fft_size / 2,) samples of padding before the first sample of `wave`, nearest first."""
        if self._front_end.padding == "constant":
            return np.zeros(self._half, np.float32)
        if len(wave) == 1:  # nothing to reflect: repeat the only sample
            return np.repeat(wave, self._half)
        if len(wave) <= self._half:  # shorter than the padding: numpy reflects it several times
            return np.pad(wave, (self._half, 0), mode="reflect")[: self._half][::-1]
        return np.ascontiguousarray(wave[1 : self._half + 1])

    def _no_frames(self) -> Array:
        return np.empty((0, self._front_end.n_mels), np.float32)

    def _take(self, frames: int) -> Array:
        """Compute the next `frames` frames, and drop the samples that no later frame needs."""
        if frames <= 0:
            return self._no_frames()
        hop = self._front_end.hop_samples
        result = _log_mel_frames(self._tail, frames, self._front_end)
        self._tail = self._tail[frames * hop :].copy()
        self._frames += frames
        return result


def _log_mel_frames(padded: Array, frames: int, front_end: FrontEnd) -> Array:
    """Compute (frames, F) log-mels of the windows that start at multiples of the hop in `padded` (S,)."""
    size = front_end.fft_size
    windows = torch.from_numpy(padded).unfold(0, size, front_end.hop_samples)  # (T, size), a view
    window = _window(size, front_end.window_samples)
    buffer = torch.empty(min(frames, _FRAMES_A_BLOCK), size)
    power = torch.empty(len(buffer), size // 2 + 1)
    mels = torch.empty(frames, front_end.n_mels)
    for start in range(0, frames, _FRAMES_A_BLOCK):
        count = min(_FRAMES_A_BLOCK, frames - start)
        block = torch.mul(windows[start : start + count], window, out=buffer[:count])
        spectrum = torch.fft.rfft(block).numpy().view(np.float32)  # (count, 2 * bins): real, imaginary, ...
        np.multiply(spectrum, spectrum, out=spectrum)
        # twice as fast as torch's strided sum
        np.add(spectrum[:, ::2], spectrum[:, 1::2], out=power[:count].numpy())
        for bands, bins, weights in _mel_groups(front_end):
            mels[start : start + count, bands] = power[:count, bins] @ weights
    return _logarithm(mels.numpy(), front_end)


def _logarithm(mels: Array, front_end: FrontEnd) -> Array:
    """Convert power to ln or dB, in place."""
    if front_end.log == "ln":
        mels += np.float32(front_end.offset)
        return np.log(mels, out=mels)
    np.maximum(mels, np.float32(front_end.offset), out=mels)
    np.log10(mels, out=mels)
    mels *= 10.0
    return mels


@functools.lru_cache(maxsize=8)
def _window(size: int, window_samples: int) -> torch.Tensor:
    """Return a (size,) periodic Hann window of `window_samples`, centred between zeros."""
    window = torch.zeros(size)
    left = (size - window_samples) // 2
    window[left : left + window_samples] = torch.hann_window(window_samples, dtype=torch.float64).float()
    return window


def mel_filters(front_end: FrontEnd) -> Array:
    """Return the (F, bins) float32 weights of each FFT bin in each band: Slaney's filters, each of area 1 in Hz."""
    import librosa

    return librosa.filters.mel(
        sr=front_end.sample_rate_hz,
        n_fft=front_end.fft_size,
        n_mels=front_end.n_mels,
        fmin=front_end.fmin_hz,
        fmax=front_end.fmax_hz,
    ).astype(np.float32)


@functools.lru_cache(maxsize=8)
def _mel_groups(front_end: FrontEnd) -> list[tuple[slice, slice, torch.Tensor]]:
    """Split the mel matrix into groups of neighbouring bands: (bands, FFT bins, (bins, bands) weights)."""
    matrix = mel_filters(front_end)
    groups = []
    for bands in np.array_split(np.arange(front_end.n_mels), min(_MEL_GROUPS, front_end.n_mels)):
        rows = matrix[bands[0] : bands[-1] + 1]
        bins = np.flatnonzero(rows.any(axis=0))
        first, last = (bins[0], bins[-1] + 1) if len(bins) else (0, 1)
        weights = torch.from_numpy(np.ascontiguousarray(rows[:, first:last].T))
        groups.append((slice(bands[0], bands[-1] + 1), slice(first, last), weights))
    return groups
