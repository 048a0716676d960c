from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from preprocessing.synthetic_music import __main__ as script


@pytest.fixture
def root(tmp_path, monkeypatch):
    """The root of a run on tracks."""

    def load_run(argv, parser, kind):
        run = SimpleNamespace(
            data=SimpleNamespace(root=tmp_path / "music"),
            script_of=str,
            next_script={"preprocessing.synthetic_music": "preprocessing.fma_dataset"}.get,
        )
        parser.add_argument("--conf", type=Path, default=Path("music.yaml"))
        parser.add_argument("--set", action="append", default=[])
        return run, parser.parse_args(argv)

    monkeypatch.setattr(script, "load_run", load_run)
    return tmp_path / "music"


def test_writes_the_corpus_and_names_the_next_command(root, capsys):
    script.main(["--tracks", "4", "--workers", "1"])
    out = capsys.readouterr().out
    assert f"{root}: wrote 4 tracks" in out
    assert out.endswith("next: python -m preprocessing.fma_dataset --conf music.yaml\n")
    assert len(list(root.rglob("*.mp3"))) == 4
    script.main(["--tracks", "4", "--workers", "1"])
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
        script.main(argv)
    assert caught.value.code == 2
    assert capsys.readouterr().err == f"error: {message}\n"
    assert not root.exists()
