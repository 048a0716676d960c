"""FMA's 518 hand-crafted features of a track: seven statistics over its frames of 74 rows of chroma, MFCC and the like.

Source: Defferrard, Benzi, Vandergheynst, Bresson, "FMA: A Dataset For Music Analysis", ISMIR 2017, and its features.py,
which calls librosa 0.5. What is computed otherwise than there: docs/data_formats.md.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

Array = NDArray[np.float32]

# Increase this when the values change: features are then computed again.
TRACK_FEATURES_VERSION = 1

# Feature -> rows of a frame, in the order of the columns.
FEATURE_ROWS = {
    "chroma_cens": 12,
    "chroma_cqt": 12,
    "chroma_stft": 12,
    "mfcc": 20,
    "rmse": 1,
    "spectral_bandwidth": 1,
    "spectral_centroid": 1,
    "spectral_contrast": 7,
    "spectral_rolloff": 1,
    "tonnetz": 6,
    "zcr": 1,
}
STATISTICS = ("kurtosis", "max", "mean", "median", "min", "skew", "std")
# FMA's columns, feature by feature, then statistic by statistic, then row by row.
COLUMNS = tuple(
    f"{feature}_{statistic}_{row:02d}"
    for feature, rows in FEATURE_ROWS.items()
    for statistic in STATISTICS
    for row in range(1, rows + 1)
)
# The 140 columns of the MFCC, the baseline of music recommendation and of classification.
MFCC = slice(COLUMNS.index("mfcc_kurtosis_01"), COLUMNS.index("mfcc_std_20") + 1)
MFCC_COLUMNS = COLUMNS[MFCC]

# The constant-Q transform goes up to B7, whose filter ends above 4 kHz; from 96 kHz on, some mel filters have no bin.
MIN_RATE_HZ, MAX_RATE_HZ = 11_025, 48_000
# A longer wave is computed in windows of at most so many samples (95 s at 44.1 kHz), in about 500 MB.
WINDOW_SAMPLES = 2**22
# Of a longer recording, the rest does not count: the frames of all windows are in memory, 93 MB an hour at 44.1 kHz.
LONGEST_S = 3600

_FFT = 2048
_HOP = 512
# FMA calls librosa without the sample rate for all rows of the spectrum except the MFCC, and librosa then takes this
# one: at 44.1 kHz the centroid is half of what it is in Hz. The published values are these.
_ASSUMED_RATE_HZ = 22_050
_PITCH_RANGE_HZ = (150.0, 4000.0)
_SEMITONE = 2 ** (1 / 12)
# librosa 0.10 made the filters of the constant-Q transform 3 % longer; with this scale they are as long as before.
_FILTER_SCALE = (_SEMITONE**2 - 1) / (_SEMITONE**2 + 1) / (_SEMITONE - 1)


def load_librosa() -> None:
    """Load what `track_features` needs, so that forked processes inherit it."""
    track_features([np.zeros(1, np.float32)], MIN_RATE_HZ)


def rate_of(sample_rate_hz: int) -> int:
    """Return the rate at which a recording is read: its own, as FMA does, or the next one that the features allow."""
    return min(max(sample_rate_hz, MIN_RATE_HZ), MAX_RATE_HZ)


def track_features(waves: Iterable[Array], sample_rate_hz: int) -> Array:
    """Compute the features of a track.

    Args:
        waves: (S,) float32 each, its windows one after the other; one for a track of up to `WINDOW_SAMPLES`.
        sample_rate_hz: of the waves: `rate_of` the recording's own.
    Returns:
        (518,) float32 in the order of `COLUMNS`, all finite: the features of a frame are constant in silence, where the
        skewness is 0 and the kurtosis -3.
    """
    with _reproducibly():
        rows = np.concatenate([frame_features(wave, sample_rate_hz) for wave in waves], axis=1)
        ends = np.cumsum(list(FEATURE_ROWS.values()))
        return np.concatenate([_statistics(feature) for feature in np.split(rows, ends[:-1])])


def mfcc_features(waves: Iterable[Array], sample_rate_hz: int) -> Array:
    """Compute only the columns `MFCC` of `track_features`, in a tenth of the time.

    Args:
        waves: (S,) float32 each.
        sample_rate_hz: of the waves.
    Returns:
        (140,) float32.
    """
    with _reproducibly():
        return _statistics(np.concatenate([_mfcc(np.square(_spectrum(w)), sample_rate_hz) for w in waves], axis=1))


@contextlib.contextmanager
def _reproducibly() -> Iterator[None]:
    """The block in which features are computed: with one thread, without librosa's warnings."""
    # more threads would change the last digits, and take the cores of other processes
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="n_fft=", category=UserWarning)  # of clips shorter than a filter
        yield


