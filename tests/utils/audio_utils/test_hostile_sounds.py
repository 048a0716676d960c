"""Sound files that were changed byte by byte: read, or refused with a reason; little memory, nothing printed."""

import random
import resource
import warnings

import numpy as np
import pytest
import soundfile

from tests.utils.audio_utils.encoding import encode, mp3
from utils.audio_utils import AudioError, read_wave

MUTATIONS = 40
MADE = {
    "a.m4a": ("mp4", "aac", {}),
    "a.webm": ("webm", "libopus", {}),
    "a.wma": ("asf", "wmav2", {"b": "128000"}),
    "a.aac": ("adts", "aac", {}),
    "alac.m4a": ("mp4", "alac", {}),
    "flac.ogg": ("ogg", "flac", {}),
    "mp3.wav": ("wav", "libmp3lame", {}),
}
WRITTEN = {
    "a.wav": ("WAV", "PCM_16"),
    "float.wav": ("WAV", "FLOAT"),
    "a.rf64": ("RF64", "PCM_24"),
    "a.aiff": ("AIFF", "PCM_16"),
    "a.au": ("AU", "PCM_16"),
    "a.flac": ("FLAC", "PCM_16"),
    "a.ogg": ("OGG", "VORBIS"),
    "a.opus": ("OGG", "OPUS"),
}
ENDS = (b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\0\0\0\0", b"\xff\xff\xff\x7f", b"\x01\0\0\0")


def write(folder, name):
    rng = np.random.default_rng(0)
    wave = 0.3 * np.sin(np.arange(24_000) / 10) + 0.05 * rng.standard_normal(24_000)
    if name in WRITTEN:
        file_format, subtype = WRITTEN[name]
        soundfile.write(folder / name, wave, 48_000, format=file_format, subtype=subtype)
    elif name in MADE:
        container, codec, options = MADE[name]
        encode(folder / name, wave, 48_000, container=container, codec=codec, codec_options=options)
    else:
        mp3(folder / name, wave, 48_000, header=name == "a.mp3")
    return (folder / name).read_bytes()


def changed(content, rng):
    """A few bytes are others, missing, too many, or a number that promises much."""
    content = bytearray(content)
    for _ in range(rng.choice((1, 2, 5, 20))):
        at = rng.randrange(rng.choice((min(len(content), 300), len(content))))
        kind = rng.randrange(4)
        if kind == 0:
            content[at] = rng.randrange(256)
        elif kind == 1 and len(content) > 3000:
            del content[at : at + rng.randrange(1, 1000)]
        elif kind == 2:
            content[at : at + 4] = rng.choice(ENDS)
        else:
            content[at:at] = rng.randbytes(rng.randrange(1, 60))
    return bytes(content)


@pytest.mark.parametrize("name", [*MADE, *WRITTEN, "a.mp3", "no header.mp3"])
def test_a_changed_file_is_read_or_refused(tmp_path, name, capfd):
    content = write(tmp_path, name)
    assert len(read_wave(tmp_path / name, 16_000)) > 7000
    rng = random.Random(name)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    outcomes = {"read": 0, "refused": 0}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(MUTATIONS):
            (tmp_path / name).write_bytes(changed(content, rng))
            reason = ""
            try:
                assert np.isfinite(read_wave(tmp_path / name, 16_000)).all()
            except AudioError as error:
                reason = str(error)
            assert reason.isprintable()
            outcomes["refused" if reason else "read"] += 1
    assert outcomes["refused"] > 0
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 400_000  # kB
    assert capfd.readouterr() == ("", "")
