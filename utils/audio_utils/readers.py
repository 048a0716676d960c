"""Open sound files as streams of mono blocks, with libsndfile where it is exact, otherwise with FFmpeg's libraries.

libsndfile estimates the length of an MP3 without a frame count, reads only the first recording of a chained Ogg file,
and supports neither MP4 nor WebM.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
import soundfile
from numpy.typing import NDArray

from utils.audio_utils.containers import AudioError, Container, check_ogg, container_of, is_unknown_size, missing_bytes

Array = NDArray[np.float32]

# Values to decode at a time: a header may declare any number of samples and channels.
_VALUES_AT_ONCE = 1 << 22
# Encodings whose samples do not depend on earlier ones: libsndfile seeks exactly. In the last page of Ogg Vorbis it
# does not, and in some kinds of ADPCM it cannot.
_SEEKABLE = ("PCM_", "FLOAT", "DOUBLE", "ULAW", "ALAW")
# libsndfile's number of samples if a FLAC header does not declare it.
_UNKNOWN_SAMPLES = 1 << 60
# libsndfile reads a truncated file without an error; only lines of its log show it, for WAV, AIFF, AU, RF64 and W64.
_SHORTENED = re.compile(r"^\s*(?:data|SSND|Data Size|Riff size|riff)\s*:\s*(\d+)\s*\(should be (\d+)\)", re.MULTILINE)


class OpenSound(NamedTuple):
    """An open sound file."""

    sample_rate_hz: int
    channels: int
    header_s: float  # duration in the header, unverified; 0.0 if the header has none
    # (approximate samples of a block, first sample) -> mono blocks (S,) float32; can be called once
    blocks: Callable[[int, int], Iterator[Array]]


@contextlib.contextmanager
def open_sound(path: Path) -> Iterator[OpenSound]:
    """Open a file; its content decides how, not its suffix.

    Raises:
        AudioError: not audio, or truncated; while its blocks are read also: damaged.
    """
    if not path.is_file():  # opening a named pipe would wait forever
        raise AudioError(f"cannot be decoded: {'not a regular file' if path.exists() else 'no such file'}")
    with contextlib.ExitStack() as stack:
        try:
            stream = stack.enter_context(path.open("rb"))
            container = container_of(stream)
            recordings = check_ogg(stream) if container == "ogg" else 1
        except OSError as error:
            raise AudioError(f"cannot be decoded: {error.strerror}") from error
        if container in ("flac", "other") or (container == "ogg" and recordings == 1):
            sound = _libsndfile(stream, container)
            if sound is not None:
                stack.enter_context(sound)
                header_s = sound.frames / sound.samplerate
                yield OpenSound(sound.samplerate, sound.channels, header_s, partial(_blocks, sound))
                return
        if missing := missing_bytes(stream, container):
            raise AudioError(f"is truncated: {missing} bytes are missing")
        from utils.audio_utils.ffmpeg import FFmpegSound  # loads 35 MB of libraries, which most datasets do not need

        decoder = stack.enter_context(FFmpegSound(stream, container))
        yield OpenSound(decoder.sample_rate_hz, decoder.channels, decoder.header_s, decoder.blocks)


def _libsndfile(stream: BinaryIO, container: Container) -> soundfile.SoundFile | None:
    """Open a file with libsndfile; None if it cannot read it exactly.

    By file descriptor, since a name need not be UTF-8, and its suffix must not decide the format.

    Raises:
        AudioError: it is not audio, or truncated.
    """
    try:
        os.lseek(stream.fileno(), 0, os.SEEK_SET)
        sound = soundfile.SoundFile(stream.fileno(), closefd=False)
    except (soundfile.LibsndfileError, OSError) as error:
        if container == "ogg":  # FLAC or Speex in Ogg, which FFmpeg reads
            return None
        raise AudioError(f"cannot be decoded: {_reason(error)}") from error
    if sound.frames >= _UNKNOWN_SAMPLES:
        sound.close()
        return None
    if missing := _shortened_by(sound):
        sound.close()
        raise AudioError(f"is truncated: {missing} bytes of its samples are missing")
    return sound


def _shortened_by(sound: soundfile.SoundFile) -> int:
    """Return how many bytes of samples the header declares but the file does not have."""
    found = _SHORTENED.search(sound.extra_info)
    if not found or is_unknown_size(int(found[1])):
        return 0
    return max(0, int(found[1]) - int(found[2]))


def _blocks(sound: soundfile.SoundFile, samples: int, start: int) -> Iterator[Array]:
    size = max(1, min(samples, sound.frames, _VALUES_AT_ONCE // sound.channels))
    done = 0
    if 0 < start < sound.frames and sound.subtype.startswith(_SEEKABLE):
        try:
            done = sound.seek(start)
        except soundfile.LibsndfileError as error:
            raise AudioError(f"cannot be decoded from sample {start} on: {_reason(error)}") from error
    while True:
        try:
            block = sound.read(size, dtype="float32", always_2d=True)  # (S, channels)
        except soundfile.LibsndfileError as error:
            raise AudioError(f"cannot be decoded after {done} of {sound.frames} samples: {_reason(error)}") from error
        if not len(block):
            break
        done += len(block)
        with np.errstate(over="ignore", invalid="ignore"):  # `checked_blocks` refuses huge samples, NaN and infinity
            mono = block[:, 0] if block.shape[1] == 1 else block.mean(axis=1)
        if done > start:
            yield mono[max(0, len(mono) - (done - start)) :]
    if done < sound.frames:
        raise AudioError(f"is truncated or damaged: {done} of {sound.frames} samples can be decoded")


def _reason(error: Exception) -> str:
    text = error.error_string if isinstance(error, soundfile.LibsndfileError) else str(error)
    return str(text).rstrip(". ")
