"""Embeddings on disk: mapped, complete or absent, and a killed writer goes on."""

import multiprocessing

import h5py
import numpy as np
import pytest

from tests.children import KilledAt, in_child
from utils.artefact_utils.retrieval.mapped_embeddings import Piece, read_mapped_embeddings, write_mapped_embeddings
from utils.cli_utils import ArtefactError

TABLE = np.arange(50, dtype=np.float32).reshape(10, 5)
MADE_WITH = {"checkpoint": "a", "clips_digest": "b"}


def pieces(embed=lambda rows: rows):
    return [Piece(len(rows), lambda rows=rows: embed(rows)) for rows in (TABLE[:4], TABLE[4:8], TABLE[8:])]


def write(path, made_with=MADE_WITH, embed=lambda rows: rows):
    done = []
    write_mapped_embeddings(path, pieces(embed), made_with, done.append)
    assert sum(done) == len(TABLE)


def test_what_was_written_is_mapped(tmp_path):
    path = tmp_path / "x_embeddings.hdf5"
    assert read_mapped_embeddings(path, MADE_WITH, "remove it") is None
    write(path)
    found = read_mapped_embeddings(path, MADE_WITH, "remove it")
    np.testing.assert_array_equal(found, TABLE)
    assert not found.flags.owndata
    assert not found.flags.writeable
    assert list(tmp_path.iterdir()) == [path]


def test_those_of_other_weights_or_clips_are_not_read(tmp_path):
    path = tmp_path / "x_embeddings.hdf5"
    write(path)
    assert read_mapped_embeddings(path, MADE_WITH | {"checkpoint": "c"}, "remove it") is None
    assert read_mapped_embeddings(path, MADE_WITH | {"clips_digest": "c"}, "remove it") is None


def test_a_killed_writer_embeds_only_what_is_missing(tmp_path):
    path = tmp_path / "x_embeddings.hdf5"
    calls = KilledAt()
    calls.restart(3)
    child = in_child(lambda: write(path, embed=calls.counted(lambda rows: rows)))
    child.join()
    assert child.exitcode == -9
    assert not path.exists()
    calls.restart()
    write(path, MADE_WITH | {"checkpoint": "c"}, calls.counted(lambda rows: rows + 1))  # of other weights
    assert calls.count == 3
    np.testing.assert_array_equal(read_mapped_embeddings(path, MADE_WITH | {"checkpoint": "c"}, ""), TABLE + 1)


def test_a_killed_writer_goes_on(tmp_path):
    path = tmp_path / "x_embeddings.hdf5"
    calls = KilledAt()
    calls.restart(3)
    child = in_child(lambda: write(path, embed=calls.counted(lambda rows: rows)))
    child.join()
    calls.restart()
    write(path, embed=calls.counted(lambda rows: rows))
    assert calls.count == 1
    np.testing.assert_array_equal(read_mapped_embeddings(path, MADE_WITH, ""), TABLE)
    assert list(tmp_path.iterdir()) == [path]
    assert multiprocessing.active_children() == []


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("embeddings", np.zeros((3, 2)), "'embeddings' is float64, expected plain float32; remove it"),
        ("embeddings", np.zeros(3, np.float32), r"'embeddings' is float32 \(3,\), expected floats \(T > 0, D > 0\)"),
        ("others", np.zeros((3, 2), np.float32), "it holds no 'embeddings'; remove it"),
    ],
)
def test_a_strange_file_is_refused_in_one_line(name, value, message, tmp_path):
    path = tmp_path / "x_embeddings.hdf5"
    with h5py.File(path, "w") as file:
        file[name] = value
        file.attrs.update({"format_version": "1", **MADE_WITH})
    with pytest.raises(ArtefactError, match=message):
        read_mapped_embeddings(path, MADE_WITH, "remove it")
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(ArtefactError, match=r"x_embeddings\.hdf5: not a complete HDF5 file"):
        read_mapped_embeddings(path, MADE_WITH, "remove it")
