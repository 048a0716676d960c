"""Find recordings that are nearly the same, among many: in another file, coding or loudness, or cut elsewhere.

A fingerprint holds landmarks, which are pairs of peaks of the spectrogram, and a bit for each band and frame: whether
the difference to the next band rises. Landmarks find a pair of recordings and the offset between them without comparing
all with all; but two notes of one pitch share their harmonics, and so many of them. The bits decide: half of those of
two different recordings are equal, and nearly all of those of a copy.

Sources: landmarks: A. Wang, "An industrial-strength audio search algorithm", ISMIR 2003, here with peaks that are the
loudest of their neighbourhood, which do not depend on where a recording begins. Bits: J. Haitsma and T. Kalker, "A
highly robust audio fingerprinting system", ISMIR 2002.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import soxr
from numpy.typing import NDArray

Integers = NDArray[np.int64]

SAMPLE_RATE_HZ = 11_025
_WINDOW, _HOP = 1024, 256  # 93 and 23 ms
_LOWEST, _HIGHEST = 10, 420  # bins of 10.8 Hz: what is below 110 Hz or above 4.5 kHz may be lost in coding
_FLOOR = 1e-6  # power below the loudest peak, -60 dB: softer peaks are noise
_NEAR_FRAMES, _NEAR_BINS = 5, 8  # a peak is the loudest of its neighbourhood, this far to each side
_PEAKS = 20  # the loudest of each second: noise has many, which would fill the memory and say little
_FAN_OUT = 8  # landmarks that begin at one peak
_LONGEST = 64  # frames of a landmark: 1.5 s
_WIDEST = 127  # bins of a landmark
_SHIFTS = 1 << 23  # frames to both sides of a recording of a day
_BANDS = 33  # of the bits, 32 a frame
_SMOOTHED = 16  # frames of 0.37 s: two recordings whose frames do not coincide have nearly the same
_LEAST_FRAMES = 22  # of a common stretch: within less than half a second, bits agree by chance
# A landmark of more places than this tells nothing, but costs their square: hums.
_COMMON = 100
_BLOCK = 1 << 22  # places to compare at a time


class Fingerprint(NamedTuple):
    """The landmarks of a recording, in the order of time.

    Attributes:
        hashes: (H,) uint32, of two frequencies and a distance.
        frames: (H,) int32, when each begins.
        bits: (T,) uint32, of each frame.
        audible: (T,) bool, whether a frame is less than 60 dB below the loudest.
    """

    hashes: NDArray[np.uint32]
    frames: NDArray[np.int32]
    bits: NDArray[np.uint32]
    audible: NDArray[np.bool_]


class SimilarPair(NamedTuple):
    """Two recordings that are nearly the same.

    Attributes:
        first: row of one.
        second: row of the other, larger.
        score: 1 for equal bits, 0 for as many equal ones as by chance.
        offset_s: how much later the second has what the first has.
    """

    first: int
    second: int
    score: float
    offset_s: float


def fingerprint(wave: NDArray[np.float32], sample_rate_hz: int) -> Fingerprint:
    """Compute the fingerprint of a recording.

    Args:
        wave: (S,) mono; silence has no landmarks, and so is similar to nothing.
        sample_rate_hz: of the wave.
    """
    from scipy.ndimage import maximum_filter

    power = _spectrogram(
        wave if sample_rate_hz == SAMPLE_RATE_HZ else soxr.resample(wave, sample_rate_hz, SAMPLE_RATE_HZ)
    )
    loudest = maximum_filter(power, (2 * _NEAR_FRAMES + 1, 2 * _NEAR_BINS + 1), mode="constant")
    peaks = (power == loudest) & (power > _FLOOR * power.max(initial=0))
    frames, bins = np.nonzero(peaks)  # in the order of time
    kept = _loudest_of_each_second(frames, power[frames, bins])
    return Fingerprint(*_landmarks(frames[kept], bins[kept]), *_bits(power))


def _loudest_of_each_second(frames: Integers, power: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Which peaks are among the `_PEAKS` loudest of their second. Returns: (P,) bool."""
    seconds = frames * _HOP // SAMPLE_RATE_HZ
    order = np.lexsort((-power, seconds))
    ranks = np.empty(len(frames), np.int64)
    ranks[order] = np.arange(len(frames)) - np.searchsorted(seconds, seconds)
    return ranks < _PEAKS


