"""Score matrices: stored in tiles, read in blocks of rows or of columns."""

import errno

import h5py
import numpy as np
import pytest

from tests.utils.artefact_utils.full_disk import FullFile, replace_files
from utils.artefact_utils.retrieval import ScoreReader, scores, write_scores
from utils.cli_utils import ArtefactError


def write(path, shape=(300, 150), blocks=64, seed=0):
    rng = np.random.default_rng(seed)
    matrix = rng.standard_normal(shape).astype(np.float32)
    starts = list(range(0, shape[0], blocks))[::-1]  # any order
    write_scores(
        path,
        {"tid": [f"t{n}" for n in range(shape[0])], "fid": [f"é{n}" for n in range(shape[1])]},
        ((start, matrix[start : start + blocks]) for start in starts),
        {"text": np.ones((shape[0], 2), np.float32), "audio": np.zeros((shape[1], 2), np.float32)},
        {"split": "evaluation"},
    )
    return matrix


@pytest.mark.parametrize("shape", [(1, 1), (300, 150), (5, 700), (700, 3)])
@pytest.mark.parametrize("block_bytes", [1, 300_000, 2**26])
def test_both_directions_give_the_matrix(tmp_path, monkeypatch, shape, block_bytes):
    monkeypatch.setattr(scores, "_BLOCK_BYTES", block_bytes)
    matrix = write(tmp_path / "x.hdf5", shape)
    with ScoreReader(tmp_path / "x.hdf5", "again") as reader:
        for direction, wanted in ((reader.text_to_audio(), matrix), (reader.audio_to_text(), matrix.T)):
            assert direction.shape == wanted.shape
            blocks = list(direction.blocks())
            assert [start for start, _ in blocks] == list(np.cumsum([0, *(len(b) for _, b in blocks)])[:-1])
            np.testing.assert_array_equal(np.concatenate([block for _, block in blocks]), wanted)
        assert reader.tids == [f"t{n}" for n in range(shape[0])]
        assert reader.fids == [f"é{n}" for n in range(shape[1])]
        assert reader.notes["split"] == "evaluation"
        assert reader.embeddings("text").shape == (shape[0], 2)
        assert not reader.embeddings("audio").any()


def test_files_that_are_no_scores_are_refused(tmp_path):
    path = tmp_path / "x.hdf5"
    with pytest.raises(ArtefactError, match=r"x\.hdf5: no such file; write it: again"):
        ScoreReader(path, "again")
    write(path)
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(ArtefactError, match=r"x\.hdf5: not a complete HDF5 file; write it again: again"):
        ScoreReader(path, "again")
    with h5py.File(path, "w") as file:
        file["scores"] = np.zeros((2, 2))
    with pytest.raises(ArtefactError, match=r"x\.hdf5: not a score matrix of format 1; write it again: again"):
        ScoreReader(path, "again")


def test_a_full_disk_leaves_the_old_scores(tmp_path, monkeypatch):
    matrix = write(tmp_path / "x.hdf5")
    replace_files(monkeypatch, lambda file: FullFile(file, 150_000))
    with pytest.raises(OSError, match="refused") as error:
        write(tmp_path / "x.hdf5", seed=1)
    assert error.value.errno == errno.ENOSPC
    assert [path.name for path in tmp_path.iterdir()] == ["x.hdf5"]
    with ScoreReader(tmp_path / "x.hdf5", "again") as reader:
        np.testing.assert_array_equal(next(reader.text_to_audio().blocks())[1], matrix)


def test_scores_without_embeddings_are_read(tmp_path):
    path = tmp_path / "x.hdf5"
    write_scores(path, {"tid": ["t"], "fid": ["f"]}, [(0, np.ones((1, 1), np.float32))], {}, {"split": "evaluation"})
    with ScoreReader(path, "again") as reader:
        np.testing.assert_array_equal(next(reader.text_to_audio().blocks())[1], [[1]])
        with pytest.raises(ArtefactError, match=r"x\.hdf5: holds scores without audio_embeddings.*single run: again"):
            reader.embeddings("audio")
