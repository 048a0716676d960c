"""Decoding: formats, channels, rates, names, and the reason why a file is refused."""

import resource
import unicodedata

import numpy as np
import pytest
import soundfile
import soxr

from utils.audio_utils import AudioError, decoding, header_duration_s, probe, read_wave, wave_blocks

NAMES = [
    "a b.wav",
    "it's \"loud\", isn't it?.wav",
    "große Glocke 鐘.wav",
    unicodedata.normalize("NFD", "é.wav"),
    "[x]: #1 %.wav",
]


def tone(seconds, rate, frequency_hz=440.0):
    return (0.5 * np.sin(2 * np.pi * frequency_hz * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


@pytest.mark.parametrize("name", NAMES)
def test_any_name(tmp_path, name):
    wave = tone(0.1, 8000)
    soundfile.write(tmp_path / name, wave, 8000, subtype="FLOAT")
    assert probe(tmp_path / name)[:3] == (0.1, 8000, 1)
    np.testing.assert_array_equal(read_wave(tmp_path / name, 8000), wave)


@pytest.mark.parametrize(
    ("suffix", "subtype", "error"),
    [
        ("wav", "PCM_16", 2**-15),
        ("wav", "PCM_24", 2**-23),
        ("wav", "FLOAT", 0),
        ("flac", "PCM_16", 2**-15),
        ("aiff", "PCM_16", 2**-15),
        ("au", "PCM_16", 2**-15),
        ("ogg", "VORBIS", 0.05),
        ("mp3", "MPEG_LAYER_III", 0.05),
    ],
)
def test_formats(tmp_path, suffix, subtype, error):
    wave = tone(1, 44_100)
    soundfile.write(tmp_path / f"clip.{suffix}", wave, 44_100, subtype=subtype)
    assert probe(tmp_path / f"clip.{suffix}")[:3] == (1.0, 44_100, 1)
    read = read_wave(tmp_path / f"clip.{suffix}", 44_100)
    assert len(read) == len(wave)
    assert np.abs(read - wave).max() <= error


def test_stereo_is_the_mean_of_its_channels(tmp_path):
    left, right = tone(0.3, 16_000, 300), tone(0.3, 16_000, 1100)
    soundfile.write(tmp_path / "stereo.wav", np.stack([left, right], axis=1), 16_000, subtype="FLOAT")
    assert probe(tmp_path / "stereo.wav")[:3] == (0.3, 16_000, 2)
    np.testing.assert_allclose(read_wave(tmp_path / "stereo.wav", 16_000), (left + right) / 2, atol=1e-7)


@pytest.mark.parametrize("rate", [8000, 11_025, 22_050, 32_000, 48_000, 96_000])
def test_resampling_keeps_duration_and_pitch(tmp_path, rate):
    soundfile.write(tmp_path / "clip.wav", tone(0.5, rate), rate, subtype="FLOAT")
    wave = read_wave(tmp_path / "clip.wav", 44_100)
    assert abs(len(wave) - round(0.5 * rate) * 44_100 / rate) <= 1
    inner = slice(2000, 20_000)  # away from the edges of the filter
    np.testing.assert_allclose(wave[inner], tone(0.5, 44_100)[inner], atol=2e-3)
    np.testing.assert_allclose(wave, soxr.resample(tone(0.5, rate), rate, 44_100), atol=1e-4)


@pytest.mark.parametrize("rate", [16_000, 44_100])
@pytest.mark.parametrize("block_s", [0.01, 0.123, 100])
def test_blocks_are_the_whole_clip(tmp_path, rate, block_s):
    stereo = np.random.default_rng(0).uniform(-1, 1, (20_000, 2))
    soundfile.write(tmp_path / "clip.wav", stereo, 16_000, subtype="FLOAT")
    whole = read_wave(tmp_path / "clip.wav", rate)
    blocks = list(wave_blocks(tmp_path / "clip.wav", rate, block_s))
    np.testing.assert_allclose(np.concatenate(blocks), whole, atol=1e-6)
    assert max(map(len, blocks)) <= block_s * rate + 4096  # the resampler holds a little back


@pytest.mark.parametrize("samples", [1, 2, 3])
@pytest.mark.parametrize(("rate", "wanted"), [(44_100, 44_100), (96_000, 32_000), (192_000, 8000), (8000, 44_100)])
def test_clips_of_a_few_samples_are_clips(tmp_path, samples, rate, wanted):
    soundfile.write(tmp_path / "clip.wav", np.full(samples, 0.5, np.float32), rate, subtype="FLOAT")
    wave = read_wave(tmp_path / "clip.wav", wanted)
    assert 1 <= len(wave) <= max(1, round(samples * wanted / rate) + 1)
    assert np.abs(wave).max() <= 0.7  # the filter overshoots
    assert probe(tmp_path / "clip.wav").duration_s == samples / rate


def refused(path):
    """The reason, which `probe` and `read_wave` agree on."""
    with pytest.raises(AudioError) as by_probe:
        probe(path)
    with pytest.raises(AudioError) as by_reading:
        read_wave(path, 44_100)
    assert str(by_probe.value) == str(by_reading.value)
    assert path.name not in str(by_probe.value)  # whoever catches it adds the name
    return str(by_probe.value)


@pytest.mark.parametrize(("suffix", "format_name"), [("wav", "WAV"), ("wav", "RF64"), ("aiff", "AIFF"), ("au", "AU")])
def test_a_truncated_file_is_refused(tmp_path, suffix, format_name):
    path = tmp_path / f"clip.{suffix}"
    soundfile.write(path, tone(1, 8000), 8000, subtype="PCM_16", format=format_name)
    assert probe(path).duration_s == 1
    content = path.read_bytes()
    path.write_bytes(content[:-6000])
    assert refused(path).startswith("is truncated: 6")
    path.write_bytes(content[:-1])
    assert refused(path) == "is truncated: 1 bytes of its samples are missing"


def test_a_truncated_flac_is_refused(tmp_path):
    path = tmp_path / "clip.flac"
    soundfile.write(path, np.random.default_rng(0).uniform(-1, 1, 20_000), 8000)
    path.write_bytes(path.read_bytes()[:-5000])
    assert "cannot be decoded" in refused(path)


@pytest.mark.parametrize("size", [0, 0x7FFFF000, 0x7FFFFFFF, 0xFFFFFFFF])
def test_a_wav_written_to_a_pipe_is_read_to_its_end(tmp_path, size):
    wave = tone(0.2, 8000)
    soundfile.write(tmp_path / "clip.wav", wave, 8000, subtype="PCM_16")
    content = bytearray((tmp_path / "clip.wav").read_bytes())
    at = content.index(b"data") + 4
    content[at : at + 4] = size.to_bytes(4, "little")  # the writer could not go back to fill it in
    (tmp_path / "clip.wav").write_bytes(content)
    if size == 0:
        assert refused(tmp_path / "clip.wav") == "holds no samples"
    else:
        np.testing.assert_allclose(read_wave(tmp_path / "clip.wav", 8000), wave, atol=2**-15)


def test_what_is_no_audio_is_refused(tmp_path):
    garbage = tmp_path / "garbage: 1, 'x': y.wav"
    garbage.write_bytes(np.random.default_rng(0).bytes(5000))
    assert refused(garbage) == "cannot be decoded: Format not recognised"
    nothing = tmp_path / "nothing.wav"
    nothing.write_bytes(b"")
    assert "cannot be decoded" in refused(nothing)
    silent = tmp_path / "silent.wav"
    soundfile.write(silent, np.zeros(0, np.float32), 8000)
    assert refused(silent) == "holds no samples"
    assert "cannot be decoded" in refused(tmp_path / "absent.wav")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("channels", [1, 2])
def test_samples_that_are_not_finite_are_refused(tmp_path, value, channels):
    wave = np.zeros((50_000, channels), np.float32)
    wave[40_000, -1] = value
    soundfile.write(tmp_path / "clip.wav", wave, 8000, subtype="FLOAT")
    assert refused(tmp_path / "clip.wav") == "holds NaN or infinite samples"


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(("value", "said"), [(1e25, "1e+25"), (-2e6, "2e+06")])
def test_samples_far_beyond_full_scale_are_refused(tmp_path, value, said):
    wave = 0.1 * np.random.default_rng(0).standard_normal(50_000)
    wave[1000] = value
    soundfile.write(tmp_path / "clip.wav", wave, 8000, subtype="FLOAT")
    reason = f"holds a sample of {said}, where full scale is 1; expected at most 1e+06"
    assert refused(tmp_path / "clip.wav") == reason
    wave[1000] = 900_000
    soundfile.write(tmp_path / "clip.wav", wave, 8000, subtype="FLOAT")
    assert np.isfinite(read_wave(tmp_path / "clip.wav", 44_100)).all()
    soundfile.write(tmp_path / "clip.wav", np.where(wave > 1, 1e300, wave), 8000, subtype="DOUBLE")
    assert refused(tmp_path / "clip.wav") == "holds NaN or infinite samples"  # in float32


@pytest.mark.parametrize("rate", [1, 999, 1_000_001, 2**31 - 1])
def test_rates_that_no_sound_has_are_refused(tmp_path, rate):
    soundfile.write(tmp_path / "clip.wav", np.zeros(180_000), rate)
    assert refused(tmp_path / "clip.wav") == f"has a sample rate of {rate} Hz, expected 1000 to 1000000"


def test_more_channels_than_any_microphone_has_are_refused(tmp_path):
    soundfile.write(tmp_path / "clip.wav", np.zeros((10, 257)), 8000)
    assert refused(tmp_path / "clip.wav") == "has 257 channels, expected at most 256"
    soundfile.write(tmp_path / "clip.wav", np.full((10, 256), 0.5), 8000)
    np.testing.assert_allclose(read_wave(tmp_path / "clip.wav", 8000), np.full(10, 0.5), atol=1e-4)


def test_there_is_a_longest_clip(tmp_path, monkeypatch):
    assert decoding.MAX_DURATION_S == 24 * 3600
    monkeypatch.setattr(decoding, "MAX_DURATION_S", 3600)
    soundfile.write(tmp_path / "clip.flac", np.zeros(3601 * 1000, np.int16), 1000)
    with pytest.raises(AudioError, match="is longer than 1 hours; cut it"):
        probe(tmp_path / "clip.flac")


def test_a_header_may_promise_any_number_of_samples(tmp_path):
    soundfile.write(tmp_path / "clip.flac", tone(1, 8000), 8000)
    content = bytearray((tmp_path / "clip.flac").read_bytes())
    content[21] |= 0x0F  # 36 bits: 2^36 - 1 samples
    content[22:26] = b"\xff" * 4
    (tmp_path / "clip.flac").write_bytes(content)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert refused(tmp_path / "clip.flac").startswith("cannot be decoded after 0 of 68719476735 samples: ")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # kB


def test_the_duration_in_the_header(tmp_path):
    soundfile.write(tmp_path / "a.wav", tone(0.25, 8000), 8000)
    (tmp_path / "b.wav").write_text("no sound")
    assert [header_duration_s(tmp_path / name) for name in ("a.wav", "b.wav", "c.wav")] == [0.25, 0.0, 0.0]