def _spectrogram(wave: NDArray[np.float32]) -> NDArray[np.float32]:
    """Power in the bins between `_LOWEST` and `_HIGHEST`. Returns: (T, F) float32."""
    from scipy import fft

    count = max(0, (len(wave) - _WINDOW) // _HOP + 1)
    if count == 0:
        return np.zeros((0, _HIGHEST - _LOWEST), np.float32)
    frames = np.lib.stride_tricks.sliding_window_view(wave, _WINDOW)[::_HOP][:count]
    spectrum = fft.rfft(frames * np.hanning(_WINDOW).astype(np.float32), axis=1)[:, _LOWEST:_HIGHEST]
    power: NDArray[np.float32] = spectrum.real**2 + spectrum.imag**2
    return power


def _landmarks(frames: Integers, bins: Integers) -> tuple[NDArray[np.uint32], NDArray[np.int32]]:
    """Pair each peak with those that follow it nearest in time."""
    starts, hashes = [], []
    found = np.zeros(len(frames), np.int64)
    for ahead in range(1, 6 * _FAN_OUT):
        first, second = np.arange(max(0, len(frames) - ahead)), np.arange(ahead, len(frames))
        distances, leaps = frames[second] - frames[first], bins[second] - bins[first]
        usable = (distances > 1) & (distances <= _LONGEST) & (np.abs(leaps) <= _WIDEST) & (found[first] < _FAN_OUT)
        first, distances, leaps = first[usable], distances[usable], leaps[usable]
        found[first] += 1
        starts.append(frames[first])
        # 9 bits of a frequency, 8 of a leap, 6 of a distance
        hashes.append((bins[first] << 14) | ((leaps + _WIDEST) << 6) | (distances - 1))
    start, hashed = np.concatenate(starts), np.concatenate(hashes)
    order = np.argsort(start, kind="stable")
    return hashed[order].astype(np.uint32), start[order].astype(np.int32)


def _bits(power: NDArray[np.float32]) -> tuple[NDArray[np.uint32], NDArray[np.bool_]]:
    """The bits of each frame, and whether it is audible. Args: power: (T, F)."""
    from scipy.ndimage import uniform_filter1d

    edges = np.geomspace(_LOWEST, _HIGHEST, _BANDS + 1).round().astype(int)[:-1] - _LOWEST
    bands = uniform_filter1d(np.add.reduceat(power, edges, axis=1), _SMOOTHED, axis=0, mode="constant")
    loudness = bands.sum(axis=1)
    # logarithms: a swell of the whole sound is then no difference between bands, and two swells are not alike
    tilts = np.diff(np.log(bands + _FLOOR * loudness.max(initial=0) + np.finfo(np.float32).tiny), axis=1)
    rises = np.diff(tilts, axis=0, prepend=tilts[:1]) > 0  # (T, 32)
    return (rises << np.arange(_BANDS - 1)).sum(axis=1).astype(np.uint32), loudness > _FLOOR * loudness.max(initial=0)


def similar_pairs(prints: Sequence[Fingerprint], min_score: float = 0.35, min_votes: int = 6) -> list[SimilarPair]:
    """Find the pairs of recordings that are nearly the same.

    Args:
        prints: of N recordings; 12 bytes a landmark are held twice.
        min_score: the least score. Copies as MP3s of 64 kbit/s or cut elsewhere have 0.6 to 0.9, remasters about 0.45,
            single notes of one pitch and one instrument up to 0.33.
        min_votes: the least number of common landmarks at one offset; a recording with fewer, such as a short note, is
            similar to nothing.

    Returns:
        The pairs, in the order of their rows.
    """
    sizes = np.array([len(print_.hashes) for print_ in prints], np.int64)
    if not sizes.sum():
        return []
    places = _Places(
        np.concatenate([print_.hashes for print_ in prints]),
        np.repeat(np.arange(len(prints), dtype=np.int32), sizes),
        np.concatenate([print_.frames for print_ in prints]),
    )
    order = np.argsort(places.hashes, kind="stable")
    index = places.at(order)
    pairs = []
    for start, stop in _blocks(places, index):
        block = places.at(slice(start, stop))
        for first, second, shift in _voted(block, index, min_votes):
            score = max(_likeness(prints[first], prints[second], shift + step) for step in (-1, 0, 1))
            if score >= min_score:
                pairs.append(SimilarPair(first, second, score, shift * _HOP / SAMPLE_RATE_HZ))
    return sorted(pairs)


class _Places(NamedTuple):
    """H landmarks of all recordings: (H,) hashes, the row of the recording, and when each begins."""

    hashes: NDArray[np.uint32]
    owners: NDArray[np.int32]
    frames: NDArray[np.int32]

    def at(self, rows: slice | Integers) -> _Places:
        """Some of them."""
        return _Places(self.hashes[rows], self.owners[rows], self.frames[rows])


def _blocks(places: _Places, index: _Places) -> Iterator[tuple[int, int]]:
    """Slices of whole recordings, of about `_BLOCK` comparisons each."""
    ends = np.cumsum(np.bincount(places.owners))
    _, counts = _found(places.hashes, index)
    work = np.cumsum(counts)[ends - 1] // _BLOCK
    stops = ends[np.append(np.flatnonzero(np.diff(work)), len(ends) - 1)]
    return zip(np.append(0, stops[:-1]).tolist(), stops.tolist(), strict=True)


def _found(hashes: NDArray[np.uint32], index: _Places) -> tuple[Integers, Integers]:
    """Where each hash begins in the index, and how often it is there; 0 for a hash that is too common to tell."""
    left = np.searchsorted(index.hashes, hashes, "left")
    counts = np.searchsorted(index.hashes, hashes, "right") - left
    return left, np.where(counts > _COMMON, 0, counts)


def _voted(block: _Places, index: _Places, min_votes: int) -> list[tuple[int, int, int]]:
    """(first, second, shift in frames) of the pairs whose landmarks agree on a shift."""
    left, counts = _found(block.hashes, index)
    query = np.repeat(np.arange(len(counts)), counts)
    place = np.arange(len(query)) - np.repeat(np.cumsum(counts) - counts - left, counts)
    later = index.owners[place] > block.owners[query]
    query, place = query[later], place[later]
    total = int(index.owners.max()) + 1
    shift = index.frames[place] - block.frames[query] + _SHIFTS // 2
    keys, votes = np.unique(
        (block.owners[query].astype(np.int64) * total + index.owners[place]) * _SHIFTS + shift, return_counts=True
    )
    # a shift that is no whole number of frames has its votes on both sides
    votes[:-1] += np.where(np.diff(keys) == 1, votes[1:], 0)
    enough = votes >= min_votes
    keys, votes = keys[enough], votes[enough]
    order = np.lexsort((votes, keys // _SHIFTS))
    best = order[np.append(np.diff(keys[order] // _SHIFTS) > 0, True)] if len(order) else order
    pairs, shifts = keys[best] // _SHIFTS, keys[best] % _SHIFTS - _SHIFTS // 2
    rows = np.stack([pairs // total, pairs % total, shifts], axis=1)
    return [(first, second, shift) for first, second, shift in rows.tolist()]


def _likeness(first: Fingerprint, second: Fingerprint, shift: int) -> float:
    """The score of two recordings where a frame of the first is that of the second `shift` frames later."""
    start, stop = max(0, -shift), min(len(first.bits), len(second.bits) - shift)
    if stop - start < _LEAST_FRAMES:
        return 0.0
    one, other = slice(start, stop), slice(start + shift, stop + shift)
    audible = first.audible[one] & second.audible[other]
    if audible.sum() < _LEAST_FRAMES:
        return 0.0
    different = np.bitwise_count(first.bits[one][audible] ^ second.bits[other][audible])
    return max(0.0, 1 - 2 * float(different.mean()) / (_BANDS - 1))
