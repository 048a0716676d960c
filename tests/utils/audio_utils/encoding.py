"""Compressed sound files for tests, by PyAV's encoders."""

from fractions import Fraction

import av
import numpy as np


def encode(path, wave, rate, *, container, codec, container_options=None, codec_options=None):
    """Write (S,) or (C, S) float samples; returns the path."""
    planes = np.atleast_2d(wave).astype(np.float32)
    with av.open(str(path), "w", format=container, options=container_options or {}) as file:
        stream = file.add_stream(codec, rate=rate, options=codec_options or {})
        layout = {1: "mono", 2: "stereo"}[len(planes)]
        stream.layout = layout
        for start in range(0, planes.shape[1], 1024):
            part = np.ascontiguousarray(planes[:, start : start + 1024])
            frame = av.AudioFrame.from_ndarray(part, format="fltp", layout=layout)
            frame.sample_rate, frame.pts, frame.time_base = rate, start, Fraction(1, rate)
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return path


def mp3(path, wave, rate, *, header=True, quality="4"):
    """An MP3 of variable bit rate, with or without the Xing header that says how long it is."""
    options = {"write_xing": str(int(header)), "id3v2_version": "0"}
    codec_options = {"global_quality": str(118 * int(quality)), "flags": "+qscale"}
    return encode(
        path, wave, rate, container="mp3", codec="libmp3lame", container_options=options, codec_options=codec_options
    )