def frame_features(wave: Array, sample_rate_hz: int) -> Array:
    """Compute the rows of which `track_features` takes the statistics.

    Args:
        wave: (S,) float32; a wave shorter than a frame, 2048 samples, is padded with zeros at its end.
        sample_rate_hz: of the wave.
    Returns:
        (74, T) float32, feature by feature as in `FEATURE_ROWS`; T = 1 + S // 512.
    """
    from librosa import feature

    spectrum = _spectrum(wave)
    power = np.square(spectrum)
    found = _constant_q_features(wave, spectrum, sample_rate_hz)
    tuning = estimate_tuning(power, _ASSUMED_RATE_HZ)
    found["chroma_stft"] = feature.chroma_stft(S=power, sr=_ASSUMED_RATE_HZ, n_chroma=12, tuning=tuning)
    found["mfcc"] = _mfcc(power, sample_rate_hz)
    # today's librosa.feature.rms scales to the level of the wave; FMA has the mean over bins
    found["rmse"] = np.sqrt(power.mean(axis=0, keepdims=True))
    centroid = feature.spectral_centroid(S=spectrum, sr=_ASSUMED_RATE_HZ)
    found["spectral_centroid"] = centroid
    found["spectral_bandwidth"] = feature.spectral_bandwidth(S=spectrum, sr=_ASSUMED_RATE_HZ, centroid=centroid)
    found["spectral_contrast"] = feature.spectral_contrast(S=spectrum, sr=_ASSUMED_RATE_HZ, n_bands=6)
    found["spectral_rolloff"] = feature.spectral_rolloff(S=spectrum, sr=_ASSUMED_RATE_HZ)
    found["zcr"] = zero_crossing_rate(_padded(wave))
    return np.concatenate([found[name] for name in FEATURE_ROWS]).astype(np.float32)


def _padded(wave: Array) -> Array:
    return np.pad(wave, (0, max(0, _FFT - len(wave))))


def _spectrum(wave: Array) -> Array:
    """Compute (1025, T) magnitudes."""
    from librosa import stft

    # librosa padded with reflections before 0.10
    magnitudes: Array = np.abs(stft(_padded(wave), n_fft=_FFT, hop_length=_HOP, pad_mode="reflect"))
    return magnitudes


def _mfcc(power: Array, sample_rate_hz: int) -> Array:
    """Compute (20, T) coefficients of a (1025, T) spectrum."""
    from librosa import feature, power_to_db

    mel = feature.melspectrogram(S=power, sr=sample_rate_hz)
    coefficients: Array = feature.mfcc(S=power_to_db(mel), n_mfcc=FEATURE_ROWS["mfcc"])
    return coefficients


