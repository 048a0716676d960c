"""Identify the container of a sound file by its content, and check that the file is complete.

By hand, since FFmpeg's own detection may select any of its hundreds of readers, and both FFmpeg and libsndfile decode
many truncated files without an error.
"""

from __future__ import annotations

import mmap
import zlib
from collections.abc import Iterator
from itertools import islice
from typing import BinaryIO, Literal, NamedTuple

Container = Literal["aac", "asf", "flac", "matroska", "mov", "mp3", "ogg", "other", "wav"]

_TAGS_AT_START = 8
_START_BYTES = 1 << 16  # zeros before the first frame to skip at most
_MOST_BOXES = 1 << 18  # an hour in fragments of a second has 7200 boxes
_ASF_HEADER = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
_ASF_FILE = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
_MPEG_IN_RIFF = (0x50, 0x55)  # layer 2, layer 3
_RIFF_BYTES = 4096
_MOST_CHUNKS = 1 << 10  # chunks before the samples
_TAGS = (b"ID3", b"TAG", b"APETAGEX", b"LYRICS")


class AudioError(ValueError):
    """A clip that cannot be decoded; the message is the reason, without the file's name."""


def is_tag(data: bytes) -> bool:
    """Return whether bytes between MPEG frames are a tag (title, artist), not sound."""
    return data.startswith(_TAGS)


def container_of(stream: BinaryIO) -> Container:
    """Return the container of a file.

    "wav" is a RIFF file with MPEG frames as samples; "other" is every format for libsndfile (all other WAV, AIFF, AU,
    ...).
    """
    stream.seek(_audio_start(stream))
    head = stream.read(16)
    if head.startswith(b"fLaC"):
        return "flac"
    if head.startswith(b"OggS"):
        return "ogg"
    if head.startswith(b"\x1a\x45\xdf\xa3"):
        return "matroska"
    if head.startswith(_ASF_HEADER):
        return "asf"
    if head[4:8] in (b"ftyp", b"moov", b"mdat") or (head[4:8] in (b"free", b"wide", b"skip") and head[:2] == b"\0\0"):
        return "mov"
    if len(head) > 1 and head[0] == 0xFF and head[1] & 0xF6 == 0xF0:
        return "aac"
    if len(head) > 1 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0:
        return "mp3"
    if head.startswith(b"RIFF") and _riff_format(stream) in _MPEG_IN_RIFF:
        return "wav"
    stream.seek(0)
    return "mp3" if stream.read(3) == b"ID3" and not head.startswith((b"RIFF", b"FORM")) else "other"


def _riff_format(stream: BinaryIO) -> int:
    """Return the number of the encoding in the format chunk of a WAV file; 0: there is none near the start."""
    stream.seek(0)
    head = stream.read(_RIFF_BYTES)
    at = head.find(b"fmt ")
    # FFmpeg would allocate the size that the chunk declares
    if at < 0 or int.from_bytes(head[at + 4 : at + 8], "little") > _RIFF_BYTES:
        return 0
    return int.from_bytes(head[at + 8 : at + 10], "little")


def _audio_start(stream: BinaryIO) -> int:
    """Return the position after ID3v2 tags, and after the zeros that some programs write behind them."""
    start = 0
    for _ in range(_TAGS_AT_START):
        stream.seek(start)
        head = stream.read(10)
        if len(head) < 10 or not head.startswith(b"ID3"):
            break
        size = head[6] << 21 | head[7] << 14 | head[8] << 7 | head[9]  # 7 bits a byte
        start += 10 + size + (10 if head[5] & 0x10 else 0)
    stream.seek(start)
    padding = stream.read(_START_BYTES)
    zeros = len(padding) - len(padding.lstrip(b"\0"))
    # only zeros before an MPEG frame: the size field of an MP4 file starts with zeros too
    return start + zeros if zeros > 3 and padding[zeros : zeros + 1] == b"\xff" else start


