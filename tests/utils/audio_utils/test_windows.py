"""A window is the slice of the whole clip, in every format, at its own rate and resampled."""

import contextlib

import numpy as np
import pytest
import soundfile

from tests.utils.audio_utils.encoding import encode, mp3
from utils.audio_utils import AudioError, read_wave, read_window, regrouped

SECONDS = 4


def sound(rate, channels=1, seconds=SECONDS):
    """A tone that wavers, and bursts of noise: no two parts are alike."""
    rng = np.random.default_rng(rate + channels)
    t = np.arange(rate * seconds) / rate
    tones = [0.3 * np.sin(2 * np.pi * t * (200 + 50 * np.sin(t + c))) for c in range(channels)]
    return np.stack([tone + 0.1 * rng.standard_normal(len(t)) * (np.sin(5 * t) > 0) for tone in tones])


def small_mp3(path, rate, channels):
    """8 kbit/s: in stereo a frame refers back to 85 others."""
    options = {"b": "8k"}
    return encode(path, sound(rate, channels, 8), rate, container="mp3", codec="libmp3lame", codec_options=options)


def written(path, rate, **options):
    soundfile.write(path, sound(rate, 2).T, rate, **options)
    return path


FILES = {
    "wav": (22_050, lambda p: written(p, 22_050, format="WAV")),
    "wav, floats": (16_000, lambda p: written(p, 16_000, format="WAV", subtype="FLOAT")),
    "wav, ADPCM": (16_000, lambda p: written(p, 16_000, format="WAV", subtype="MS_ADPCM")),
    "flac": (44_100, lambda p: written(p, 44_100, format="FLAC")),
    "ogg": (44_100, lambda p: written(p, 44_100, format="OGG")),
    "mp3": (44_100, lambda p: mp3(p, sound(44_100, 2), 44_100)),
    "mp3 without a header": (48_000, lambda p: mp3(p, sound(48_000), 48_000, header=False)),
    "mp3 of 8 kbit/s": (24_000, lambda p: small_mp3(p, 24_000, 2)),
    "m4a": (44_100, lambda p: encode(p, sound(44_100), 44_100, container="mp4", codec="aac")),
    "webm": (48_000, lambda p: encode(p, sound(48_000), 48_000, container="webm", codec="libopus")),
}


@pytest.mark.parametrize("kind", FILES)
def test_a_window_is_the_slice_of_the_whole(tmp_path, kind):
    rate, write = FILES[kind]
    path = write(tmp_path / "clip")
    for wanted_rate, tolerance in [(rate, 0), (16_000 if rate != 16_000 else 44_100, 1e-5)]:
        whole = read_wave(path, wanted_rate)
        samples = wanted_rate
        inside = np.random.default_rng(0).integers(0, len(whole) - samples, 4).tolist()
        for start in [0, 1, *inside, len(whole) - samples, len(whole) - 300, len(whole) - 1, len(whole)]:
            window = read_window(path, wanted_rate, start, samples)
            assert window.dtype == np.float32
            np.testing.assert_allclose(window, whole[start : start + samples], rtol=0, atol=tolerance)


@pytest.mark.parametrize("rates", [(44_100, 16_001), (8000, 48_000), (96_000, 8000), (44_100, 48_000)])
def test_the_resampler_is_in_step_at_any_two_rates(tmp_path, rates):
    rate, wanted_rate = rates
    path = written(tmp_path / "clip.wav", rate, subtype="FLOAT")
    whole = read_wave(path, wanted_rate)
    for start in [wanted_rate // 3, 2 * wanted_rate + 1, 3 * wanted_rate - 7]:
        window = read_window(path, wanted_rate, start, wanted_rate // 2)
        np.testing.assert_allclose(window, whole[start : start + wanted_rate // 2], rtol=0, atol=1e-5)


@pytest.mark.parametrize("kind", ["flac", "mp3"])
def test_what_lies_far_before_a_window_is_not_decoded(tmp_path, kind):
    rate, write = FILES[kind]
    path = write(tmp_path / "clip")
    whole = read_wave(path, rate)
    window = read_window(path, rate, 3 * rate, rate // 2)
    content = bytearray(path.read_bytes())
    at = len(content) // 4 + 100
    content[at : at + 10] = bytes(10)
    path.write_bytes(content)
    np.testing.assert_array_equal(read_window(path, rate, 3 * rate, rate // 2), window)
    with contextlib.suppress(AudioError):  # FLAC has check sums; in an MP3 the damage is heard
        assert not np.array_equal(read_wave(path, rate), whole)


@pytest.mark.parametrize(("rate", "wanted_rate"), [(16_000, 16_000), (48_000, 1000)])
def test_a_clip_of_a_few_samples_is_its_own_window(tmp_path, rate, wanted_rate):
    soundfile.write(tmp_path / "clip.wav", [0.5, 0.25], rate, subtype="FLOAT")
    whole = read_wave(tmp_path / "clip.wav", wanted_rate)
    np.testing.assert_array_equal(read_window(tmp_path / "clip.wav", wanted_rate, 0, 100), whole)


def test_an_empty_or_broken_file_is_refused(tmp_path):
    soundfile.write(tmp_path / "clip.wav", np.zeros(0), 16_000)
    with pytest.raises(AudioError, match="holds no samples"):
        read_window(tmp_path / "clip.wav", 16_000, 0, 100)
    soundfile.write(tmp_path / "clip.wav", np.full(100, np.nan), 16_000, subtype="FLOAT")
    with pytest.raises(AudioError, match="holds NaN or infinite samples"):
        read_window(tmp_path / "clip.wav", 16_000, 10, 20)


@pytest.mark.parametrize("lengths", [[10], [4, 6], [1] * 10, [3, 3, 3]])
def test_a_stream_is_cut_anew(lengths):
    stream = iter([np.arange(3), np.arange(3, 3), np.arange(3, 9), np.arange(9, 10), np.arange(10, 99)])
    windows = list(regrouped(stream, lengths))
    assert [len(window) for window in windows] == lengths
    np.testing.assert_array_equal(np.concatenate(windows), np.arange(sum(lengths)))
    assert next(stream)[0] >= sum(lengths)  # what follows is not read


def test_a_stream_that_ends_early_gives_a_shorter_window():
    assert [list(window) for window in regrouped([np.arange(5)], [3, 3, 3])] == [[0, 1, 2], [3, 4]]


def test_frames_are_cut_as_samples_are():
    frames = np.arange(14).reshape(7, 2)
    windows = list(regrouped([frames[:3], frames[3:3], frames[3:]], [2, 4]))
    np.testing.assert_array_equal(np.concatenate(windows), frames[:6])
    assert [len(window) for window in windows] == [2, 4]
    assert list(regrouped([], [2])) == []
