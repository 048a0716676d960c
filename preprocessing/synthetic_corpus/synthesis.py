"""Building blocks of synthesised sounds: noise, damped modes, tones and envelopes.

Everything is float32 at `SAMPLE_RATE_HZ`; S is the number of samples. Levels are arbitrary until
`at_level` sets them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import signal

SAMPLE_RATE_HZ = 44_100
Wave = npt.NDArray[np.float32]

_TABLE_SIZE = 4096
_LEVEL_FRAME = SAMPLE_RATE_HZ // 50  # 20 ms, about the ear's shortest integration time
_KNEE = 0.8


@dataclass(frozen=True)
class Voice:
    """What a recipe needs to know of the sound to make.

    Attributes:
        duration_s: length of one strike, or of the whole sound when it is steady.
        pitch_hz: frequency of its main tone or resonance.
        rate_hz: strikes, strokes, ticks, pulses or sweeps a second.
    """

    duration_s: float
    pitch_hz: float
    rate_hz: float

    @property
    def samples(self) -> int:
        """S, the length of the recipe's result."""
        return round(self.duration_s * SAMPLE_RATE_HZ)


Recipe = Callable[[np.random.Generator, Voice], Wave]


def noise(rng: np.random.Generator, samples: int) -> Wave:
    """White noise, uniform because that is drawn four times faster than normal. Returns: (S,) float32, RMS 1."""
    return (rng.random(samples, dtype=np.float32) - np.float32(0.5)) * np.float32(math.sqrt(12))


def seconds(samples: int) -> Wave:
    """The time of every sample. Returns: (S,) float32."""
    return np.arange(samples, dtype=np.float32) / np.float32(SAMPLE_RATE_HZ)


def band_pass(wave: Wave, low_hz: float, high_hz: float) -> Wave:
    """`wave` between two corner frequencies, 12 dB an octave on either side.

    Args:
        wave: (S,) float32.
        low_hz: lower corner; 0 keeps everything below `high_hz`.
        high_hz: upper corner; at or above 20 kHz everything above `low_hz` is kept.
    Returns:
        (S,) float32.
    """
    if low_hz <= 0:
        sections = signal.butter(2, high_hz, "lowpass", fs=SAMPLE_RATE_HZ, output="sos")
    elif high_hz >= 20_000:
        sections = signal.butter(2, low_hz, "highpass", fs=SAMPLE_RATE_HZ, output="sos")
    else:
        sections = signal.butter(2, (low_hz, high_hz), "bandpass", fs=SAMPLE_RATE_HZ, output="sos")
    filtered: Wave = signal.sosfilt(sections.astype(np.float32), wave)
    return filtered


def damped_modes(
    frequencies_hz: Sequence[float], amplitudes: Sequence[float], decays_s: Sequence[float], samples: int
) -> Wave:
    """The sum of decaying sines with which a struck body answers.

    Args:
        frequencies_hz: P modes.
        amplitudes: P start amplitudes.
        decays_s: P times in which a mode falls to 1/e.
        samples: S.
    Returns:
        (S,) float32, starting at 0.
    """
    # z^(kB + j) = (z^B)^k z^j: one small matrix product instead of P sines of length S
    block = math.isqrt(samples) + 1
    exponent = 2j * np.pi * np.asarray(frequencies_hz) - 1 / np.asarray(decays_s)
    exponent = exponent / SAMPLE_RATE_HZ
    within = np.asarray(amplitudes) * np.exp(np.arange(block)[:, None] * exponent)  # (B, P)
    across = np.exp(np.arange(block)[:, None] * block * exponent)  # (B, P)
    wave = across.real @ within.imag.T + across.imag @ within.real.T  # (B, B)
    return wave.reshape(-1)[:samples].astype(np.float32)


