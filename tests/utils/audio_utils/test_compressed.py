"""Compressed files: all of their sound, or the reason why not."""

import av
import numpy as np
import pytest
import soundfile

from tests.utils.audio_utils.encoding import encode, mp3
from tests.utils.audio_utils.test_decoding import refused, tone
from utils.audio_utils import header_duration_s, probe, read_wave
from utils.audio_utils.containers import frame_bytes

RATE = 44_100


def quiet_then_loud(seconds=6.0):
    """What an estimate from the first frames is misled by: they are small, the later ones are not."""
    wave = 0.5 * np.random.default_rng(0).uniform(-1, 1, int(seconds * RATE))
    wave[: len(wave) // 2] *= 0.001
    return wave


def similarity(one, other):
    return float(one @ other / np.sqrt((one @ one) * (other @ other)))


def test_an_mp3_of_variable_bit_rate_without_a_length_is_read_to_its_end(tmp_path):
    wave = quiet_then_loud()
    path = mp3(tmp_path / "a.mp3", wave, RATE, header=False)
    assert soundfile.info(path).duration < 4  # the estimate that this is about
    assert probe(path).duration_s == pytest.approx(6.0, abs=0.06)  # no header says how much padding there is
    read = read_wave(path, RATE)
    delay = 1105  # of the encoder and the decoder
    assert similarity(read[delay : delay + len(wave)], wave) > 0.7 > 0.5 > similarity(read[: len(wave)], wave)


def test_an_mp3_with_a_header_has_the_length_of_its_source(tmp_path):
    wave = tone(2, RATE) + 0.1 * quiet_then_loud(2)
    path = mp3(tmp_path / "a.mp3", wave, RATE)
    assert probe(path)[:3] == (2.0, RATE, 1)
    assert similarity(read_wave(path, RATE), wave) > 0.97  # not one sample late
    assert header_duration_s(path) == pytest.approx(2.0)


@pytest.mark.parametrize("channels", [1, 2])
def test_an_mp3_has_the_samples_that_libsndfile_finds_where_it_need_not_guess(tmp_path, channels):
    stereo = np.stack([tone(1, RATE, 300 * n) for n in range(1, channels + 1)], axis=1)
    soundfile.write(tmp_path / "a.mp3", stereo, RATE)
    theirs = soundfile.read(tmp_path / "a.mp3", dtype="float32", always_2d=True)[0].mean(axis=1)
    np.testing.assert_allclose(read_wave(tmp_path / "a.mp3", RATE), theirs, atol=1e-5)
    assert probe(tmp_path / "a.mp3")[:3] == (1.0, RATE, channels)


@pytest.mark.parametrize("share", [0.3, 0.5, 0.9])
def test_a_truncated_mp3_is_refused(tmp_path, share):
    content = mp3(tmp_path / "a.mp3", quiet_then_loud(2), RATE).read_bytes()
    cut = frame_end(content, int(share * len(content)))
    (tmp_path / "a.mp3").write_bytes(content[: cut + 200])
    assert refused(tmp_path / "a.mp3") == "is truncated: it ends inside a frame"
    (tmp_path / "a.mp3").write_bytes(content[:cut])  # between two frames: the header tells
    assert refused(tmp_path / "a.mp3").startswith("is truncated: ")


def frame_end(content, at):
    """Where the MP3 frame ends that holds byte `at`."""
    end = 0
    while end <= at:
        end += frame_bytes(content[end : end + 6])
    return end


def test_an_mp3_may_carry_tags_and_leftovers_at_its_ends(tmp_path):
    wave = quiet_then_loud(1)
    content = mp3(tmp_path / "a.mp3", wave, RATE).read_bytes()
    plain = read_wave(tmp_path / "a.mp3", RATE)
    title = b"TIT2\0\0\0\x0b\0\0\0caf\xe9 noir \0"  # not UTF-8
    id3v2 = b"ID3\x03\0\0\0\0\0" + bytes([len(title)]) + title
    id3v1 = b"TAG" + b"\xe9" * 125
    ape = b"APETAGEX" + bytes(24)
    for before, after in ((id3v2, id3v1), (id3v2 + bytes(500), ape + id3v1), (b"", b"garbage" * 50)):
        (tmp_path / "b.mp3").write_bytes(before + content + after)
        np.testing.assert_array_equal(read_wave(tmp_path / "b.mp3", RATE), plain)


def test_mp3s_written_one_after_the_other_are_read_to_the_end(tmp_path):
    one, other = (mp3(tmp_path / f"{n}.mp3", quiet_then_loud(1), RATE, header=False).read_bytes() for n in range(2))
    tag = b"ID3\x03\0\0\0\0\0\x0a" + bytes(10)
    (tmp_path / "both.mp3").write_bytes(one + tag + other)
    assert probe(tmp_path / "both.mp3").duration_s == pytest.approx(2.0, abs=0.12)


def test_damage_in_the_middle_of_an_mp3_is_no_silence(tmp_path):
    content = mp3(tmp_path / "a.mp3", quiet_then_loud(2), RATE, header=False).read_bytes()
    middle = frame_end(content, len(content) // 2)
    (tmp_path / "a.mp3").write_bytes(content[:middle] + bytes(3000) + content[middle + 3000 :])
    assert refused(tmp_path / "a.mp3").startswith("is damaged: ")


def test_a_change_of_channels_is_mixed_and_a_change_of_rate_is_refused(tmp_path):
    mono, stereo, slow = tone(1, RATE), np.stack([tone(1, RATE), tone(1, RATE)]), tone(1, 22_050)
    parts = [(mono, RATE), (stereo, RATE), (slow, 22_050)]
    content = [
        mp3(tmp_path / f"{n}.mp3", wave, rate, header=False).read_bytes() for n, (wave, rate) in enumerate(parts)
    ]
    (tmp_path / "channels.mp3").write_bytes(content[0] + content[1])
    read = read_wave(tmp_path / "channels.mp3", RATE)
    assert len(read) / RATE == pytest.approx(2.0, abs=0.12)
    assert np.sqrt((read[RATE // 2 : RATE] ** 2).mean()) == pytest.approx(0.5 / np.sqrt(2), abs=0.01)
    assert np.sqrt((read[3 * RATE // 2 : 7 * RATE // 4] ** 2).mean()) == pytest.approx(0.5 / np.sqrt(2), abs=0.01)
    (tmp_path / "rates.mp3").write_bytes(content[0] + content[2])
    assert refused(tmp_path / "rates.mp3") == "its sample rate changes between 22050 and 44100 Hz; convert it to one"


def test_the_suffix_may_be_that_of_another_format(tmp_path):
    content = mp3(tmp_path / "a.mp3", tone(1, RATE), RATE).read_bytes()
    (tmp_path / "a.wav").write_bytes(content)
    (tmp_path / "a.flac").write_bytes(content)
    soundfile.write(tmp_path / "b.wav", tone(1, RATE), RATE)
    (tmp_path / "b.wav").rename(tmp_path / "b.mp3")
    for name in ("a.wav", "a.flac", "b.mp3"):
        assert probe(tmp_path / name)[:3] == (1.0, RATE, 1)


OTHERS = [
    ("m4a", "mp4", "aac", {}),
    ("m4a", "mp4", "alac", {}),
    ("webm", "webm", "libopus", {}),
    ("wma", "asf", "wmav2", {"b": "128000"}),
    ("ogg", "ogg", "flac", {}),
    ("opus", "ogg", "libopus", {}),
]


@pytest.mark.parametrize(("suffix", "container", "codec", "options"), OTHERS)
def test_other_containers_are_whole_or_refused(tmp_path, suffix, container, codec, options):
    wave = tone(2, 48_000) + 0.1 * np.random.default_rng(0).uniform(-1, 1, 96_000)
    path = encode(tmp_path / f"a.{suffix}", wave, 48_000, container=container, codec=codec, codec_options=options)
    facts = probe(path)
    assert facts[1:3] == (48_000, 1)
    padded = codec in ("wmav2", "libmp3lame")  # nothing says by how much
    assert facts.duration_s == (pytest.approx(2.0, abs=0.06) if padded else 2.0)
    read = read_wave(path, 48_000)
    if not padded:
        assert similarity(read, wave) > 0.97
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    assert refused(path).startswith("is truncated: ")


def test_mpeg_frames_in_a_wav_file_are_not_estimated(tmp_path):
    wave = quiet_then_loud(2)
    path = encode(tmp_path / "a.wav", wave, RATE, container="wav", codec="libmp3lame")
    assert probe(path).duration_s == pytest.approx(2.0, abs=0.06)
    content = path.read_bytes()
    middle = len(content) // 2
    path.write_bytes(content[:middle] + bytes(2000) + content[middle + 2000 :])
    assert refused(path).startswith("cannot be decoded: ")


@pytest.mark.parametrize("share", [0.05, 0.5, 0.999])
@pytest.mark.parametrize("codec", ["libmp3lame", "mp2"])
def test_mpeg_frames_in_a_truncated_wav_file_are_refused_where_its_header_knows_how_many_there_were(
    tmp_path, codec, share
):
    path = encode(tmp_path / "a.wav", tone(2, RATE), RATE, container="wav", codec=codec)
    assert probe(path).duration_s == pytest.approx(2.0, abs=0.06)
    content = path.read_bytes()
    cut = content[: int(share * len(content))]
    path.write_bytes(cut)
    assert refused(path) == f"is truncated: {len(content) - len(cut)} bytes are missing"
    size = content.index(b"data") + 4
    path.write_bytes(content[:size] + b"\xff" * 4 + content[size + 4 :])  # as a pipe leaves it
    assert probe(path).duration_s == pytest.approx(2.0, abs=0.06)


def test_mpeg_layer_2_that_breaks_off_inside_a_frame_is_refused(tmp_path):
    path = encode(tmp_path / "a.mp2", tone(1, RATE), RATE, container="mp2", codec="mp2")
    assert probe(path).duration_s == pytest.approx(1.0, abs=0.06)
    path.write_bytes(path.read_bytes()[:-20])
    assert refused(path) == "is truncated: it ends inside a frame"


def test_eight_channels_are_mixed(tmp_path):
    levels = np.arange(1, 9) / 16
    samples = np.round(levels * 32767).astype(np.int16)[None].repeat(4096, axis=0)  # (S, 8)
    with av.open(str(tmp_path / "a.m4a"), "w", format="mp4") as file:
        stream = file.add_stream("alac", rate=RATE, layout="7.1(wide)")
        frame = av.AudioFrame.from_ndarray(samples.reshape(1, -1), format="s16", layout="7.1(wide)")
        frame.sample_rate, frame.pts = RATE, 0
        file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    assert probe(tmp_path / "a.m4a")[1:3] == (RATE, 8)
    np.testing.assert_allclose(read_wave(tmp_path / "a.m4a", RATE), np.full(4096, levels.mean()), atol=1e-4)


def test_aac_without_a_container_is_read_and_refused_where_it_breaks_off(tmp_path):
    path = encode(tmp_path / "a.aac", tone(1, RATE), RATE, container="adts", codec="aac")
    assert probe(path).duration_s == pytest.approx(1.0, abs=0.06)
    path.write_bytes(path.read_bytes()[:-20])
    assert refused(path) == "is truncated: it ends inside a frame"


def test_flac_written_to_a_pipe_is_read_to_its_end_and_refused_where_it_is_damaged(tmp_path):
    wave = np.random.default_rng(0).uniform(-0.5, 0.5, 60_000).astype(np.float32)
    soundfile.write(tmp_path / "a.flac", wave, 8000)
    content = bytearray((tmp_path / "a.flac").read_bytes())
    content[21] &= 0xF0  # the number of samples: 36 bits
    content[22:26] = bytes(4)
    (tmp_path / "a.flac").write_bytes(content)
    np.testing.assert_allclose(read_wave(tmp_path / "a.flac", 8000), wave, atol=2**-15)
    content[60_000:60_020] = bytes(20)
    (tmp_path / "a.flac").write_bytes(content)
    assert refused(tmp_path / "a.flac").startswith("is damaged: samples are missing after ")


def test_a_video_without_sound_is_refused(tmp_path):
    with av.open(str(tmp_path / "a.mp4"), "w") as file:
        stream = file.add_stream("mpeg4", rate=10)
        stream.width = stream.height = 16
        stream.pix_fmt = "yuv420p"
        file.mux(stream.encode(av.VideoFrame(16, 16, "yuv420p")))
        file.mux(stream.encode(None))
    assert refused(tmp_path / "a.mp4") == "holds no audio stream"


def test_a_playlist_opens_no_other_file(tmp_path):
    soundfile.write(tmp_path / "secret.wav", tone(1, 8000), 8000)
    for name, text in (
        ("a.mp3", "#EXTM3U\n#EXTINF:1,\nsecret.wav\n"),
        ("b.wav", "ffconcat version 1.0\nfile secret.wav\n"),
    ):
        (tmp_path / name).write_text(text)
        assert refused(tmp_path / name).startswith("cannot be decoded: ")
