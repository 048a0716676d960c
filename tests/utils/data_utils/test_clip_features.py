"""Waves are read by offset: a batch holds slices of the whole clips, and no clip is decoded whole for a window."""

import numpy as np
import pytest
import soundfile
import torch

from utils.artefact_utils import Clip
from utils.audio_utils import decoding, read_wave
from utils.cli_utils import ArtefactError
from utils.data_utils import AudioDataSpec, WaveFeatures, WaveNeeds

RATE = 22_050


@pytest.fixture
def recordings(tmp_path):
    rng = np.random.default_rng(0)
    (tmp_path / "root").mkdir()
    for name, seconds in (("long.wav", 6), ("short.flac", 1)):
        soundfile.write(tmp_path / "root" / name, rng.uniform(-0.5, 0.5, (RATE * seconds, 2)), RATE)
    return AudioDataSpec(root=tmp_path / "root", features=tmp_path / "features", max_duration_s=2.0)


CLIPS = [Clip("a", "long.wav", "long.wav", 6.0, RATE, 2, ""), Clip("b", "short.flac", "short.flac", 1.0, RATE, 2, "")]


@pytest.fixture(params=["auto", 0])
def data(recordings, request, monkeypatch):
    """Decoded by three threads, or by this one alone."""
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    return recordings.model_copy(update={"workers": request.param})


def test_a_batch_holds_slices_of_the_whole_waves(data, monkeypatch):
    whole = [read_wave(data.root / clip.path, 16_000) for clip in CLIPS]
    monkeypatch.setattr(decoding, "wave_blocks", None)  # nothing decodes a whole clip from here on
    waves = WaveFeatures(data, CLIPS, WaveNeeds(16_000))
    assert waves.lengths.tolist() == [96_000, 16_000]
    assert waves.max_length == 32_000
    batch = waves.batch(np.array([0, 1]), np.array([51_234, 0]), np.array([32_000, 16_000])).numpy()
    np.testing.assert_allclose(batch[0], whole[0][51_234:83_234], rtol=0, atol=1e-5)
    np.testing.assert_allclose(batch[1, :16_000], whole[1], rtol=0, atol=1e-5)
    assert (batch[1, 16_000:] == 0).all()


def test_a_clip_that_cannot_be_read_any_more_is_named(data):
    (data.root / "short.flac").write_bytes(b"")
    waves = WaveFeatures(data, CLIPS, WaveNeeds(16_000))
    with pytest.raises(ArtefactError, match=r"short\.flac: .* repair it, or leave it out: <make tables>"):
        waves.batch(np.array([1]), np.array([0]), np.array([16_000]))
