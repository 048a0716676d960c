"""Checks of folders and free disk."""

from collections import namedtuple

import pytest

from utils.cli_utils import UserError, check_free_disk, existing_folder


def test_existing_folder_names_key_and_repair(tmp_path):
    assert existing_folder(tmp_path, "data.root", "correct it") == tmp_path
    with pytest.raises(UserError, match=r"^data\.root: folder .*/none does not exist; correct it$"):
        existing_folder(tmp_path / "none", "data.root", "correct it")
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"^data\.root: folder .*/file is a file; correct it$"):
        existing_folder(tmp_path / "file", "data.root", "correct it")


def test_free_disk_is_that_of_the_nearest_folder_that_stands(tmp_path, monkeypatch):
    asked = []
    usage = namedtuple("usage", "total used free")

    def disk_usage(path):
        asked.append(path)
        return usage(10, 0, 5_000_000)

    monkeypatch.setattr("shutil.disk_usage", disk_usage)
    check_free_disk(tmp_path / "a" / "b", 5_000_000, "data.features")
    with pytest.raises(
        UserError, match=r"b: needs 6 MB, 5 MB are free; free some space, or .* --set data\.features=DIR"
    ):
        check_free_disk(tmp_path / "a" / "b", 5_500_001, "data.features")
    assert asked == [tmp_path, tmp_path]
