"""MP3, MP4, AAC, WebM and WMA through FFmpeg's libraries (PyAV).

FFmpeg is told which container to expect and is handed an open file: so it can open no other file, and takes none of
its hundreds of other readers, whatever the file says.
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

# What FFmpeg raises, and the file below it.
_ERRORS = (av.error.FFmpegError, OSError)

# Frames of MP3 that are decoded before a window, by the samples of one, so that its first sample is that of the whole
# clip. A frame overlaps with the one before, and refers back to at most 511 bytes of audio data, of which the smallest
# frame holds 60 (MPEG 1: 32 kbit/s, 48 kHz); in MPEG 2 to 255 bytes, and a frame of 8 kbit/s, 24 kHz holds 3.
_FRAMES_BEFORE = {1152: 16, 576: 96}

_DTYPES = {"u8": np.uint8, "s16": np.int16, "s32": np.int32, "flt": np.float32, "dbl": np.float64}


class FFmpegSound:
    """One audio stream of a file, packet by packet, and whether all of it is there.

    Between MPEG frames there may be what is none: tags anywhere, at the start and at the end anything else. In the
    middle it is damage, as is every other error of a decoder.
    """

    def __init__(self, stream: BinaryIO, container: Container) -> None:
        """Open the file and decode its first frame, which says what rate and how many channels there are.

        Args:
            stream: the file.
            container: what it is.
        Raises:
            AudioError: FFmpeg cannot read it, it has no audio stream, or no frame can be decoded.
        """
        self._info = mpeg_info(stream) if container == "mp3" else None
        self._size = stream.seek(0, 2)
        self._container = container
        self._samples = 0  # decoded, or known to be there, so far
        self._wanted = 0  # the first sample that is asked for
        # FFmpeg looks for the length and the delay of an MP3 where its tags end, not after the zeros that may follow
        sound = _View(stream, self._info.start if self._info else 0, self._size)
        sound.seek(0)
        try:
            # titles and artists of old files are in any encoding
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
        audio.codec_context.thread_count = 1  # the clips are shared out among the cores, not the samples
        length_s = float(audio.duration * audio.time_base) if audio.duration and audio.time_base else 0.0
        self.header_s = length_s or (self._file.duration or 0) / 1e6
        self._frames = self._decoded(audio)
        first = next(self._frames, None)
        if first is None:
            raise AudioError("holds no samples")
        self.sample_rate_hz, self.channels = first.sample_rate, first.layout.nb_channels
        self._frames = chain([first], self._frames)
        # an MP4 file says how many samples there are; the last frame holds more, since frames are of one size
        self._length = round(length_s * self.sample_rate_hz) if self._container == "mov" else 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, traceback: TracebackType | None) -> None:
        self._file.close()

    def blocks(self, samples: int, start: int = 0) -> Iterator[Array]:
        """The stream, from a sample on, exactly as if it were decoded whole.

        Frames of MP3 that end before `start` are counted, not decoded. In every other format a frame may depend on all
        that come before (the noise of AAC and WMA, the predictions of Opus): they are decoded and dropped.

        Args:
            samples: of a block, about.
            start: the first sample.
        Yields:
            (S,) float32, the mean of the channels.
        Raises:
            AudioError: truncated, damaged, or its sample rate changes.
        """
        waiting: list[Array] = []
        wait_until = start + samples
        self._wanted = start
        for frame in self._frames:
            if frame.sample_rate != self.sample_rate_hz:
                # which of the two comes first is not known: a decoder says so one frame late
                low, high = sorted([frame.sample_rate, self.sample_rate_hz])
                raise AudioError(f"its sample rate changes between {low} and {high} Hz; convert it to one")
            if self._container == "flac" and frame.pts != self._samples:  # frames with a wrong check sum are dropped
                raise AudioError(f"is damaged: samples are missing after {self._samples / self.sample_rate_hz:.2f} s")
            if self._samples >= wait_until:
                yield np.concatenate(waiting)
                waiting = []
                wait_until += samples
            self._samples += frame.samples
            if self._samples > start:
                wave = _mono(frame)
                waiting.append(wave[max(0, len(wave) - (self._samples - start)) :])
        if waiting:
            excess = self._samples - self._length if self._length else 0
            if 0 < excess < frame.samples:
                waiting[-1] = waiting[-1][: max(0, len(waiting[-1]) - excess)]
            yield np.concatenate(waiting)

    def _decoded(self, audio: AudioStream) -> Iterator[AudioFrame]:
        """The frames.

        Raises:
            AudioError: truncated or damaged.
        """
        lenient = self._container in ("aac", "mp3")
        packets, strange, last = 0, 0, b""  # strange: bytes since the last frame that are no frames
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
        """Whether a packet is a frame of MP3 that lies before what is asked for; counts its samples then."""
        frame_samples = audio.codec_context.frame_size
        if self._container != "mp3" or frame_samples not in _FRAMES_BEFORE or frame_bytes(head) != size:
            return False
        if self._samples + (1 + _FRAMES_BEFORE[frame_samples]) * frame_samples > self._wanted:
            return False
        self._samples += frame_samples
        return True

    def _check_length(self, frames: int) -> None:
        """Compare with what the header of an MP3 file says; some encoders count one frame too many.

        Raises:
            AudioError: frames are missing.
        """
        if self._info is None:
            return
        if self._info.frames is not None:
            if frames < self._info.frames - 1:
                raise AudioError(f"is truncated: {frames} of {self._info.frames} frames are there")
        elif self._info.bytes is not None and self._info.start + self._info.bytes > self._size:
            raise AudioError(f"is truncated: {self._info.start + self._info.bytes - self._size} bytes are missing")


class _View:
    """A file from a byte on, for FFmpeg to read."""

    def __init__(self, stream: BinaryIO, start: int, size: int) -> None:
        self._stream = stream
        self._start = start
        self._size = size  # of the file

    def read(self, size: int = -1) -> bytes:
        return self._stream.read(size)

    def seek(self, offset: int, whence: int = 0) -> int:
        """Move; returns the position, or -1 where broken offsets lead: an exception would be printed, not raised."""
        target = (self._start, self._stream.tell(), self._size)[whence] + offset
        if not self._start <= target <= self._size:
            return -1
        return self._stream.seek(target) - self._start

    def tell(self) -> int:
        return self._stream.tell() - self._start


def _mono(frame: AudioFrame) -> Array:
    """(S,) float32, the mean of the frame's channels."""
    kind, planar = frame.format.name.removesuffix("p"), frame.format.is_planar
    if kind not in _DTYPES:
        raise AudioError(f"cannot be decoded: samples of the kind {frame.format.name}")
    channels = frame.layout.nb_channels
    # frame.planes and to_ndarray read past the last channel where there are 8 or more
    planes = [AudioPlane(frame, number) for number in range(channels if planar else 1)]
    count = frame.samples * (1 if planar else channels)
    parts = [np.frombuffer(plane, _DTYPES[kind], count) for plane in planes]  # type: ignore[call-overload]
    values = np.stack(parts) if planar else parts[0].reshape(-1, channels).T  # (channels, S)
    if kind == "u8":
        values = (values.astype(np.float32) - 128) / 128
    elif values.dtype.kind == "i":
        values = values / np.float32(2 ** (8 * values.dtype.itemsize - 1))
    with np.errstate(over="ignore", invalid="ignore"):  # whoever reads the blocks refuses such samples
        mono: Array = values[0] if channels == 1 else values.mean(axis=0)
        return mono.astype(np.float32)  # a copy: the frame's memory goes with it


def _reason(error: Exception) -> str:
    return (getattr(error, "strerror", None) or str(error)).rstrip(". ")
