"""Pickles of arrays are read, whatever wrote them; pickles that run code are refused unrun."""

import contextlib
import datetime
import io
import os
import pickle
import pickletools
from pathlib import Path

import numpy as np
import pytest

from utils.artefact_utils import dump_pickle, load_pickle
from utils.cli_utils import ArtefactError

DATA = {
    "a": np.arange(6, dtype=np.float32).reshape(2, 3),
    "fortran": np.asfortranarray(np.eye(3)),
    "scalar": np.float32(0.5),
    "words": {"dog", "bell"},
    "nested": [(1, 2.5, None, True, "é", b"\x00\xff"), {"x": []}],
    "empty": np.zeros((0, 4), np.int64),
    "text": np.array(["a", "bc"]),
}


def assert_same(found, wanted):
    assert type(found) is type(wanted)
    if isinstance(wanted, dict):
        assert list(found) == list(wanted)
        for key in wanted:
            assert_same(found[key], wanted[key])
    elif isinstance(wanted, np.ndarray):
        assert found.dtype == wanted.dtype
        np.testing.assert_array_equal(found, wanted)
    else:
        assert found == wanted


def of_numpy_1(pickled):
    """The same pickle as numpy 1 spells it."""
    for new, old in (
        (b"numpy._core.multiarray", b"numpy.core.multiarray"),
        (b"numpy._core.numeric", b"numpy.core.numeric"),
    ):
        pickled = pickled.replace(b"c" + new + b"\n", b"c" + old + b"\n")  # protocols 2 and 3
        pickled = pickled.replace(bytes([len(new)]) + new, bytes([len(old)]) + old)  # 4 and 5: with their length
    return pickletools.optimize(pickled)  # sets the frames' lengths right


@pytest.mark.filterwarnings("ignore:numpy.core:DeprecationWarning")
@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("spell", [bytes, of_numpy_1])
def test_arrays_of_every_protocol_and_numpy_are_read(tmp_path, protocol, spell):
    pickled = spell(pickle.dumps(DATA, protocol=protocol))
    assert (b"numpy._core" in pickled) == (spell is bytes)
    (tmp_path / "x.pkl").write_bytes(pickled)
    found, notes = load_pickle(tmp_path / "x.pkl", "again")
    assert_same(found, DATA)
    assert notes == {}


def test_data_come_first_for_any_other_program_and_notes_after(tmp_path):
    dump_pickle(tmp_path / "x.pkl", DATA, {"format_version": 1})
    with (tmp_path / "x.pkl").open("rb") as stream:
        assert_same(pickle.load(stream), DATA)  # noqa: S301 - written here
    found, notes = load_pickle(tmp_path / "x.pkl", "again")
    assert_same(found, DATA)
    assert notes == {"format_version": 1}


class Hostile:
    """Pickles itself as a call."""

    def __init__(self, function, *arguments):
        self._call = function, arguments

    def __reduce__(self):
        return self._call


def hostile_pickles(mark):
    """Name and bytes of pickles that would make the file `mark` if they were believed."""
    touch = f"touch {mark}"
    make = f"__import__('pathlib').Path({str(mark)!r}).touch()"
    calls = {
        "os.system": Hostile(os.system, touch),
        "builtins.eval": Hostile(eval, make),
        "builtins.exec": Hostile(exec, make),
        "builtins.getattr": Hostile(getattr, "x", "upper"),
        "builtins.open": Hostile(open, str(mark), "w"),
        "pathlib": Path("x"),
        "datetime": datetime.date(2024, 1, 1),
        "in an array": np.array([Hostile(os.system, touch)], dtype=object),
        "in a key": {(1, Hostile(os.system, touch)): 2},
    }
    yield from ((name, pickle.dumps(value, protocol=2 + n % 4)) for n, (name, value) in enumerate(calls.items()))
    yield "posix by hand", b"cposix\nsystem\n(S'" + touch.encode() + b"'\ntR."
    yield "numpy's own loader", b"cnumpy\nload\n(S'x'\ntR."
    yield "a dotted name", b"\x80\x04\x8c\x05numpy\x8c\x0cndarray.dump\x93."
    yield "INST", b"(S'" + touch.encode() + b"'\nios\nsystem\n."
    yield "an extension code", b"\x80\x02\x82\x01."
    yield "a persistent id", b"Px\n."


def test_pickles_that_run_code_are_refused_unrun(tmp_path):
    mark = tmp_path / "ran"
    pickles = list(hostile_pickles(mark))
    assert len(pickles) == 15
    for name, pickled in pickles:
        (tmp_path / "x.pkl").write_bytes(pickled)
        with pytest.raises(ArtefactError, match=r"x\.pkl: (refused|not a complete pickle).*write it again: again"):
            load_pickle(tmp_path / "x.pkl", "again")
        assert not mark.exists(), name


def test_the_refusal_says_what_it_names(tmp_path):
    (tmp_path / "x.pkl").write_bytes(pickle.dumps({"tid": Hostile(os.system, "true")}))
    with pytest.raises(
        ArtefactError,
        match=r"x\.pkl: refused: it names posix\.system; expected numpy arrays and plain containers alone; "
        r"write it again: python -m made",
    ):
        load_pickle(tmp_path / "x.pkl", "python -m made")


def test_hostile_notes_are_refused_too(tmp_path):
    mark = tmp_path / "ran"
    (tmp_path / "x.pkl").write_bytes(pickle.dumps({}) + pickle.dumps(Hostile(os.system, f"touch {mark}")))
    with pytest.raises(ArtefactError, match="refused"):
        load_pickle(tmp_path / "x.pkl", "again")
    assert not mark.exists()


@pytest.mark.parametrize("note", [np.zeros(2), [(1, np.zeros(2))], {"a": np.zeros(2)}])
def test_notes_that_cannot_be_compared_are_refused(tmp_path, note):
    (tmp_path / "x.pkl").write_bytes(pickle.dumps({}) + pickle.dumps({"format_version": note}))
    with pytest.raises(ArtefactError, match=r"x\.pkl: refused: its notes hold an array; .*write it again: again"):
        load_pickle(tmp_path / "x.pkl", "again")


def test_files_that_are_no_pickles_are_refused(tmp_path):
    path = tmp_path / "x.pkl"
    with pytest.raises(ArtefactError, match=r"x\.pkl: no such file; write it: again"):
        load_pickle(path, "again")
    whole = pickle.dumps(DATA)
    stream = io.BytesIO()
    np.save(stream, np.eye(2))
    garbage = [b"", b"\n", b"not a pickle", stream.getvalue(), b"\x80\x05\x8e" + b"\xff" * 8, b"\x80\x04]\x94(."]
    rng = np.random.default_rng(0)
    for content in [*garbage, *(whole[: int(cut)] for cut in rng.integers(0, len(whole) - 1, 40))]:
        path.write_bytes(content)
        with pytest.raises(ArtefactError, match=r"x\.pkl: .*write it again: again"):
            load_pickle(path, "again")


def test_garbled_bytes_never_end_in_another_error(tmp_path):
    rng = np.random.default_rng(1)
    plain = {"tid": DATA["nested"], "more": list(range(300))}
    for _ in range(300):
        content = bytearray(pickle.dumps(plain, protocol=int(rng.integers(2, 6))))
        for at in rng.integers(0, len(content), 3):
            content[at] = rng.integers(0, 256)
        (tmp_path / "x.pkl").write_bytes(content)
        with contextlib.suppress(ArtefactError):  # most are refused, some are read as something else
            load_pickle(tmp_path / "x.pkl", "again")
