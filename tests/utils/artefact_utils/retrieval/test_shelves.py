"""The baseline's shelf of scores: read as `shelve` writes it, without running anything that it holds."""

import dbm.dumb
import os
import pickle
import shelve
import sqlite3

import numpy as np
import pytest

from utils.artefact_utils.retrieval import read_foreign_scores, shelf_of
from utils.cli_utils import ArtefactError

FIDS, TIDS = ["UmXzNFjeHDE=", "-4O-c7X6FP0=", "é"], ["zeI2lWdVmV4=", "t2", "t3", "t4"]
SCORES = np.random.default_rng(0).standard_normal((4, 3)).astype(np.float32)


def write_shelf(base, groups):
    """As the baseline does: dbm.dumb below `shelve`, protocol 2."""
    with shelve.Shelf(dbm.dumb.open(str(base), "n"), protocol=2) as stream:
        for fid, group in groups.items():
            stream[fid] = group
    return base


def groups():
    return {fid: {t: SCORES[q, c].item() for q, t in enumerate(TIDS)} for c, fid in enumerate(FIDS)}


@pytest.fixture
def shelf(tmp_path):
    return write_shelf(tmp_path / "eval_xmodal_scores.db", groups())


def message_of(path):
    with pytest.raises(ArtefactError) as error:
        read_foreign_scores(path)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_shelf_as_the_baseline_writes_it(shelf):
    assert not shelf.exists()  # only its .dat, .dir and .bak do
    for name in ("", ".dat", ".dir", ".bak"):
        found = read_foreign_scores(shelf.with_name(shelf.name + name))
        np.testing.assert_array_equal(found.scores.astype(np.float32), SCORES)
        assert (found.queries, found.files, found.depth, found.path) == (TIDS, FIDS, None, shelf)


def test_a_value_that_was_written_again_counts_once(shelf):
    with shelve.Shelf(dbm.dumb.open(str(shelf), "w"), protocol=2) as stream:
        stream[FIDS[1]] = dict.fromkeys(TIDS, 7.0)
    assert read_foreign_scores(shelf).scores[:, 1].tolist() == [7.0] * 4


class Evil:
    def __reduce__(self):
        return os.system, ("touch ran",)


@pytest.mark.parametrize(
    ("group", "message"),
    [
        (Evil(), "not a pickle of plain numbers ("),
        ({"zeI2lWdVmV4=": Evil()}, "not a pickle of plain numbers ("),
        ([], "found list, expected scores by tid"),
        ({}, "found dict, expected scores by tid"),
        ({**dict.fromkeys(TIDS, 0.0), "t2": float("nan")}, "found 't2': nan, expected a tid and a finite number"),
        ({**dict.fromkeys(TIDS, 0.0), "t2": "x" * 500}, "found 't2': 'xxx"),
        ({**dict.fromkeys(TIDS, 0.0), "t2": 10**400}, "it holds a whole number of 167 bytes"),
        (dict.fromkeys(TIDS[:3], 0.0), "has scores of other captions than clip 'UmXzNFjeHDE='"),
        (dict.fromkeys([*TIDS[:3], "t5"], 0.0), "has scores of other captions than clip 'UmXzNFjeHDE='"),
    ],
)
def test_what_is_no_score_is_refused(tmp_path, monkeypatch, group, message):
    monkeypatch.chdir(tmp_path)
    base = write_shelf(tmp_path / "x.db", {**groups(), FIDS[1]: group})
    found = message_of(base)
    assert f"{base}.dat, clip '-4O-c7X6FP0='" in found
    assert message in found
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("'f', (0, 10**9)", "line 1: not the position of a value ("),
        ("'f', (0, 100000000)", "line 1: not the position of a value (it is outside of the file of values)"),
        ("'f', (-1, 5)", "it is outside of the file of values"),
        ("'f', (0, True)", "it is outside of the file of values"),
        ("'f'", "line 1: not the position of a value"),
        ("__import__('os')", "line 1: not the position of a value (malformed node"),
        ("(" * 900, "line 1: not the position of a value"),
        ("'" + "f" * 2000 + "', (0, 9)", "line 1: not the position of a value"),
        ("'f', (0, 300)\n'g', (0, 300)\n'h', (0, 300)\n'i', (0, 300)", "its values overlap"),
        ("", "holds no clips"),
        ("\x00\xff", "line 1: not the position of a value"),
    ],
)
def test_a_broken_index_is_refused(shelf, line, message):
    shelf.with_name(f"{shelf.name}.dir").write_bytes(line.encode("latin-1") + b"\n" * bool(line))
    found = message_of(shelf)
    assert f"{shelf}.dir" in found
    assert message in found


def test_a_truncated_file_of_values_is_refused(shelf):
    data = shelf.with_name(f"{shelf.name}.dat")
    data.write_bytes(data.read_bytes()[:600])
    assert "it is outside of the file of values" in message_of(shelf)
    data.write_bytes(bytes(2000))
    assert "clip 'UmXzNFjeHDE=': not a pickle of plain numbers" in message_of(shelf)


def test_a_small_pickle_that_would_fill_memory_is_refused(tmp_path):
    bomb = b"\x80\x02](" + b"]" * 3 + b"e" + b"0h\x00" * 50  # nonsense behind a list
    with dbm.dumb.open(str(tmp_path / "x.db"), "n") as stream:
        stream[b"f"] = bomb
        stream[b"g"] = pickle.dumps(dict.fromkeys(TIDS, 1.0), 2)
    assert "clip 'f': " in message_of(tmp_path / "x.db")


def test_other_databases_are_named(tmp_path):
    path = tmp_path / "x.db"
    assert "x.db: suffix '.db' is none of .csv, .npy, .npz, .db" in message_of(path)
    path.write_bytes(b"\xce\x9a\x57\x13" + bytes(100))
    assert "x.db: is a GNU dbm database, expected the .dat and .dir that the baseline writes" in message_of(path)
    path.unlink()
    sqlite3.connect(path).execute("CREATE TABLE Dict (key BLOB, value BLOB)").connection.close()
    assert "x.db: is an SQLite database" in message_of(path)
    path.unlink()
    (tmp_path / "x.db.db").touch()
    assert "x.db: is an ndbm database, x.db.db" in message_of(path)
    assert shelf_of(path) is None


def test_lists_do_not_go_with_a_shelf(shelf):
    with pytest.raises(ArtefactError, match="names its own queries and files; leave out --queries and --files"):
        read_foreign_scores(shelf, shelf, shelf)
