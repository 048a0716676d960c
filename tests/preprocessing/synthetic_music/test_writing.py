from __future__ import annotations

import csv
import hashlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from preprocessing.synthetic_music import writing
from preprocessing.synthetic_music.discography import plan_track
from preprocessing.synthetic_music.recordings import take_of
from preprocessing.synthetic_music.tables import TRACK_COLUMNS, track_row
from preprocessing.synthetic_music.writing import KIND, write_corpus
from utils.audio_utils import probe
from utils.cli_utils import UserError

SIZES = {"training": 5, "validation": 1, "test": 2}
REPOSITORY = Path(__file__).parents[3]


def contents(root):
    """Every file of a corpus by its hash."""
    files = (path for path in sorted(root.rglob("*")) if path.is_file())
    return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    root = tmp_path_factory.mktemp("corpus") / "music"
    assert write_corpus(root, SIZES, seed=0, workers=1)
    return root


def test_the_tables_are_read_as_fmas_are(corpus):
    tracks = pd.read_csv(corpus / "fma_metadata" / "tracks.csv", index_col=0, header=[0, 1])
    assert tracks.index.name == "track_id"
    assert tracks.index.is_monotonic_increasing
    assert tracks.index.is_unique
    assert tracks["set", "split"].value_counts().to_dict() == SIZES
    assert set(tracks["set", "subset"]) == {"small"}
    second = tracks.loc[5]  # the second track of the first training artist
    plan = plan_track(0, 0, 1)
    assert second["artist", "name"] == plan.artist.name
    assert second["track", "title"] == plan.title
    assert second["album", "title"] == plan.album_title
    assert (second["track", "number"], second["album", "tracks"]) == (2, 3)
    assert second["track", "genre_top"] == plan.artist.genre.name
    assert json.loads(second["track", "genres"]) == [plan.artist.subgenre_id]
    assert json.loads(second["track", "genres_all"]) == [plan.artist.genre.genre_id, plan.artist.subgenre_id]
    for path in (corpus / "fma_small").rglob("*.mp3"):
        assert int(path.stem) in tracks.index
        assert path.parent.name == f"{int(path.stem) // 1000:03d}"


def test_a_track_is_an_mp3_of_the_length_of_its_take(corpus):
    path = corpus / "fma_small" / "000" / "000005.mp3"
    assert path.read_bytes()[:3] == b"ID3" or path.read_bytes()[0] == 0xFF
    facts = probe(path)
    assert (facts.sample_rate_hz, facts.channels) == (22_050, 1)
    assert facts.duration_s == pytest.approx(take_of(plan_track(0, 0, 1)).duration_s, abs=1e-4)


def test_checksums_are_those_of_the_files(corpus):
    lines = (corpus / "fma_small" / "checksums").read_text().splitlines()
    assert len(lines) == sum(SIZES.values())
    for line in lines:
        digest, name = line.split("  ")
        assert hashlib.sha1((corpus / "fma_small" / name).read_bytes()).hexdigest() == digest


def test_genres_form_a_tree_and_are_counted(corpus):
    with (corpus / "fma_metadata" / "genres.csv").open(newline="") as stream:
        rows = {int(row["genre_id"]): row for row in csv.DictReader(stream)}
    tops = [number for number, row in rows.items() if row["parent"] == "0"]
    assert len(tops) == 6
    assert all(int(row["parent"] if number not in tops else row["genre_id"]) in tops for number, row in rows.items())
    assert all(
        row["top_level"] == (row["genre_id"] if row["parent"] == "0" else row["parent"]) for row in rows.values()
    )
    tracks = pd.read_csv(corpus / "fma_metadata" / "tracks.csv", index_col=0, header=[0, 1])
    listed = [number for text in tracks["track", "genres_all"] for number in json.loads(text)]
    assert {number: int(row["#tracks"]) for number, row in rows.items()} == {n: listed.count(n) for n in rows}


def test_a_song_between_two_genres_has_no_top_genre():
    plan = next(p for p in (plan_track(0, 0, index) for index in range(200)) if len(p.song.genres) == 2)
    row = dict(zip(TRACK_COLUMNS, track_row(plan, "training", 7.5)[1:], strict=True))
    assert row["track", "genre_top"] == ""
    assert len(json.loads(row["track", "genres"])) == 2
    assert len(json.loads(row["track", "genres_all"])) == 4


