from __future__ import annotations

import contextlib
import csv
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import soundfile

from preprocessing.synthetic_corpus import writing
from preprocessing.synthetic_corpus.clips import plan_clip, render
from preprocessing.synthetic_corpus.writing import KIND, write_corpus
from utils.cli_utils import UserError

SIZES = {"development": 20, "validation": 3, "evaluation": 4}
REPOSITORY = Path(__file__).parents[3]


def contents(root):
    """Every file of a corpus by its hash."""
    files = (path for path in sorted(root.rglob("*")) if path.is_file())
    return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def rows(path):
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    root = tmp_path_factory.mktemp("corpus") / "synthetic"
    assert write_corpus(root, SIZES, seed=0, workers=1)
    return root


def test_layout_is_clothos(corpus):
    for split, prefix in zip(SIZES, ("dev", "val", "eval"), strict=True):
        names = [f"{prefix}_{index:06d}.wav" for index in range(SIZES[split])]
        assert sorted(path.name for path in (corpus / split).iterdir()) == names
        table = rows(corpus / f"clotho_captions_{split}.csv")
        assert [row["file_name"] for row in table] == names
        assert list(table[0]) == ["file_name", *(f"caption_{number}" for number in range(1, 6))]
        assert all(len(set(row.values())) == 6 and all(row.values()) for row in table)


def test_captions_stand_a_second_time_in_the_form_of_audiocaps(corpus):
    for split in SIZES:
        lines = (corpus / f"{split}.tsv").read_text(encoding="utf-8").splitlines()
        assert lines[0] == "uniq_id\taudio\ttext"
        assert [line.split("\t") for line in lines[1:]] == [
            [f"{Path(row['file_name']).stem}_{n}", f"synthetic/{split}/{row['file_name']}", row[f"caption_{n}"]]
            for row in rows(corpus / f"clotho_captions_{split}.csv")
            for n in range(1, 6)
        ]


def test_a_corpus_without_its_tsvs_gets_them_and_keeps_its_clips(tmp_path, monkeypatch):
    sizes = {"development": 2, "validation": 1, "evaluation": 1}
    write_corpus(tmp_path, sizes, seed=0, workers=1)
    before = contents(tmp_path)
    for split in sizes:
        (tmp_path / f"{split}.tsv").unlink()
    monkeypatch.setattr(writing, "_write_wav", lambda path, samples: pytest.fail(f"{path} is written again"))
    assert write_corpus(tmp_path, sizes, seed=0, workers=1)
    assert contents(tmp_path) == before
    assert not write_corpus(tmp_path, sizes, seed=0, workers=1)