def missing_bytes(stream: BinaryIO, container: Container) -> int:
    """Return how many bytes the header declares but the file does not have; 0 if the header does not declare a size.

    Source: ISO/IEC 14496-12 (boxes of MP4), RFC 9559 (Matroska), Microsoft's ASF specification 01.20.03 and RIFF.
    """
    size = stream.seek(0, 2)
    if container == "mov":
        end = max(islice(_boxes(stream, size), _MOST_BOXES), default=0)
    elif container == "matroska":
        end = _segment_end(stream)
    elif container == "asf":
        stream.seek(0)
        head = stream.read(1 << 16)
        at = head.find(_ASF_FILE)
        end = int.from_bytes(head[at + 40 : at + 48], "little") if at >= 0 else 0
    elif container == "wav":
        end = _riff_data_end(stream, size)
    else:
        end = 0
    return max(0, end - size)


def is_unknown_size(size: int) -> bool:
    """Return whether a size in a header is a placeholder: a program that writes to a pipe cannot fill it in later."""
    # 0, ffmpeg's 0xFFFFFFFF, and sox's 0x7FFFF000 (wav) and 0x7F000000 (aiff), rounded to whole blocks
    return size == 0 or 0x7F000000 <= size <= 0x7FFFFFFF or size >= 0xFFFFF000


def _riff_data_end(stream: BinaryIO, size: int) -> int:
    """Return where the samples of a WAV file end; 0 if the size is a placeholder, or there are none."""
    at = 12
    for _ in range(_MOST_CHUNKS):
        stream.seek(at)
        head = stream.read(8)
        length = int.from_bytes(head[4:8], "little")
        at += 8 + length
        if head[:4] == b"data":
            return 0 if is_unknown_size(length) else at
        if at >= size:
            break
        at += length % 2
    return 0


def _boxes(stream: BinaryIO, size: int) -> Iterator[int]:
    """Yield where each top-level box of an MP4 file ends."""
    at = 0
    while at + 8 <= size:
        stream.seek(at)
        head = stream.read(16)
        length = int.from_bytes(head[:4], "big")
        if length == 1:
            length = int.from_bytes(head[8:16], "big")
        if length < 8:  # 0: to the end of the file
            return
        at += length
        yield at


def _segment_end(stream: BinaryIO) -> int:
    """Return where the segment of a Matroska or WebM file ends; 0 if its size is unknown, as in a live stream."""
    stream.seek(4)
    header = _vint(stream)
    if header is None or header > _START_BYTES:
        return 0
    stream.seek(header, 1)
    if stream.read(4) != b"\x18\x53\x80\x67":
        return 0
    length = _vint(stream)
    return 0 if length is None else stream.tell() + length


def _vint(stream: BinaryIO) -> int | None:
    """Read a number of 1 to 8 bytes, whose count is that of the leading zero bits; None for the value "unknown"."""
    first = stream.read(1)
    width = 9 - first[0].bit_length() if first and first[0] else 1
    number = int.from_bytes(first + stream.read(width - 1), "big") & ((1 << 7 * width) - 1)
    return None if number == (1 << 7 * width) - 1 else number


class MpegInfo(NamedTuple):
    """The Xing, Info or VBRI header of an MP3 file; None: not in the header."""

    frames: int | None = None  # number of frames, without that of the header
    bytes: int | None = None  # from the header's frame to the end of the last frame
    start: int = 0  # position of the first frame, which is that of the header


def mpeg_info(stream: BinaryIO) -> MpegInfo:
    """Read the header in the first frame, if there is one.

    Source: the LAME project's description of its tag, and Fraunhofer's of VBRI.
    """
    start = _audio_start(stream)
    stream.seek(start)
    frame = stream.read(200)
    if len(frame) < 64:
        return MpegInfo(start=start)
    mono, mpeg1 = frame[3] >> 6 == 3, frame[1] & 0x08
    side = 4 + ((17 if mono else 32) if mpeg1 else (9 if mono else 17))
    if frame[side : side + 4] in (b"Xing", b"Info"):
        flags = frame[side + 7]
        at = side + 8
        frames = int.from_bytes(frame[at : at + 4], "big") if flags & 1 else None
        at += 4 if flags & 1 else 0
        count = int.from_bytes(frame[at : at + 4], "big") if flags & 2 else None
        return MpegInfo(frames or None, count or None, start)
    if frame[36:40] == b"VBRI":
        return MpegInfo(int.from_bytes(frame[50:54], "big") or None, int.from_bytes(frame[46:50], "big") or None, start)
    return MpegInfo(start=start)


