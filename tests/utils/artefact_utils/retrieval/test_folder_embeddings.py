"""The embeddings of a folder: read again as written, for the same weights alone."""

import numpy as np
import pytest

from utils.artefact_utils.pickles import dump_pickle
from utils.artefact_utils.retrieval.folder_embeddings import (
    FileEmbedding,
    folder_embeddings_file,
    read_folder_embeddings,
    write_folder_embeddings,
)
from utils.cli_utils import ArtefactError

MADE_WITH = {"folder": "/sounds", "weights": "trial/checkpoint (epoch 1), sha256 ab"}
FILES = {
    "a.wav": FileEmbedding(10, 123, np.array([0.5, -1.0], np.float32), ""),
    "sub/né.wav": FileEmbedding(0, 124, None, "is silent"),
}


def test_what_is_written_is_read(tmp_path):
    path = tmp_path / "folder.pkl"
    assert read_folder_embeddings(path, MADE_WITH, 2) == {}
    write_folder_embeddings(path, FILES, MADE_WITH)
    found = read_folder_embeddings(path, MADE_WITH, 2)
    assert found["sub/né.wav"] == FILES["sub/né.wav"]
    assert found["a.wav"][:2] == (10, 123)
    np.testing.assert_array_equal(found["a.wav"].embedding, [0.5, -1.0])
    assert read_folder_embeddings(path, MADE_WITH | {"weights": "others"}, 2) == {}


@pytest.mark.parametrize(
    "data",
    [
        [],
        {1: (0, 0, None, "x")},
        {"a": (0, 0, None, "")},
        {"a": (0, 0, np.zeros(3, np.float32), "")},
        {"a": (0, 0, np.zeros(2, np.float64), "")},
        {"a": ("0", 0, np.zeros(2, np.float32), "")},
        {"a": (0, np.zeros(2, np.float32))},
    ],
)
def test_what_is_no_such_file_is_refused(tmp_path, data):
    dump_pickle(tmp_path / "f.pkl", data, {"format_version": 1, **MADE_WITH})
    with pytest.raises(ArtefactError, match=r"f\.pkl: holds no embeddings of 2 numbers a file; remove "):
        read_folder_embeddings(tmp_path / "f.pkl", MADE_WITH, 2)


def test_folders_of_one_name_have_files_of_their_own(tmp_path):
    paths = {folder_embeddings_file(tmp_path, tmp_path / parent / "my sounds") for parent in ("a", "b")}
    assert len(paths) == 2
    assert all(path.name.startswith("folder_my_sounds_") and path.parent == tmp_path for path in paths)
    assert folder_embeddings_file(tmp_path, tmp_path / "a" / ".." / "b") == folder_embeddings_file(
        tmp_path, tmp_path / "b"
    )
