"""Ogg pages and MPEG headers, byte by byte."""

import numpy as np
import pytest
import soundfile

from tests.utils.audio_utils.encoding import mp3
from tests.utils.audio_utils.test_decoding import refused, tone
from utils.audio_utils import probe
from utils.audio_utils.containers import container_of, frame_bytes, mpeg_info


@pytest.fixture(params=["VORBIS", "OPUS"])
def ogg(tmp_path, request):
    """A file of several pages, and where they start."""
    path = tmp_path / "a.ogg"
    soundfile.write(
        path, np.random.default_rng(0).uniform(-0.5, 0.5, 96_000), 48_000, format="OGG", subtype=request.param
    )
    content = path.read_bytes()
    starts = [at for at in range(len(content)) if content.startswith(b"OggS", at)]
    assert len(starts) > 3
    assert probe(path)[:3] == (2.0, 48_000, 1)
    return path, content, starts


def test_an_ogg_file_ends_with_its_last_page(ogg):
    path, content, starts = ogg
    path.write_bytes(content[: starts[-1]])
    assert refused(path) == "is truncated: its last Ogg page is missing"
    for cut in (len(content) // 2 + 1, len(content) - 1, starts[-1] + 10):
        path.write_bytes(content[:cut])
        assert refused(path) == "is truncated: it ends inside an Ogg page"
    path.write_bytes(content + b"leftover" * 100)
    assert probe(path).duration_s == 2.0


def test_damaged_and_missing_pages_are_reported(ogg):
    path, content, starts = ogg
    damaged = bytearray(content)
    damaged[starts[2] + 100] ^= 1
    path.write_bytes(damaged)
    assert refused(path) == f"is damaged: the Ogg page at byte {starts[2]} has a wrong checksum"
    path.write_bytes(content[: starts[2]] + content[starts[3] :])
    assert refused(path) == f"is damaged: Ogg pages are missing before byte {starts[2]}"
    path.write_bytes(content[: starts[2]] + b"\0" * 50 + content[starts[2] :])
    assert refused(path) == f"is damaged: expected an Ogg page at byte {starts[2]}"


def test_recordings_one_after_the_other_in_one_ogg_file_are_all_read(ogg):
    path, content, _ = ogg
    path.write_bytes(content + content)
    assert soundfile.info(path).duration == 2.0  # libsndfile reads the first
    assert probe(path).duration_s == pytest.approx(4.0, abs=0.01)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("fffb9064", 417),  # MPEG 1, 128 kbit/s, 44.1 kHz: 144 * 128000 / 44100
        ("fffb9264", 418),  # with padding
        ("fff35464", 120),  # MPEG 2, 40 kbit/s, 24 kHz: 72 * 40000 / 24000
        ("ffe35064", 261),  # MPEG 2.5, 40 kbit/s, 11.025 kHz: 72 * 40000 / 11025
        ("fff15080020000", 16),  # ADTS
        ("fffbf064", 0),  # no such bit rate
        ("fffd9064", 522),  # layer 2, 160 kbit/s: 144 * 160000 / 44100
        ("fff59464", 480),  # MPEG 2, layer 2, 80 kbit/s, 24 kHz: 144 * 80000 / 24000
        ("ffff9064", 0),  # layer 1
        ("52494646", 0),
        ("ff", 0),
    ],
)
def test_frame_lengths(header, expected):
    assert frame_bytes(bytes.fromhex(header).ljust(6, b"\0") if len(header) > 2 else b"\xff") == expected


def test_the_header_of_an_mp3_is_parsed(tmp_path):
    content = mp3(tmp_path / "a.mp3", tone(1, 44_100), 44_100).read_bytes()
    with (tmp_path / "a.mp3").open("rb") as stream:
        info = mpeg_info(stream)
    assert info.bytes == len(content)
    assert info.frames == 40  # 44100 samples and the encoder's delay in frames of 1152
    (tmp_path / "a.mp3").write_bytes(content[frame_bytes(content) :])  # the header is a frame
    with (tmp_path / "a.mp3").open("rb") as stream:
        assert mpeg_info(stream)[:2] == (None, None)


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (b"RIFF\0\0\0\0WAVE", "other"),
        (b"RIFF\0\0\0\0WAVEfmt \x1e\0\0\0\x55\0", "wav"),
        (b"RIFF\0\0\0\0WAVEfmt \x1e\0\0\x60\x55\0", "other"),  # a chunk of 1.6 GB, which would be reserved
        (b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0\x01\0", "other"),
        (b"fLaC\0\0\0\x22", "flac"),
        (b"ID3\x03\0\0\0\0\0\x02\0\0fLaC\0\0\0\x22", "flac"),
        (b"ID3\x03\0\0\0\0\0\x02\0\0\xff\xfb\x90\x64", "mp3"),
        (b"\0" * 40 + b"\xff\xfb\x90\x64", "mp3"),
        (b"\xff\xf1\x50\x80", "aac"),
        (b"\0\0\0\x20ftypM4A ", "mov"),
        (b"\x1a\x45\xdf\xa3\x01", "matroska"),
        (b"OggS\0\x02", "ogg"),
        (b"", "other"),
        (b"ID3", "mp3"),
        (b"ID3\x03\0\0\x7f\x7f\x7f\x7f", "mp3"),
        (b"<!DOCTYPE html>", "other"),
    ],
)
def test_a_container_is_recognised_by_its_first_bytes(tmp_path, head, expected):
    path = tmp_path / "some file"
    path.write_bytes(head)
    with path.open("rb") as stream:
        assert container_of(stream) == expected
    if expected not in ("mov", "matroska"):
        refused(path)
