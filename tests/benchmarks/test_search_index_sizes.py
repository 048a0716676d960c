"""The table of index sizes, on a few clips."""

import numpy as np

from benchmarks import search_index_sizes
from benchmarks.clustered_embeddings import draw, on_disk


def test_a_row_for_exact_search_and_one_a_kind(tmp_path, capsys):
    search_index_sizes.main(["--clips", "600", "--width", "8", "--kinds", "flat", "ivf", "--folder", str(tmp_path)])
    rows = [line.split(" | ") for line in capsys.readouterr().out.splitlines() if line.startswith("| 600 x 8 ")]
    assert [row[1] for row in rows] == ["exact, numpy", "flat", "ivf"]
    assert float(rows[1][6]) == 1
    assert float(rows[2][6]) >= 0.95
    assert len({len(row) for row in rows[1:]}) == 1


def test_the_embeddings_are_unit_vectors_and_the_same_again(tmp_path):
    table = on_disk(tmp_path / "a.npy", 50, 6)
    np.testing.assert_array_equal(table, draw(50, 6, seed=1))
    np.testing.assert_array_equal(on_disk(tmp_path / "a.npy", 50, 6), table)
    np.testing.assert_allclose(np.linalg.norm(table, axis=1), 1, atol=1e-6)
