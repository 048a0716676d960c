from __future__ import annotations

import json
import shutil
from dataclasses import replace

import pytest

from preprocessing.synthetic_corpus.writing import KIND
from utils.cli_utils import UserError
from utils.dataset_utils.corpus_folder import (
    Record,
    all_there,
    check_disk,
    check_root,
    only_writer,
    still_to_write,
    write_record,
)

SIZES = {"development": 12, "validation": 2, "evaluation": 3}
WANTED = Record(KIND, seed=0, sizes=SIZES)


def test_new_and_empty_folders_are_welcome(tmp_path):
    assert check_root(tmp_path / "new", WANTED) is None
    assert check_root(tmp_path, WANTED) is None
    (tmp_path / ".gitkeep").touch()
    (tmp_path / "corpus.json.part").touch()  # a run that was killed at its first write
    assert check_root(tmp_path, WANTED) is None


def test_the_record_comes_back(tmp_path):
    write_record(tmp_path, WANTED)
    assert check_root(tmp_path, WANTED) == WANTED
    assert "--clips 17 --seed 0" in json.loads((tmp_path / "corpus.json").read_text())["command"]
    larger = Record(KIND, 0, {**SIZES, "evaluation": 4})
    assert check_root(tmp_path, larger) == WANTED


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (Record(KIND, 1, SIZES), r"holds a corpus of seed 1, expected seed 0; delete the folder \(rm -r .*data\.root="),
        (Record(replace(KIND, version=2), 0, SIZES), r"format 2, expected format 3; delete"),
        (Record(KIND, 0, {"train": 1}), r"the splits train, expected development, validation, evaluation"),
        (Record(KIND, 0, {**SIZES, "evaluation": 9}), r"23 clips .*expected 17 clips .*only ever enlarged"),
    ],
)
def test_another_corpus_is_refused(tmp_path, found, message):
    write_record(tmp_path, found)
    with pytest.raises(UserError, match=message) as caught:
        check_root(tmp_path, WANTED)
    assert "\n" not in str(caught.value)


def test_foreign_files_are_refused(tmp_path):
    (tmp_path / "clotho_captions_development.csv").touch()
    with pytest.raises(UserError, match=r"such as clotho_captions_development\.csv\), expected a new or empty folder"):
        check_root(tmp_path, WANTED)


def test_foreign_clips_beside_ours_are_refused(tmp_path):
    write_record(tmp_path, WANTED)
    (tmp_path / "validation").mkdir()
    (tmp_path / "validation" / "val_000000.wav").touch()
    (tmp_path / "validation" / "val_000001.wav.part").touch()
    assert check_root(tmp_path, WANTED) == WANTED
    (tmp_path / "validation" / "Rain on a roof.wav").touch()
    with pytest.raises(UserError, match=r"validation/Rain on a roof\.wav"):
        check_root(tmp_path, WANTED)


@pytest.mark.parametrize("text", ["", "[]", '{"seed": 0}', '{"format": "synthetic_corpus", "sizes": 3}', "\x00"])
def test_a_broken_record_is_refused(tmp_path, text):
    (tmp_path / "corpus.json").write_text(text)
    with pytest.raises(UserError, match=r"corpus\.json: is not the record of the corpus synthetic_corpus; delete"):
        check_root(tmp_path, WANTED)


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "root").touch()
    with pytest.raises(UserError, match="is a file, expected a folder"):
        check_root(tmp_path / "root", WANTED)


def test_the_disk_is_checked_before_anything_is_written(tmp_path, monkeypatch, capsys):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=10_000_000))
    check_disk(tmp_path / "a" / "b", "clips", new=10, mean_bytes=400_000)
    assert "10 clips to write, about 4 MB; 10 MB are free" in capsys.readouterr().out
    with pytest.raises(UserError, match=r"has 10 MB free, the corpus needs 42\.0 GB more; free some space"):
        check_disk(tmp_path / "a" / "b", "clips", new=100_000, mean_bytes=400_000)
    assert not (tmp_path / "a").exists()


def test_one_writer_at_a_time(tmp_path):
    with only_writer(tmp_path), pytest.raises(UserError, match="another run is writing there"), only_writer(tmp_path):
        pass
    with only_writer(tmp_path):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_corpus_of_another_kind_is_refused(tmp_path):
    write_record(tmp_path, Record(replace(KIND, name="synthetic_pictures"), 0, SIZES))
    with pytest.raises(UserError, match=r"corpus\.json: is not the record of the corpus synthetic_corpus; delete"):
        check_root(tmp_path, WANTED)


def test_splits_may_share_a_folder(tmp_path):
    kind = replace(KIND, folder=lambda split: "clips", tables=lambda splits: ["captions.txt"])
    wanted = Record(kind, 0, {"train": 2, "dev": 1, "test": 1})
    write_record(tmp_path, wanted)
    (tmp_path / "clips").mkdir()
    for name in ("dev_000000.wav", "dev_000001.wav", "val_000000.wav", "eval_000000.wav.part"):
        (tmp_path / "clips" / name).touch()
    assert check_root(tmp_path, wanted) == wanted
    assert still_to_write(tmp_path, wanted) == 1
    (tmp_path / "clips" / "eval_000000.wav").touch()
    assert not all_there(tmp_path, wanted)
    (tmp_path / "captions.txt").touch()
    assert all_there(tmp_path, wanted)


def test_a_corpus_of_many_folders_counts_them_in_place_of_their_names():
    few, many = {"a": 3, "b": 2}, dict.fromkeys("abcde", 4)
    assert Record(KIND, 1, few).summary() == "5 clips (a 3, b 2) of seed 1"
    assert Record(KIND, 1, many).summary() == "20 clips (5 folders of 4) of seed 1"
    assert Record(KIND, 1, many | {"e": 3}).summary() == "19 clips (5 folders of 3 to 4) of seed 1"
