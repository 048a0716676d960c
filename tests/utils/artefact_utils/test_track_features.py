"""<split>_audio_features.hdf5: what is written is read in the order of the clips, or refused in one line."""

import h5py
import numpy as np
import pytest

from utils.artefact_utils import Clip, TrackFeatureParts, read_track_features
from utils.cli_utils import ArtefactError


def clips_of(*fids):
    return [Clip(fid, f"{fid}.mp3", f"{fid}.mp3", 1.0, 44_100, 1, fid) for fid in fids]


@pytest.fixture
def written(tmp_path):
    """Three tracks, each with its own number in all columns."""
    path = tmp_path / "test_audio_features.hdf5"
    parts = TrackFeatureParts(path)
    arrays = {fid: np.full(518, number, np.float32) for number, fid in enumerate("abc")}
    parts.write_part(list(arrays), ((fid, iter([array])) for fid, array in arrays.items()))
    parts.assemble(list(arrays), "python -m make")
    return path


def test_rows_come_in_the_order_of_the_clips(written):
    table = read_track_features(written, clips_of("c", "a"), "make it")
    assert table.shape == (2, 518)
    assert table.dtype == np.float32
    assert table[:, 0].tolist() == [2, 0]
    assert read_track_features(written, [], "make it").shape == (0, 518)
    with h5py.File(written) as file:
        assert file.attrs["columns"].startswith('["chroma_cens_kurtosis_01", "chroma_cens_kurtosis_02"')
        assert file.attrs["made_by"] == "python -m make"
        assert {"format_version", "features_version", "librosa", "dtype"} <= set(file.attrs)


def test_features_of_another_librosa_are_made_again(written, monkeypatch):
    monkeypatch.setattr("utils.artefact_utils.track_features.version", lambda name: "99.0")
    parts = TrackFeatureParts(written)
    assert not parts.is_complete(["a", "b", "c"])
    assert '"librosa": "0.' in parts.replaces()
    assert len(read_track_features(written, clips_of("b"), "make it")) == 1  # they are still good to read


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda file: file.pop("b"), "no features for 1 of 3 clips, the first is fid b; add them: make it"),
        (lambda file: file["b"].write_direct(np.full(518, np.nan, np.float32)), r"clip b \(b.mp3\) hold NaN or"),
        (lambda file: file.attrs.update({"features_version": "0"}), "features of version 0, expected 1"),
        (lambda file: file.attrs.update({"columns": '["a"]'}), "FMA's 518 columns in their order"),
        (lambda file: file.attrs.update({"format_version": 7}), "format version is 7"),
        (lambda file: file.pop("b") and file.create_dataset("b", data=np.ones(140)), r"expected floats \(518,\)"),
    ],
)
def test_other_files_are_refused(written, change, expected):
    with h5py.File(written, "a") as file:
        change(file)
    with pytest.raises(ArtefactError, match=expected) as error:
        read_track_features(written, clips_of(*"abc"), "make it")
    assert str(error.value).startswith(str(written))
    assert "make it" in str(error.value)


def test_a_missing_file_is_named_with_its_command(tmp_path):
    with pytest.raises(ArtefactError, match=r"nothing\.hdf5.*make it"):
        read_track_features(tmp_path / "nothing.hdf5", clips_of("a"), "make it")
