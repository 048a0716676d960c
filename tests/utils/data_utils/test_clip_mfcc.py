"""MFCC of all clips of a split: computed once, for the clips that are missing, in their order."""

import numpy as np
import pytest
import soundfile

from utils.artefact_utils import Clip
from utils.audio_utils.track_features import COLUMNS, MFCC, MFCC_COLUMNS, mfcc_features
from utils.cli_utils import UserError
from utils.config_utils import parse
from utils.data_utils import AudioDataSpec, clip_track_features
from utils.data_utils.clip_mfcc import mfcc_of_clips


@pytest.fixture
def corpus(tmp_path):
    """Five clips of noise of unequal length, and the run's `data:` block."""
    rng = np.random.default_rng(0)
    (tmp_path / "root").mkdir()
    clips = []
    for number in range(5):
        wave = rng.normal(0, 0.1, 8000 + 1600 * number)
        soundfile.write(tmp_path / "root" / f"{number}.wav", wave, 16_000, subtype="FLOAT")
        clips.append(Clip(f"f{number}", f"{number}.wav", f"{number}.wav", len(wave) / 16_000, 16_000, 1, ""))
    keys = {"root": str(tmp_path / "root"), "features": str(tmp_path / "features")}
    return parse(keys, AudioDataSpec, "data"), clips


def test_rows_are_the_features_of_each_clip(corpus):
    data, clips = corpus
    found = mfcc_of_clips(data, "train", clips, 1, made_by="make it")
    assert found.shape == (5, len(MFCC_COLUMNS))
    assert COLUMNS[MFCC] == MFCC_COLUMNS
    for row, clip in zip(found, clips, strict=True):
        wave, rate = soundfile.read(data.root / clip.path, dtype="float32")
        np.testing.assert_allclose(row, mfcc_features([wave], rate), rtol=1e-5, atol=1e-5)
    assert data.mfcc("train").is_file()


def test_what_is_on_disk_is_not_computed_again(corpus, monkeypatch):
    data, clips = corpus
    first = mfcc_of_clips(data, "train", clips[:4], 1, made_by="make it")
    computed = []
    features_of_clip = clip_track_features.features_of_clip
    monkeypatch.setattr(
        clip_track_features,
        "features_of_clip",
        lambda root, clip, how: computed.append(clip) or features_of_clip(root, clip, how),
    )
    again = mfcc_of_clips(data, "train", clips[::-1], 1, made_by="make it")
    assert computed == clips[4:]
    assert np.array_equal(again[:0:-1], first)
    mfcc_of_clips(data, "train", clips, 1, made_by="make it")
    assert computed == clips[4:]


def test_a_clip_that_cannot_be_decoded_is_reported(corpus):
    data, clips = corpus
    (data.root / clips[2].path).write_bytes(b"no sound")
    with pytest.raises(UserError, match=r"^1 clips could not be decoded, the first is 2.wav: "):
        mfcc_of_clips(data, "train", clips, 1, made_by="make it")
    assert "2.wav" in data.mfcc_failed("train").read_text()
    assert not data.mfcc("train").exists()


def test_a_file_of_another_program_is_not_replaced(corpus):
    data, clips = corpus
    data.features.mkdir()
    data.mfcc("development").write_bytes(b"mine")
    with pytest.raises(UserError, match=r"development_mfcc.hdf5"):
        mfcc_of_clips(data, "development", clips, 1, made_by="make it")
    assert data.mfcc("development").read_bytes() == b"mine"
