"""Log-mels against librosa's, whole and in blocks."""

import librosa
import numpy as np
import pytest

from tests.utils.audio_utils.test_front_end import CUSTOM
from utils.audio_utils import FrontEnd, LogMelStream, log_mel

ODD_WINDOW = CUSTOM | {"window_samples": 333, "hop_samples": 127, "n_mels": 3, "log": "ln", "padding": "constant"}
WIDE_HOP = CUSTOM | {"hop_samples": 500}  # more than half a window: the reflection reaches over frames already made
WIDER_HOP = CUSTOM | {"hop_samples": 1300, "padding": "constant"}  # samples between the windows belong to none
FRONT_ENDS = {
    "dcase2023": {"name": "dcase2023"},
    "panns": {"name": "panns"},
    "custom": CUSTOM,
    "odd window": ODD_WINDOW,
    "wide hop": WIDE_HOP,
    "wider hop": WIDER_HOP,
}


@pytest.fixture(params=list(FRONT_ENDS))
def front_end(request):
    return FrontEnd.model_validate(FRONT_ENDS[request.param])


def librosa_log_mel(wave, front_end):
    power = librosa.feature.melspectrogram(
        y=wave,
        sr=front_end.sample_rate_hz,
        n_fft=front_end.fft_size,
        hop_length=front_end.hop_samples,
        win_length=front_end.window_samples,
        window="hann",
        center=True,
        pad_mode=front_end.padding,
        power=2.0,
        n_mels=front_end.n_mels,
        fmin=front_end.fmin_hz,
        fmax=front_end.fmax_hz,
    ).T
    if front_end.log == "ln":
        return np.log(power + np.float32(front_end.offset))
    return librosa.power_to_db(power, ref=1.0, amin=front_end.offset, top_db=None)


def noise(samples, seed=0):
    """Noise with a loud tone, a quiet half and a stretch of silence."""
    rng = np.random.default_rng(seed)
    wave = 0.1 * rng.standard_normal(samples) + 0.5 * np.sin(0.3 * np.arange(samples))
    wave[samples // 2 :] *= 1e-3
    wave[samples // 3 : samples // 2] = 0
    return wave.astype(np.float32)


@pytest.mark.parametrize("samples", [88_200, 50_001, 5000])
def test_equals_librosa(front_end, samples):
    wave = noise(samples)
    ours = log_mel(wave, front_end)
    assert ours.shape == (1 + samples // front_end.hop_samples, front_end.n_mels)
    assert ours.dtype == np.float32
    unit = 1.0 if front_end.log == "ln" else 10 / np.log(10)  # dB are 4.3 times as fine
    theirs = librosa_log_mel(wave, front_end)
    # what a processor's float32 FFT rounds away beside a loud tone shows in bands 50 dB below it
    near = ours > ours.max(axis=1, keepdims=True) - np.log(1e5) * unit
    assert near.mean() > 0.5
    np.testing.assert_allclose(ours[near], theirs[near], rtol=1e-6, atol=1e-5 * unit)
    np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-4 * unit)


@pytest.mark.filterwarnings("ignore:n_fft=:UserWarning")
def test_clips_shorter_than_a_window(front_end):
    for samples in (1, 2, 3, 17, front_end.fft_size // 2, front_end.fft_size // 2 + 1, front_end.fft_size - 1):
        wave = noise(samples, seed=samples) + np.float32(0.1)
        ours = log_mel(wave, front_end)
        half = front_end.fft_size // 2
        mode = front_end.padding if samples > 1 else {"constant": "constant", "reflect": "edge"}[front_end.padding]
        padded = np.pad(wave, half, mode=mode)  # librosa refuses to reflect such clips; numpy folds them
        frames = np.stack([padded[t * front_end.hop_samples :][: front_end.fft_size] for t in range(len(ours))])
        window = librosa.util.pad_center(
            librosa.filters.get_window("hann", front_end.window_samples), size=front_end.fft_size
        )
        power = np.abs(np.fft.rfft(frames * window)) ** 2
        mel = librosa.filters.mel(
            sr=front_end.sample_rate_hz,
            n_fft=front_end.fft_size,
            n_mels=front_end.n_mels,
            fmin=front_end.fmin_hz,
            fmax=front_end.fmax_hz,
        )
        mels = power @ mel.T
        assert ours.shape == (1 + samples // front_end.hop_samples, front_end.n_mels)
        # as power, since a constant clip has bands of almost none, whose logarithm is float32's rounding
        found = np.exp(ours) if front_end.log == "ln" else 10 ** (ours / 10)
        floor = front_end.offset
        expected = mels + floor if front_end.log == "ln" else np.maximum(mels, floor)
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-7 * power.sum())


def test_blocks_of_any_size_give_the_frames_of_the_whole(front_end):
    rng = np.random.default_rng(1)
    for case in range(12):
        wave = noise(int(rng.integers(1, 30_000)), seed=case)
        whole = log_mel(wave, front_end)
        cuts = np.sort(rng.integers(0, len(wave) + 1, int(rng.integers(0, 30))))  # empty blocks too
        stream = LogMelStream(front_end)
        blocks = [stream.push(block) for block in np.split(wave, cuts)] + [stream.finish()]
        np.testing.assert_allclose(np.concatenate(blocks), whole, rtol=1e-6, atol=1e-5)


def test_sample_by_sample():
    front_end = FrontEnd.model_validate(WIDE_HOP)
    wave = noise(1400)
    stream = LogMelStream(front_end)
    blocks = [stream.push(wave[n : n + 1]) for n in range(len(wave))] + [stream.finish()]
    np.testing.assert_allclose(np.concatenate(blocks), log_mel(wave, front_end), rtol=1e-6, atol=1e-5)


def test_the_stream_keeps_no_more_than_a_window(front_end):
    stream = LogMelStream(front_end)
    for _ in range(20):
        stream.push(noise(10_000))
    assert len(stream._tail) < front_end.fft_size + front_end.hop_samples


def test_the_floor_is_the_value_of_silence(front_end):
    silence = log_mel(np.zeros(20_000, np.float32), front_end)
    assert silence.min() == silence.max() == pytest.approx(front_end.floor, rel=2e-7)


@pytest.mark.parametrize(
    ("wave", "message"),
    [
        (np.zeros(0, np.float32), "wave is empty"),
        (np.zeros((2, 100), np.float32), r"wave has shape \(2, 100\), expected \(S,\)"),
        (np.array([0, np.nan, 0], np.float32), "NaN or infinite"),
        (np.array([0, np.inf, 0], np.float32), "NaN or infinite"),
    ],
)
def test_waves_that_are_none_are_refused(wave, message):
    with pytest.raises(ValueError, match=message):
        log_mel(wave, FrontEnd.model_validate({"name": "dcase2023"}))


@pytest.mark.filterwarnings("ignore:overflow:RuntimeWarning")
def test_log_mels_are_finite_up_to_the_loudest_sample_and_a_louder_one_is_refused():
    for name in ("dcase2023", "panns"):
        front_end = FrontEnd.model_validate({"name": name})
        wave = np.full(5000, 1e6, np.float32)
        wave[::2] *= -1
        assert np.isfinite(log_mel(wave, front_end)).all()
        wave[17] = 1e25  # its square overflows float32
        with pytest.raises(ValueError, match=r"or some beyond \+-1e\+06"):
            log_mel(wave, front_end)