# [is MPEG 1][four bits of the frame header]; MPEG 2 and 2.5 use the same table for layers 2 and 3
_LOW_KBPS = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
_LAYER_2_KBPS = (_LOW_KBPS, (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384))
_LAYER_3_KBPS = (_LOW_KBPS, (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320))
_MPEG_1_RATES_HZ = (44_100, 48_000, 32_000)


def frame_bytes(data: bytes) -> int:
    """Return the length in bytes of an AAC (ADTS), MP2 or MP3 frame from its first bytes; 0: not known from these."""
    if len(data) < 6 or data[0] != 0xFF:
        return 0
    if data[1] & 0xF6 == 0xF0:
        return (data[3] & 3) << 11 | data[4] << 3 | data[5] >> 5
    version, layer, bitrate, rate = data[1] >> 3 & 3, data[1] >> 1 & 3, data[2] >> 4, data[2] >> 2 & 3
    if data[1] & 0xE0 != 0xE0 or version == 1 or layer not in (1, 2) or bitrate in (0, 15) or rate == 3:
        return 0  # not MPEG audio, not layer 2 or 3, or of a free bit rate
    mpeg1, layer_2 = version == 3, layer == 2
    rate_hz = _MPEG_1_RATES_HZ[rate] // (1 if mpeg1 else 2 if version == 2 else 4)
    kbps = (_LAYER_2_KBPS if layer_2 else _LAYER_3_KBPS)[mpeg1][bitrate]
    samples = 1152 if mpeg1 or layer_2 else 576
    return samples // 8 * 1000 * kbps // rate_hz + (data[2] >> 1 & 1)


_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def _ogg_crc(page: bytes) -> int:
    """Compute Ogg's checksum with zlib's CRC: the same polynomial, but with the bits of each byte reversed.

    A CRC in pure Python takes seconds for a file that zlib checks in milliseconds.
    """
    crc = zlib.crc32(page.translate(_REVERSED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int(f"{crc:032b}"[::-1], 2)


def check_ogg(stream: BinaryIO) -> int:
    """Check that every page of an Ogg file is there, undamaged and in order, up to the page marked as the last one.

    Bytes after the last page are ignored.

    Returns:
        The number of recordings in sequence (a chained stream); 1 in most files.
    Raises:
        AudioError: it is truncated, or has a damaged, missing or unexpected page.
    Source: RFC 3533.
    """
    next_page: dict[int, int] = {}  # serial number of a stream that has not ended -> number of its next page
    recordings = 0
    with mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
        at = 0
        while data[at : at + 4] == b"OggS":
            lengths = data[at + 27 : at + 27 + data[at + 26]] if at + 27 <= len(data) else b""
            end = at + 27 + len(lengths) + sum(lengths)
            if at + 27 > len(data) or end > len(data) or len(lengths) < data[at + 26]:
                raise AudioError("is truncated: it ends inside an Ogg page")
            page = data[at:end]
            if _ogg_crc(page[:22] + bytes(4) + page[26:]) != int.from_bytes(page[22:26], "little"):
                raise AudioError(f"is damaged: the Ogg page at byte {at} has a wrong checksum")
            flags, serial, number = (
                page[5],
                int.from_bytes(page[14:18], "little"),
                int.from_bytes(page[18:22], "little"),
            )
            if flags & 2:
                recordings += not next_page  # streams that begin while another is open are of the same recording
                next_page[serial] = number
            if next_page.get(serial) != number:
                raise AudioError(f"is damaged: Ogg pages are missing before byte {at}")
            next_page[serial] = number + 1
            if flags & 4:
                del next_page[serial]
            at = end
        if next_page and at < len(data):
            raise AudioError(f"is damaged: expected an Ogg page at byte {at}")
    if next_page:
        raise AudioError("is truncated: its last Ogg page is missing")
    return recordings
