from __future__ import annotations

import csv
import hashlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from preprocessing.synthetic_pictures import writing
from preprocessing.synthetic_pictures.writing import write_corpus
from utils.cli_utils import UserError

SIZES = {"train": 20, "dev": 3, "test": 4}
REPOSITORY = Path(__file__).parents[3]


def contents(root):
    """Every file of a corpus by its hash."""
    files = (path for path in sorted(root.rglob("*")) if path.is_file())
    return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    root = tmp_path_factory.mktemp("corpus") / "pictures"
    assert write_corpus(root, SIZES, seed=0, workers=1)
    return root


def test_layout_is_flickr8ks(corpus):
    lists = {split: (corpus / f"Flickr_8k.{split}Images.txt").read_text().split() for split in SIZES}
    assert {split: len(names) for split, names in lists.items()} == SIZES
    names = [name for those in lists.values() for name in those]
    assert sorted(path.name for path in (corpus / "Images").iterdir()) == sorted(set(names))
    with (corpus / "captions.txt").open(newline="") as stream:
        rows = list(csv.reader(stream))
    assert rows[0] == ["image", "caption"]
    assert [name for name, _ in rows[1:]] == [name for name in names for _ in range(5)]
    with (corpus / "shapes.csv").open(newline="") as stream:
        assert next(csv.DictReader(stream))["image"] == "train_000000.jpg"


def test_workers_change_nothing(corpus, tmp_path):
    write_corpus(tmp_path, SIZES, seed=0, workers=2)
    assert contents(tmp_path) == contents(corpus)


def test_a_larger_corpus_begins_with_the_smaller_one(corpus, tmp_path):
    write_corpus(tmp_path, {**SIZES, "train": 2}, seed=0, workers=1)
    before = (tmp_path / "Images" / "train_000001.jpg").stat().st_mtime_ns
    write_corpus(tmp_path, SIZES, seed=0, workers=1)
    assert contents(tmp_path) == contents(corpus)
    assert (tmp_path / "Images" / "train_000001.jpg").stat().st_mtime_ns == before


KILLED = """
import os, signal, sys
from pathlib import Path
from preprocessing.synthetic_pictures import writing

render = writing.render
left = [22]

def killing(plan):
    left[0] -= 1
    if not left[0]:
        os.kill(os.getpid(), signal.SIGKILL)
    return render(plan)

writing.render = killing
writing._mean_picture_bytes = lambda seed: 1000
writing.write_corpus(Path(sys.argv[1]), {"train": 20, "dev": 3, "test": 4}, 0, 1)
"""


def test_killed_and_run_again_equals_uninterrupted(corpus, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(KILLED)
    root = tmp_path / "pictures"
    env = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run([sys.executable, str(script), str(root)], env=env, capture_output=True)
    assert done.returncode == -signal.SIGKILL
    assert len(list(root.rglob("*.jpg"))) == 21
    assert not (root / "captions.txt").exists()
    assert not json.loads((root / "corpus.json").read_text())["complete"]
    written = []
    with pytest.MonkeyPatch.context() as patch:
        write = writing._write_picture
        patch.setattr(writing, "_write_picture", lambda path, plan: (written.append(path), write(path, plan)))
        write_corpus(root, SIZES, seed=0, workers=1)
    assert len(written) == sum(SIZES.values()) - 21
    assert contents(root) == contents(corpus)


def test_a_complete_corpus_is_reused_and_what_is_lost_is_made_again(tmp_path, capsys):
    sizes = {"train": 3, "dev": 1, "test": 1}
    write_corpus(tmp_path, sizes, seed=4, workers=1)
    before = contents(tmp_path)
    assert not write_corpus(tmp_path, sizes, seed=4, workers=1)
    assert "5 pictures (train 3, dev 1, test 1) of seed 4 are there already" in capsys.readouterr().out
    (tmp_path / "shapes.csv").unlink()
    (tmp_path / "Images" / "train_000002.jpg").write_bytes(b"\xff\xd8cut short")
    assert write_corpus(tmp_path, sizes, seed=4, workers=1)
    assert contents(tmp_path) == before


def test_a_folder_of_somebody_else_stays_untouched(tmp_path):
    (tmp_path / "Images").mkdir()
    (tmp_path / "Images" / "holiday.jpg").write_bytes(b"mine")
    with pytest.raises(UserError, match=r"not of the corpus synthetic_pictures \(such as Images"):
        write_corpus(tmp_path, SIZES, seed=0, workers=1)
    assert [path.name for path in tmp_path.rglob("*")] == ["Images", "holiday.jpg"]
