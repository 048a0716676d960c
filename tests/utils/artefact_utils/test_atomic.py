"""Files are complete or absent."""

import errno
import json

import pytest

from utils.artefact_utils import remove_leftovers, replacing, write_json


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_the_old_file_stands_until_the_new_one_is_complete(tmp_path):
    path = tmp_path / "made" / "here" / "x.txt"
    with replacing(path) as beside:
        beside.write_text("old")
        assert not path.exists()
    with replacing(path) as beside:
        beside.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert names(path.parent) == ["x.txt"]


def write_half(path, error):
    with replacing(path) as beside:
        beside.write_text("half")
        raise error


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "full"), KeyboardInterrupt(), ValueError("bug")])
def test_a_writer_that_fails_leaves_the_old_file_and_nothing_else(tmp_path, error):
    path = tmp_path / "x.json"
    write_json(path, {"ä": [1, None]})
    with pytest.raises(type(error)):
        write_half(path, error)
    assert json.loads(path.read_text()) == {"ä": [1, None]}
    assert "ä" in path.read_text(encoding="utf-8")
    assert names(tmp_path) == ["x.json"]


def test_a_rename_that_is_refused_leaves_the_old_file(tmp_path, monkeypatch):
    write_json(tmp_path / "x.json", 1)

    def refuse(self, target):
        raise PermissionError(errno.EACCES, "Permission denied", str(target))

    monkeypatch.setattr("pathlib.Path.replace", refuse)
    with pytest.raises(PermissionError):
        write_json(tmp_path / "x.json", 2)
    assert (tmp_path / "x.json").read_text() == "1\n"
    assert names(tmp_path) == ["x.json"]


def test_leftovers_of_killed_writers_are_removed_and_no_others(tmp_path):
    for name in ("x.json", ".x.json.partial-1", ".x.json.partial-77", ".y.json.partial-1"):
        (tmp_path / name).touch()
    remove_leftovers(tmp_path / "x.json")
    assert names(tmp_path) == [".y.json.partial-1", "x.json"]