def test_the_tsv_names_a_relative_root_in_full(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_corpus(Path(), {"a": 1, "b": 1, "c": 1}, seed=0, workers=1)
    assert f"\t{tmp_path.name}/a/dev_000000.wav\t" in Path("a.tsv").read_text(encoding="utf-8")


def test_audio_is_16_bit_mono_44100_and_as_rendered(corpus):
    path = corpus / "evaluation" / "eval_000002.wav"
    info = soundfile.info(path)
    assert (info.format, info.subtype, info.channels, info.samplerate) == ("WAV", "PCM_16", 1, 44_100)
    wave, _ = soundfile.read(path, dtype="float32")
    assert abs(wave - render(plan_clip(0, 2, 2))).max() < 1e-4


def test_events_lie_in_their_files_in_order_of_time(corpus):
    for split in SIZES:
        table = rows(corpus / f"{split}_events.csv")
        assert list(table[0]) == ["file_name", "kind", "start_s", "end_s", "count"]
        assert {row["file_name"] for row in table} == {path.name for path in (corpus / split).iterdir()}
        for row in table:
            duration_s = soundfile.info(corpus / split / row["file_name"]).duration
            assert 0 <= float(row["start_s"]) < float(row["end_s"]) <= duration_s
            assert int(row["count"]) >= 1
        order = [(row["file_name"], float(row["start_s"])) for row in table]
        assert order == sorted(order)


def test_workers_change_nothing(corpus, tmp_path):
    root = tmp_path / corpus.name
    write_corpus(root, SIZES, seed=0, workers=2)
    assert contents(root) == contents(corpus)


def test_a_larger_corpus_begins_with_the_smaller_one(corpus, tmp_path):
    root = tmp_path / corpus.name
    write_corpus(root, {**SIZES, "development": 2}, seed=0, workers=1)
    assert json.loads((root / "corpus.json").read_text())["sizes"]["development"] == 2
    kept = (root / "development" / "dev_000001.wav").stat().st_mtime_ns
    write_corpus(root, SIZES, seed=0, workers=1)
    assert contents(root) == contents(corpus)
    assert (root / "development" / "dev_000001.wav").stat().st_mtime_ns == kept


@pytest.mark.parametrize("stop_at", [0, 7, 20, 26])
def test_interrupted_and_resumed_equals_uninterrupted(corpus, tmp_path, monkeypatch, stop_at):
    root = tmp_path / corpus.name
    written = []
    write_wav = writing._write_wav

    def interrupted(path, samples):
        if len(written) == stop_at:
            path.with_name(path.name + ".part").write_bytes(b"half a file")
            raise KeyboardInterrupt
        write_wav(path, samples)
        written.append(path)

    monkeypatch.setattr(writing, "_write_wav", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_corpus(root, SIZES, seed=0, workers=1)
    assert not json.loads((root / "corpus.json").read_text())["complete"]
    assert (root / "clotho_captions_development.csv").exists() == (stop_at >= 20)
    assert (root / "development.tsv").exists() == (stop_at >= 20)
    resumed = []
    monkeypatch.setattr(writing, "_write_wav", lambda path, samples: (resumed.append(path), write_wav(path, samples)))
    write_corpus(root, SIZES, seed=0, workers=1)
    assert contents(root) == contents(corpus)
    assert len(resumed) == sum(SIZES.values()) - stop_at


KILLED = """
import os, signal, sys
from pathlib import Path
from preprocessing.synthetic_corpus import writing

ordered_map = writing.ordered_map

def killing(*arguments):
    for number, made in enumerate(ordered_map(*arguments)):
        if number == 2:  # the workers are at the next clips
            os.kill(os.getpid(), signal.SIGKILL)
        yield made

writing.ordered_map = killing
if __name__ == "__main__":
    writing.write_corpus(Path(sys.argv[1]), {"development": 100, "validation": 3, "evaluation": 4}, 0, 2)
"""


def processes_of(session):
    """The processes of a session that have not ended."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, _, _, its_session = path.read_text().rpartition(")")[2].split()[:4]
            if int(its_session) == session and state != "Z":
                found.append(path)
    return found


def test_killed_outright_and_resumed_equals_uninterrupted(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(KILLED)
    root = tmp_path / "corpus"
    env = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    process = subprocess.Popen(
        [sys.executable, str(script), str(root)], env=env, stderr=subprocess.DEVNULL, start_new_session=True
    )
    assert process.wait() == -signal.SIGKILL
    deadline = time.monotonic() + 60
    while processes_of(process.pid):  # the workers end with their parent
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert 0 < len(list(root.rglob("*.wav"))) < 107
    write_corpus(root, {"development": 100, "validation": 3, "evaluation": 4}, seed=0, workers=1)
    for index in (0, 30, 99):
        wave, _ = soundfile.read(root / "development" / f"dev_{index:06d}.wav", dtype="float32")
        assert abs(wave - render(plan_clip(0, 0, index))).max() < 1e-4
    assert not list(root.rglob("*.part"))
    assert len(rows(root / "clotho_captions_development.csv")) == 100


def test_a_complete_corpus_is_reused(corpus, capsys):
    before = {path: path.stat().st_mtime_ns for path in corpus.rglob("*")}
    assert not write_corpus(corpus, SIZES, seed=0, workers=1)
    assert (
        "27 clips (development 20, validation 3, evaluation 4) of seed 0 are there already" in capsys.readouterr().out
    )
    assert {path: path.stat().st_mtime_ns for path in corpus.rglob("*")} == before


@pytest.mark.parametrize("lost", ["validation/val_000001.wav", "evaluation_events.csv", "evaluation.tsv"])
def test_what_is_lost_is_made_again(tmp_path, lost):
    sizes = {"development": 2, "validation": 2, "evaluation": 2}
    write_corpus(tmp_path, sizes, seed=5, workers=1)
    before = contents(tmp_path)
    (tmp_path / lost).unlink()
    (tmp_path / "development" / "dev_000000.wav").write_bytes(b"cut short")
    assert write_corpus(tmp_path, sizes, seed=5, workers=1)
    assert contents(tmp_path) == before


def test_disk_use_is_printed_first_and_near_the_truth(tmp_path, capsys):
    write_corpus(tmp_path, {"development": 60, "validation": 1, "evaluation": 1}, seed=0, workers=1)
    line = capsys.readouterr().out.splitlines()[0]
    assert line.startswith(f"{tmp_path}: 62 clips to write, about ")
    used_mb = sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file()) / 1e6
    assert float(line.split("about ")[1].split(" MB")[0]) == pytest.approx(used_mb, rel=0.25)


def test_a_folder_of_somebody_else_stays_untouched(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match=r"notes\.txt"):
        write_corpus(tmp_path, SIZES, seed=0, workers=1)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_names_are_unique_and_tell_nothing():
    names = {KIND.file_name(split, index) for split in range(3) for index in range(10)}
    assert len(names) == 30
    assert KIND.file_name(0, 123) == "dev_000123.wav"
    assert KIND.file_name(2, 1_234_567) == "eval_1234567.wav"
