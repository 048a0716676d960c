"""Decode MP3, MP4, AAC, WebM and WMA with FFmpeg's libraries (PyAV).

FFmpeg gets the container's name and an open file. So a crafted file can neither select another of FFmpeg's hundreds of
readers, nor make it open other files or addresses.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from types import TracebackType
from typing import BinaryIO, Self

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.plane import AudioPlane
from av.audio.stream import AudioStream
from av.container import InputContainer
from numpy.typing import NDArray

from utils.audio_utils.containers import AudioError, Container, frame_bytes, is_tag, mpeg_info

Array = NDArray[np.float32]

# The errors of FFmpeg, and of the open file that it reads.
_ERRORS = (av.error.FFmpegError, OSError)

# Number of MP3 frames to decode before a window, by the samples of a frame, so that its samples are those of the whole
# clip. A frame overlaps with the one before, and may use up to 511 bytes of audio data of earlier frames, of which the
# smallest have 60 (MPEG 1: 32 kbit/s, 48 kHz); in MPEG 2 up to 255 bytes, and a frame of 8 kbit/s, 24 kHz has 3.
_FRAMES_BEFORE = {1152: 16, 576: 96}

_DTYPES = {"u8": np.uint8, "s16": np.int16, "s32": np.int32, "flt": np.float32, "dbl": np.float64}


class FFmpegSound:
    """Decodes one audio stream of a file, and checks that it is complete.

    Other bytes between MPEG frames are allowed if they are tags, and before the first and after the last frame. In the
    middle they are damage, and so is every other error of a decoder.
    """

    def __init__(self, stream: BinaryIO, container: Container) -> None:
        """Open the file, and decode its first frame for the sample rate and the number of channels.

        Args:
            stream: the file.
            container: from `container_of`.
        Raises:
            AudioError: FFmpeg cannot read it, it has no audio stream, or no frame can be decoded.
        """
        self._info = mpeg_info(stream) if container == "mp3" else None
        self._size = stream.seek(0, 2)
        self._container = container
        self._samples = 0  # number of samples decoded or skipped so far
        self._wanted = 0  # the first sample to yield
        # FFmpeg expects the header with an MP3's length and delay right after the tags, not after zeros behind them
        sound = _View(stream, self._info.start if self._info else 0, self._size)
        sound.seek(0)
        try:
            # "replace": titles and artists of old files are not always UTF-8
            self._file: InputContainer = av.open(sound, "r", format=container, metadata_errors="replace")
        except (*_ERRORS, ValueError) as error:
            raise AudioError(f"cannot be decoded: {_reason(error)}") from error
        try:
            self._start()
        except BaseException:
            self._file.close()
            raise

    def _start(self) -> None:
        audio = self._file.streams.best("audio")
        if not isinstance(audio, AudioStream):
            raise AudioError("holds no audio stream")
        if audio.codec_context is None:
            raise AudioError("cannot be decoded: no codec of that name is known")
        audio.codec_context.thread_count = 1  # each core decodes another clip already
        length_s = float(audio.duration * audio.time_base) if audio.duration and audio.time_base else 0.0
        self.header_s = length_s or (self._file.duration or 0) / 1e6
        self._frames = self._decoded(audio)
        first = next(self._frames, None)
        if first is None:
            raise AudioError("holds no samples")
        self.sample_rate_hz, self.channels = first.sample_rate, first.layout.nb_channels
        self._frames = chain([first], self._frames)
        # an MP4 file declares its number of samples; its last frame is padded to the size of all frames
        self._length = round(length_s * self.sample_rate_hz) if self._container == "mov" else 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, traceback: TracebackType | None) -> None:
        self._file.close()

    def blocks(self, samples: int, start: int = 0) -> Iterator[Array]:
        """Decode the stream from a sample on; the samples are those of decoding all of it.

        MP3 frames before `start` are counted, not decoded. In every other format a frame may depend on all earlier ones
        (the noise of AAC and WMA, the predictions of Opus): those are decoded and dropped.

        Args:
            samples: approximate size of a block.
            start: the first sample to yield.
        Yields:
            (S,) float32, the mean of the channels.
        Raises:
            AudioError: truncated, damaged, or its sample rate changes.
        """
        pending: list[Array] = []
        block_end = start + samples
        self._wanted = start
        for frame in self._frames:
            if frame.sample_rate != self.sample_rate_hz:
                # sorted, since a decoder reports the change one frame late, so that the order is not known
                low, high = sorted([frame.sample_rate, self.sample_rate_hz])
                raise AudioError(f"its sample rate changes between {low} and {high} Hz; convert it to one")
            if self._container == "flac" and frame.pts != self._samples:  # FFmpeg drops frames with a wrong checksum
                raise AudioError(f"is damaged: samples are missing after {self._samples / self.sample_rate_hz:.2f} s")
            if self._samples >= block_end:
                yield np.concatenate(pending)
                pending = []
                block_end += samples
            self._samples += frame.samples
            if self._samples > start:
                wave = _mono(frame)
                pending.append(wave[max(0, len(wave) - (self._samples - start)) :])
        if pending:
            excess = self._samples - self._length if self._length else 0
            if 0 < excess < frame.samples:
                pending[-1] = pending[-1][: max(0, len(pending[-1]) - excess)]
            yield np.concatenate(pending)

    def _decoded(self, audio: AudioStream) -> Iterator[AudioFrame]:
        """Yield the decoded frames.

        Raises:
            AudioError: truncated or damaged.
        """
        lenient = self._container in ("aac", "mp3")
        packets, strange, last = 0, 0, b""  # strange: number of bytes since the last frame that are not in a frame
        try:
            for packet in self._file.demux(audio):
                if packets and packet.size and self._skips(audio, bytes(packet)[:8], packet.size):
                    packets += 1
                    continue
                try:
                    frames = packet.decode()
                except _ERRORS:
                    if not lenient:
                        raise
                    head = bytes(packet)[:8]
                    strange += 0 if is_tag(head) else packet.size
                    last = head if frame_bytes(head) > packet.size else b""
                    continue
                if packet.size:
                    if strange and packets:
                        raise AudioError(f"is damaged: {strange} bytes after frame {packets} are no audio")
                    strange = 0
                    packets += 1
                    if lenient:
                        head = bytes(packet)[:8]
                        last = head if frame_bytes(head) > packet.size else b""
                yield from frames
        except _ERRORS as error:
            raise AudioError(f"cannot be decoded: {_reason(error)} after frame {packets}") from error
        if last:
            raise AudioError("is truncated: it ends inside a frame")
        self._check_length(packets)

    def _skips(self, audio: AudioStream, head: bytes, size: int) -> bool:
        """Return whether an MP3 frame need not be decoded for the first wanted sample; if so, count its samples."""
        frame_samples = audio.codec_context.frame_size
        if self._container != "mp3" or frame_samples not in _FRAMES_BEFORE or frame_bytes(head) != size:
            return False
        if self._samples + (1 + _FRAMES_BEFORE[frame_samples]) * frame_samples > self._wanted:
            return False
        self._samples += frame_samples
        return True

    def _check_length(self, frames: int) -> None:
        """Compare the number of frames with the header of an MP3 file; some encoders count one frame too many.

        Raises:
            AudioError: frames are missing.
        """
        if self._info is None:
            return
        if self._info.frames is not None:
            if frames < self._info.frames - 1:
                raise AudioError(f"is truncated: it has {frames} of {self._info.frames} frames")
        elif self._info.bytes is not None and self._info.start + self._info.bytes > self._size:
            raise AudioError(f"is truncated: {self._info.start + self._info.bytes - self._size} bytes are missing")


class _View:
    """A file without its first bytes, for FFmpeg to read."""

    def __init__(self, stream: BinaryIO, start: int, size: int) -> None:
        self._stream = stream
        self._start = start
        self._size = size  # of the file

    def read(self, size: int = -1) -> bytes:
        return self._stream.read(size)

    def seek(self, offset: int, whence: int = 0) -> int:
        """Seek, and return the position; -1 if it is outside of the file: PyAV prints an exception, and goes on."""
        target = (self._start, self._stream.tell(), self._size)[whence] + offset
        if not self._start <= target <= self._size:
            return -1
        return self._stream.seek(target) - self._start

    def tell(self) -> int:
        return self._stream.tell() - self._start


def _mono(frame: AudioFrame) -> Array:
    """Convert a frame to (S,) float32, the mean of its channels."""
    kind, planar = frame.format.name.removesuffix("p"), frame.format.is_planar
    if kind not in _DTYPES:
        raise AudioError(f"cannot be decoded: samples of the kind {frame.format.name}")
    channels = frame.layout.nb_channels
    # frame.planes and to_ndarray read past the last channel where there are 8 or more
    planes = [AudioPlane(frame, number) for number in range(channels if planar else 1)]
    count = frame.samples * (1 if planar else channels)
    buffers = [np.frombuffer(plane, _DTYPES[kind], count) for plane in planes]  # type: ignore[call-overload]
    if planar and kind == "flt" and channels == 2:  # most MP3: `stack` and `mean` would take as long as the decoder
        with np.errstate(over="ignore", invalid="ignore"):
            stereo: Array = (buffers[0] + buffers[1]) / np.float32(2)
            return stereo
    values = np.stack(buffers) if planar else buffers[0].reshape(-1, channels).T  # (channels, S)
    if kind == "u8":
        values = (values.astype(np.float32) - 128) / 128
    elif values.dtype.kind == "i":
        values = values / np.float32(2 ** (8 * values.dtype.itemsize - 1))
    with np.errstate(over="ignore", invalid="ignore"):  # `checked_blocks` refuses huge samples, NaN and infinity
        mono: Array = values[0] if channels == 1 else values.mean(axis=0)
        return mono.astype(np.float32)  # a copy, since the memory of the frame is freed with it


def _reason(error: Exception) -> str:
    return (getattr(error, "strerror", None) or str(error)).rstrip(". ")
