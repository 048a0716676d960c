from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from preprocessing.synthetic_corpus import __main__ as script
from tasks import parse_run
from tests import tiny
from utils.data_utils.spec import SplitsSpec

REPOSITORY = Path(__file__).parents[3]


@pytest.fixture
def root(tmp_path, monkeypatch):
    """The root of a run whose YAML is left out: only `data.root` and `data.splits` matter here."""
    settings = tiny.conf(tmp_path)
    settings["data"]["root"] = str(tmp_path / "synthetic")
    run = parse_run(settings, "conf.yaml")
    monkeypatch.setattr(script, "load_run", lambda argv, parser, kind: (run, parser.parse_args(argv)))
    return run.data.root


def test_writes_the_corpus_and_names_the_next_command(root, capsys):
    script.main(["--clips", "5", "--workers", "1"])
    out = capsys.readouterr().out
    assert f"{root}: wrote 5 clips with five captions each" in out
    assert "next: python -m preprocessing.clotho_dataset" in out
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


def test_splits_must_differ(root, monkeypatch, capsys):
    run = SimpleNamespace(data=SimpleNamespace(root=root, splits=SplitsSpec(eval="validation")))
    monkeypatch.setattr(script, "load_run", lambda argv, parser, kind: (run, parser.parse_args(argv)))
    with pytest.raises(SystemExit):
        script.main([])
    assert "data.splits: found the folders development, validation, expected one for each" in capsys.readouterr().err


def test_help_explains_itself():
    command = [sys.executable, "-m", "preprocessing.synthetic_corpus", "--help"]
    done = subprocess.run(command, cwd=REPOSITORY, env=os.environ, capture_output=True, text=True, check=True)
    assert "1200:150:200" in done.stdout
    assert "--seed" in done.stdout
