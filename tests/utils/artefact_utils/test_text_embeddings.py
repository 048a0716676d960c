"""Caption vectors: by tid, of the model that the run wants."""

import numpy as np
import pytest

from utils.artefact_utils import dump_pickle, read_text_embeddings, write_text_embeddings
from utils.cli_utils import ArtefactError

VECTORS = {f"t{n}": np.full(4, n, np.float32) for n in range(3)}


@pytest.fixture
def path(tmp_path):
    write_text_embeddings(tmp_path / "sbert_embeds.pkl", VECTORS, {"model": "m"})
    return tmp_path / "sbert_embeds.pkl"


def test_rows_come_in_the_order_asked_for(path):
    table = read_text_embeddings(path, "m", "again").table(["t2", "t0", "t2"], "again")
    np.testing.assert_array_equal(table, [[2] * 4, [0] * 4, [2] * 4])
    assert table.dtype == np.float32
    assert read_text_embeddings(path, None, "again").notes == {"format_version": 1, "model": "m"}


def test_another_model_is_refused(path):
    with pytest.raises(
        ArtefactError, match=r"sbert_embeds\.pkl: text model is m, this run wants n; write it again: again"
    ):
        read_text_embeddings(path, "n", "again")


def test_missing_and_broken_vectors_are_named(path):
    held = read_text_embeddings(path, "m", "again")
    with pytest.raises(ArtefactError, match=r"no embedding for 2 of 3 captions, the first is tid t8; add them: again"):
        held.table(["t1", "t8", "t9"], "again")
    for value in (np.nan, np.inf):
        held.vectors["t1"][2] = value
        with pytest.raises(
            ArtefactError, match=r"the embedding of tid t1 holds NaN or infinite values; remove the file"
        ):
            held.table(["t0", "t1"], "again")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ([1, 2], r"expected a dict tid -> \(E,\) float32"),
        ({"t": [1.0, 2.0]}, r"expected a dict tid -> \(E,\) float32"),
        ({"t": np.array(["a", "b"])}, r"expected a dict tid -> \(E,\) float32"),
        ({"t": np.zeros(3), "u": np.zeros(4)}, r"vectors of shapes \[\(3,\), \(4,\)\], expected one \(E,\)"),
        ({"t": np.zeros((1, 3))}, r"vectors of shapes \[\(1, 3\)\], expected one \(E,\)"),
    ],
)
def test_what_is_no_table_of_vectors_is_refused(tmp_path, data, message):
    dump_pickle(tmp_path / "x.pkl", data, {"model": "m"})
    with pytest.raises(ArtefactError, match=rf"x\.pkl: {message}.*; write it again: again"):
        read_text_embeddings(tmp_path / "x.pkl", "m", "again")
