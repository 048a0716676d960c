"""Files of this project are known by what is in them; others are never replaced."""

import pickle

import h5py
import numpy as np
import pytest
import torch

from utils.artefact_utils import (
    Caption,
    ForeignFileError,
    dump_pickle,
    known_hdf5,
    known_pickle,
    known_table,
    refuse_foreign,
    remove_table,
    write_json,
    write_rows,
    write_text_table,
)
from utils.artefact_utils.hdf5 import replacing_hdf5
from utils.artefact_utils.ownership import known_json, known_weights
from utils.weight_utils import write_weights

BASELINE_COLUMNS = "tid,fid,fname,raw_text,text,tokens"


def old_pickle(path, **notes):
    """As every version of this project wrote it."""
    with path.open("wb") as stream:
        pickle.dump({"t": np.ones(3, np.float32)}, stream, protocol=5)
        pickle.dump({"format_version": 1, **notes}, stream, protocol=5)


def write_hdf5(path, **attributes):
    with h5py.File(path, "w") as file:
        file["f"] = np.ones(3)
        file.attrs.update(attributes)


def test_pickles(tmp_path):
    path = tmp_path / "x.pkl"
    for notes in ({}, {"root": "r", "stat": {f"p{n}": (n, n) for n in range(3000)}}):
        old_pickle(path, **notes)
        assert known_pickle(path)
        dump_pickle(path, [1], {"format_version": 1, **notes})
        assert known_pickle(path)
    for content in (
        pickle.dumps({"audio_fid2fname": {}, "audio_durations": {}}),  # of the DCASE 2023 baseline
        pickle.dumps({"format_version": 1}),
        pickle.dumps([{"format_version": 1}], 5),
        pickle.dumps("x", 5) + pickle.dumps({"made": 1, "format_version": 1}, 5),
        b"garbage",
        path.read_bytes()[:40],
    ):
        path.write_bytes(content)
        assert not known_pickle(path)
        with pytest.raises(ForeignFileError, match=r"x\.pkl: is a file of another program, or a broken one"):
            dump_pickle(path, [1], {"format_version": 1})
        assert path.read_bytes() == content


def test_hdf5(tmp_path):
    path = tmp_path / "x.hdf5"
    write_hdf5(path, format_version=1)
    assert known_hdf5(path)
    whole = path.read_bytes()
    for spoil in (lambda: write_hdf5(path), lambda: path.write_bytes(whole[:-700]), lambda: path.write_text("text")):
        spoil()
        content = path.read_bytes()
        assert not known_hdf5(path)
        with pytest.raises(ForeignFileError), replacing_hdf5(path):
            raise AssertionError
        assert path.read_bytes() == content


def test_tables(tmp_path):
    path = tmp_path / "x_text.csv"
    caption = Caption("t", "f", "a.wav", "A dog.", "a dog", "s")
    write_text_table(path, [caption])
    write_text_table(path, [caption])
    path.write_text(f"{BASELINE_COLUMNS}\nt,f,n,r,t,[]\n")
    with pytest.raises(ForeignFileError):
        write_text_table(path, [caption])
    with pytest.raises(ForeignFileError):
        remove_table(path, ["fid", "fname", "reason"])
    assert path.read_text().startswith(BASELINE_COLUMNS)
    for header in ("a,b", '\ufeff"a","b"', "a,b\r"):
        path.write_text(f"{header}\n", newline="")
        assert known_table(["a", "b"])(path)
        assert not known_table(["b", "a"])(path)
    write_rows(path, ["a", "b"], [[1, 2]])
    assert path.read_text() == "a,b\n1,2\n"
    remove_table(path, ["a", "b"])
    remove_table(path, ["a", "b"])
    assert not path.exists()


def test_json_and_weights(tmp_path):
    path = tmp_path / "x.json"
    write_json(path, {"a": 1})
    write_json(path, {"a": 2, "b": 3})
    path.write_text('{"c": 1}')
    with pytest.raises(ForeignFileError):
        write_json(path, {"a": 1})
    for content in ("[1]", "{", "[" * 100_000, ""):
        path.write_text(content)
        assert not known_json(["a"])(path)
    weights = tmp_path / "x.pth"
    write_weights(weights, {"w": torch.ones(2)}, {"encoder": "e"})
    assert known_weights(weights)
    write_weights(weights, {"w": torch.ones(3)}, {"encoder": "e"})
    torch.save({"model": {"w": torch.ones(2)}}, weights)
    content = weights.read_bytes()
    with pytest.raises(ForeignFileError, match="name another file, or move it away"):
        write_weights(weights, {"w": torch.ones(2)}, {})
    assert weights.read_bytes() == content


def test_what_holds_nothing_may_be_replaced_and_a_folder_may_not(tmp_path):
    (tmp_path / "empty").touch()
    refuse_foreign(tmp_path / "empty", known_hdf5)
    refuse_foreign(tmp_path / "none", known_hdf5)
    with pytest.raises(ForeignFileError, match="never replaced; write to another place, or move it away"):
        refuse_foreign(tmp_path, known_hdf5)
