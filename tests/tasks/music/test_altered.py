"""Altered copies: a system that hears loudness alone loses the softer ones, one that hears pitch finds them all."""

import numpy as np
import pytest
import soundfile

from tasks.music.altered import AlteredSystem, altered_shares
from tasks.music.results import Settings
from utils.artefact_utils import Track
from utils.audio_utils import read_wave

RATE_HZ = 8000
PITCHES_HZ = (300, 500, 800, 1300)


def track(name):
    return Track(name, name, "test", name, name, "", "", "", (), 5.0)


@pytest.fixture
def tracks(tmp_path):
    """Four tones of 5 s, each 6 dB louder than the one before; the last has 3.5 s."""
    for number, pitch in enumerate(PITCHES_HZ):
        time_s = np.arange(RATE_HZ * (5 if number < 3 else 3.5)) / RATE_HZ
        soundfile.write(tmp_path / f"{number}.wav", 0.1 * 2**number * np.sin(2 * np.pi * pitch * time_s), RATE_HZ)
    return [track(f"{number}.wav") for number in range(4)]


def by_pitch(paths):
    waves = [read_wave(path, RATE_HZ) for path in paths]
    peaks = [np.abs(np.fft.rfft(wave)).argmax() * RATE_HZ / len(wave) for wave in waves]
    return circle(np.array(peaks) / 1300), {}


def by_level(paths):
    return circle(np.array([np.abs(read_wave(path, RATE_HZ)).max() for path in paths])), {}


def refusing(paths):
    """Refuse all but the first."""
    return by_pitch(paths)[0], dict.fromkeys(range(1, len(paths)), "too short")


def circle(values):
    """Numbers from 0 to 1 as unit vectors."""
    return np.stack([np.cos(values), np.sin(values)], axis=1).astype(np.float32)


def shares(tracks, root, sample=4):
    own = [root / one.path for one in tracks]
    systems = {embed.__name__: AlteredSystem(embed, embed(own)[0]) for embed in (by_pitch, by_level, refusing)}
    return altered_shares(systems, tracks, root, sample, Settings())


def test_the_share_of_copies_that_find_their_original(tracks, tmp_path):
    found = shares(tracks, tmp_path)
    # 10 dB softer: 0.1 is nearest to itself still, the others to a softer track
    assert found["softer_10db"] == {"by_pitch": 1.0, "by_level": 0.25, "refusing": 0.25, "tracks": 4}
    assert found["mp3_64kbps"] == {"by_pitch": 1.0, "by_level": 1.0, "refusing": 0.25, "tracks": 4}
    assert found["shifted_3s"] == {"by_pitch": 1.0, "by_level": 1.0, "refusing": 1 / 3, "tracks": 3}


def test_a_sample_of_tracks_and_a_recording_that_cannot_be_read(tracks, tmp_path, capsys):
    (tmp_path / "0.wav").write_text("no sound")
    systems = {"by_pitch": AlteredSystem(by_pitch, circle(np.array(PITCHES_HZ) / 1300))}
    found = altered_shares(systems, tracks, tmp_path, 2, Settings())  # the first and the last
    assert found["mp3_64kbps"] == {"by_pitch": 1.0, "tracks": 1}
    assert found["shifted_3s"] == {"by_pitch": None, "tracks": 0}
    assert "0.wav: " in capsys.readouterr().out
