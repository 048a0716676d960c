from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from preprocessing.synthetic_corpus import __main__ as script
from tests import tiny
from utils.cli_utils import command_line

REPOSITORY = Path(__file__).parents[3]


@pytest.fixture
def root(tmp_path, monkeypatch):
    """The root of the run of a conf.yaml in the folder where the script runs."""
    monkeypatch.chdir(tmp_path)
    return write_conf(tmp_path)


def write_conf(folder, **splits):
    settings = tiny.conf(folder)
    settings["data"] |= {"root": str(folder / "synthetic"), "splits": splits}
    tiny.write_conf(folder, settings)
    return folder / "synthetic"


def test_writes_the_corpus_and_names_the_next_command(root, capsys):
    script.main(["--clips", "5", "--workers", "1"])
    out = capsys.readouterr().out
    assert f"{root}: wrote 5 clips with five captions each" in out
    assert f"next: {command_line('preprocessing.clotho_dataset')}\n" in out
    assert len(list(root.rglob("*.wav"))) == 5
    script.main(["--clips", "5", "--workers", "1"])
    assert "the corpus is reused" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--clips", "2"], "--clips 2: expected 3 or more"),
        (["--seed", "-1"], "--seed -1: expected 0 or more"),
        (["--workers", "0"], "--workers 0: expected 1 or more"),
    ],
)
def test_bad_numbers_end_in_one_line(root, capsys, argv, message):
    with pytest.raises(SystemExit) as caught:
        script.main(argv)
    assert caught.value.code == 2
    assert capsys.readouterr().err == f"error: {message}\n"
    assert not root.exists()


def test_splits_must_differ(root, capsys):
    write_conf(root.parent, eval="validation")
    with pytest.raises(SystemExit):
        script.main([])
    assert "data.splits: found the folders development, validation, expected one for each" in capsys.readouterr().err


def test_help_explains_itself():
    command = [sys.executable, "-m", "preprocessing.synthetic_corpus", "--help"]
    done = subprocess.run(command, cwd=REPOSITORY, env=os.environ, capture_output=True, text=True, check=True)
    assert "1200:150:200" in done.stdout
    assert "--seed" in done.stdout
