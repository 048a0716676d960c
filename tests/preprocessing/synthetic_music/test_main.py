from __future__ import annotations

from pathlib import Path

import pytest

from preprocessing.synthetic_music import __main__ as script

CONF = ["--conf", str(Path(__file__).parents[3] / "tasks" / "music_autoencoder.yaml")]


@pytest.fixture
def root(tmp_path):
    return tmp_path / "music"


def run(root, *argv):
    script.main([*CONF, "--set", f"data.root={root}", *argv])


def test_writes_the_corpus_and_names_the_next_command(root, capsys):
    run(root, "--tracks", "4", "--workers", "1")
    out = capsys.readouterr().out
    assert f"{root}: wrote 4 tracks" in out
    assert out.splitlines()[-1].startswith("next: python -m preprocessing.fma_dataset --conf ")
    assert len(list(root.rglob("*.mp3"))) == 4
    run(root, "--tracks", "4", "--workers", "1")
    assert "the corpus is reused" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--tracks", "2"], "--tracks 2: expected 3 or more"),
        (["--seed", "-1"], "--seed -1: expected 0 or more"),
        (["--workers", "0"], "--workers 0: expected 1 or more"),
    ],
)
def test_bad_numbers_end_in_one_line(root, capsys, argv, message):
    with pytest.raises(SystemExit) as caught:
        run(root, *argv)
    assert caught.value.code == 2
    assert capsys.readouterr().err == f"error: {message}\n"
    assert not root.exists()