def test_workers_change_nothing(corpus, tmp_path):
    write_corpus(tmp_path, SIZES, seed=0, workers=2)
    assert contents(tmp_path) == contents(corpus)


def test_a_larger_corpus_begins_with_the_smaller_one(corpus, tmp_path):
    write_corpus(tmp_path, {"training": 2, "validation": 1, "test": 1}, seed=0, workers=1)
    before = (tmp_path / "fma_small" / "000" / "000005.mp3").stat().st_mtime_ns
    write_corpus(tmp_path, SIZES, seed=0, workers=1)
    assert contents(tmp_path) == contents(corpus)
    assert (tmp_path / "fma_small" / "000" / "000005.mp3").stat().st_mtime_ns == before


KILLED = """
import os, signal, sys
from pathlib import Path
from preprocessing.synthetic_music import writing

write = writing.soundfile.write
left = [4]

def killing(path, *args, **keys):
    left[0] -= 1
    if not left[0]:
        path.write_bytes(b"\\xff\\xfb half a file")
        os.kill(os.getpid(), signal.SIGKILL)
    return write(path, *args, **keys)

writing.soundfile.write = killing
writing.write_corpus(Path(sys.argv[1]), {"training": 5, "validation": 1, "test": 2}, 0, 1)
"""


def test_killed_and_run_again_equals_uninterrupted(corpus, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(KILLED)
    root = tmp_path / "music"
    env = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run([sys.executable, str(script), str(root)], env=env, capture_output=True)
    assert done.returncode == -signal.SIGKILL
    assert len(list(root.rglob("*.mp3"))) == 3
    assert not (root / "fma_metadata" / "tracks.csv").exists()
    assert not json.loads((root / "corpus.json").read_text())["complete"]
    written = []
    with pytest.MonkeyPatch.context() as patch:
        write = writing._write_mp3
        patch.setattr(writing, "_write_mp3", lambda path, plan: (written.append(path), write(path, plan)))
        write_corpus(root, SIZES, seed=0, workers=1)
    assert len(written) == sum(SIZES.values()) - 3
    assert contents(root) == contents(corpus)


def test_a_complete_corpus_is_reused_and_what_is_lost_is_made_again(tmp_path, capsys):
    sizes = {"training": 2, "validation": 1, "test": 1}
    write_corpus(tmp_path, sizes, seed=4, workers=1)
    before = contents(tmp_path)
    assert not write_corpus(tmp_path, sizes, seed=4, workers=1)
    assert "4 tracks (training 2, validation 1, test 1) of seed 4 are there already" in capsys.readouterr().out
    (tmp_path / "fma_metadata" / "tracks.csv").unlink()
    broken = tmp_path / "fma_small" / "000" / "000003.mp3"
    broken.write_bytes(bytes(broken.stat().st_size))
    cut = tmp_path / "fma_small" / "000" / "000002.mp3"
    cut.write_bytes(cut.read_bytes()[:20_000])
    assert write_corpus(tmp_path, sizes, seed=4, workers=1)
    assert contents(tmp_path) == before


def test_the_data_set_of_somebody_else_stays_untouched(tmp_path):
    track = tmp_path / "fma_small" / "000" / "000002.mp3"
    track.parent.mkdir(parents=True)
    track.write_bytes(b"the real one")
    with pytest.raises(UserError, match=r"not of the corpus synthetic_music \(such as fma_small\)"):
        write_corpus(tmp_path, SIZES, seed=0, workers=1)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [track]


def test_foreign_files_in_our_folders_are_refused(corpus, tmp_path):
    sizes = {"training": 1, "validation": 1, "test": 1}
    write_corpus(tmp_path, sizes, seed=0, workers=1)
    for name in ("fma_metadata/raw_albums.csv", "fma_small/000/My song.mp3"):
        (tmp_path / name).touch()
        with pytest.raises(UserError, match=f"such as {name}"):
            write_corpus(tmp_path, sizes, seed=0, workers=1)
        (tmp_path / name).unlink()


def test_names_are_unique():
    names = {KIND.file_name(split, index) for split in range(3) for index in range(700)}
    assert len(names) == 2100
    assert all(KIND.pattern.fullmatch(name) for name in names)
    assert KIND.file_name(0, 0) == "000/000002.mp3"
    assert KIND.file_name(2, 333) == "001/001003.mp3"