def tone(frequency_hz: Wave, amplitudes: Sequence[float]) -> Wave:
    """A harmonic tone that follows a pitch curve.

    Args:
        frequency_hz: (S,) float32, the fundamental at every sample.
        amplitudes: of harmonic 1, 2, ...; harmonics that would pass 20 kHz are left out.
    Returns:
        (S,) float32, peak at most 1.
    """
    kept = max(1, min(len(amplitudes), int(20_000 / float(frequency_hz.max()))))
    phase = np.arange(_TABLE_SIZE) / _TABLE_SIZE
    numbers = np.arange(1, kept + 1)
    table = np.asarray(amplitudes[:kept]) @ np.sin(2 * np.pi * numbers[:, None] * phase)  # (4096,)
    table = (table / np.abs(table).max()).astype(np.float32)
    cycles = np.cumsum(frequency_hz, dtype=np.float64) * (_TABLE_SIZE / SAMPLE_RATE_HZ)
    return table[cycles.astype(np.int64) % _TABLE_SIZE]


def line(points: Sequence[float], samples: int) -> Wave:
    """Straight lines through equally spaced points. Returns: (S,) float32."""
    where = np.linspace(0, len(points) - 1, samples, dtype=np.float32)
    return np.interp(where, np.arange(len(points)), points).astype(np.float32)


def wander(rng: np.random.Generator, samples: int, rate_hz: float, low: float, high: float) -> Wave:
    """A curve that drifts between two values, with about `rate_hz` turns a second. Returns: (S,) float32."""
    count = max(2, math.ceil(samples / SAMPLE_RATE_HZ * rate_hz) + 1)
    return line(rng.uniform(low, high, count).tolist(), samples)


def fade(wave: Wave, attack_s: float, release_s: float) -> Wave:
    """`wave` with a raised-cosine start and end, so that it neither clicks in nor out. Returns: (S,)."""
    result = wave.copy()
    attack = min(round(attack_s * SAMPLE_RATE_HZ), len(wave) // 2)
    release = min(round(release_s * SAMPLE_RATE_HZ), len(wave) // 2)
    rise = (0.5 - 0.5 * np.cos(np.pi * np.arange(attack) / max(attack, 1))).astype(np.float32)
    fall = (0.5 + 0.5 * np.cos(np.pi * np.arange(1, release + 1) / max(release, 1))).astype(np.float32)
    result[:attack] *= rise
    result[len(wave) - release :] *= fall
    return result


def decay(samples: int, decay_s: float) -> Wave:
    """exp(-t / decay_s). Returns: (S,) float32."""
    return np.exp(seconds(samples) * np.float32(-1 / decay_s))


def place(sound: Wave, onsets_s: Sequence[float], gains: Sequence[float], samples: int) -> Wave:
    """Copies of `sound`, one an onset, added up; what passes the end is cut. Returns: (S,) float32."""
    result = np.zeros(samples, np.float32)
    for onset_s, gain in zip(onsets_s, gains, strict=True):
        start = round(onset_s * SAMPLE_RATE_HZ)
        piece = sound[: max(0, samples - start)]
        result[start : start + len(piece)] += np.float32(gain) * piece
    return result


def active_rms(wave: Wave) -> float:
    """RMS over the 20-ms frames within 20 dB of the loudest: pauses between strikes do not count.

    Args:
        wave: (S,) float32; shorter than a frame, it is one frame.
    Returns:
        The RMS, full scale is 1; 0 for silence.
    """
    frame = min(_LEVEL_FRAME, len(wave))
    frames = wave[: len(wave) // frame * frame].reshape(-1, frame)
    power = np.einsum("tf,tf->t", frames, frames) / frame  # (T,)
    return math.sqrt(float(power[power >= power.max() / 100].mean()))


def at_level(wave: Wave, level_db: float) -> Wave:
    """`wave` scaled to an active RMS, with its highest peaks rounded off below full scale.

    Args:
        wave: (S,) float32, not silent.
        level_db: the active RMS wanted, dB below full scale (so negative).
    Returns:
        (S,) float32, peak below 0.99.
    """
    wave = wave * np.float32(10 ** (level_db / 20) / active_rms(wave))
    over = np.abs(wave) > _KNEE
    if over.any():  # tanh above the knee only: the rest of the wave stays as it is
        span = np.float32(0.98 - _KNEE)
        excess = (np.abs(wave[over]) - np.float32(_KNEE)) / span
        wave[over] = np.sign(wave[over]) * (np.float32(_KNEE) + span * np.tanh(excess))
    return wave