def _constant_q_features(wave: Array, spectrum: Array, sample_rate_hz: int) -> dict[str, NDArray[np.floating]]:
    from librosa import cqt, feature

    constant_q = np.abs(
        cqt(
            _padded(wave),
            sr=sample_rate_hz,
            hop_length=_HOP,
            n_bins=84,
            tuning=estimate_tuning(spectrum, sample_rate_hz),
            filter_scale=_FILTER_SCALE,
            pad_mode="reflect",
        )
    )
    # 12 bins an octave were librosa's default once
    cens = feature.chroma_cens(C=constant_q, n_chroma=12, n_octaves=7, bins_per_octave=12)
    return {
        "chroma_cens": cens,
        "chroma_cqt": feature.chroma_cqt(C=constant_q, n_chroma=12, n_octaves=7, bins_per_octave=12),
        "tonnetz": feature.tonnetz(chroma=cens),
    }


def estimate_tuning(spectrum: Array, sample_rate_hz: int) -> float:
    """Estimate how far the pitches of a recording are from A = 440 Hz.

    By hand: `librosa.estimate_tuning` interpolates all bins, in machine code that numba keeps in files; two processes
    that make these files at once spoil them, and every later call crashes (github.com/numba/numba/issues/10128).

    Args:
        spectrum: (F, T) float32, magnitude or power.
        sample_rate_hz: of the recording.
    Returns:
        Semitones in [-0.5, 0.5), in steps of 0.01; 0 in silence.
    """
    from librosa import pitch_tuning

    frequencies = np.arange(len(spectrum)) * (sample_rate_hz / _FFT)
    low, high = _PITCH_RANGE_HZ
    bins = np.flatnonzero((low <= frequencies) & (frequencies < min(high, sample_rate_hz / 2)))
    bins = bins[bins < len(spectrum) - 1]
    middle = spectrum[bins[0] : bins[-1] + 1]
    below, above = spectrum[bins[0] - 1 : bins[-1]], spectrum[bins[0] + 1 : bins[-1] + 2]
    quiet = 0.1 * spectrum.max(axis=0)
    peaks = np.nonzero((middle > quiet) & (middle > below) & (middle >= above))
    # the vertex of the parabola through a peak and its neighbours
    left, peak, right = below[peaks], middle[peaks], above[peaks]
    slope = (right - left) / 2
    shift = slope / (2 * peak - left - right)
    heights = peak + slope * shift / 2
    pitches = (bins[0] + peaks[0] + shift) * (sample_rate_hz / _FFT)
    if not len(pitches):
        return 0.0
    return float(pitch_tuning(pitches[heights >= np.median(heights)], resolution=0.01, bins_per_octave=12))


def zero_crossing_rate(wave: Array) -> NDArray[np.float64]:
    """Count changes of sign, as `librosa.feature.zero_crossing_rate` does, without numba (see `estimate_tuning`).

    Args:
        wave: (S,) float32.
    Returns:
        (1, T): of each frame, the share of its 2048 samples whose sign is not that of the one before.
    """
    padded = np.pad(wave, _FFT // 2, mode="edge")
    negative = np.signbit(np.where(np.abs(padded) <= 1e-10, 0, padded))
    crossings = np.concatenate([[0, 0], np.cumsum(negative[1:] != negative[:-1])])  # before sample n
    starts = np.arange(0, len(padded) - _FFT + 1, _HOP)
    # the first sample of a frame has no predecessor in it
    return (crossings[starts + _FFT] - crossings[starts + 1])[None] / _FFT


def _statistics(rows: Array) -> Array:
    """Compute (7 n,) statistics of (n, T) rows, statistic by statistic."""
    from scipy import stats

    values = rows.astype(np.float64)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=RuntimeWarning)  # of constant rows, which are dealt with below
        skew, kurtosis = stats.skew(values, axis=1), stats.kurtosis(values, axis=1)
    return np.concatenate(
        [
            np.nan_to_num(kurtosis, nan=-3.0),  # as scipy gave them in FMA's time
            values.max(axis=1),
            values.mean(axis=1),
            np.median(values, axis=1),
            values.min(axis=1),
            np.nan_to_num(skew, nan=0.0),
            values.std(axis=1),
        ]
    ).astype(np.float32)
