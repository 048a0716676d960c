"""FMA's layout becomes tables; what is broken, short, damaged or unknown is named, and the rest goes on."""

import csv
import hashlib
import re
import shutil

import pytest

from preprocessing import audio_logmel
from tests.preprocessing.music_corpus import GENRES, HEADER, ROWS, Corpus, write_csv
from utils.artefact_utils import read_clips
from utils.data_utils import AudioClips
from utils.dataset_utils import clips as clips_module


@pytest.fixture
def corpus(tmp_path, monkeypatch):
    return Corpus(tmp_path, monkeypatch)


def test_the_tables_of_a_subset(corpus, capsys):
    assert corpus.write_fma().run(subset="small") == 0
    tracks = {track.track_id: track for track in corpus.tracks()}
    assert [*tracks] == ["2", "5", "140", "1001"]
    assert tracks["5"][2:9] == (
        *("training", "fma_small/000/000005.mp3", 'This "World"', "Kurt Vile, solo", "Constant", "Rock"),
        ("Rock", "Punk"),
    )
    assert tracks["140"].album == "Songs in two lines"
    assert tracks["1001"].artist == "Les Îles"
    assert tracks["2"].duration_s == pytest.approx(0.5, abs=0.06)
    for split in ("training", "validation", "test"):
        clips = read_clips(corpus.data.audio_info, split, "")
        found = [(track.fid, track.track_id, track.path) for track in corpus.tracks(split)]
        assert [(clip.fid, clip.source_id, clip.path) for clip in clips] == found
        assert corpus.rejected(split) == {}
    tree = list(csv.reader(corpus.data.genre_tree.open(newline="", encoding="utf-8")))
    assert tree == [
        ["genre", "parent", "top", "tracks"],
        *(["Rock", "", "Rock", "2"], ["Hip-Hop", "", "Hip-Hop", "2"], ["Punk", "Rock", "Rock", "2"]),
    ]
    printed = capsys.readouterr().out
    assert "4 tracks have a file in" in printed
    assert printed.splitlines()[-1].startswith("next: ")


def test_the_scripts_of_clips_take_tracks(corpus):
    corpus.write_fma().run()
    audio_logmel.main(["--conf", str(corpus.folder / "x.yaml"), "--workers", "1"])
    clips = AudioClips(corpus.data, "training", "logmel")
    assert [clip.source_id for clip in clips.clips] == ["2", "5"]
    assert (len(clips.audio.lengths), clips.audio.width) == (2, 64)


@pytest.mark.parametrize(
    ("folder", "subset", "ids"),
    [
        ("large", "small", [2, 5, 140, 1001]),
        ("large", "medium", [2, 5, 10, 140, 1001]),
        ("large", None, [2, 5, 10, 134, 140, 1001]),
        ("small", None, [2, 5, 140, 1001]),
    ],
)
def test_a_larger_folder_holds_the_smaller_subsets(corpus, folder, subset, ids):
    assert corpus.write_fma(folder).run(subset=subset) == 0
    assert [int(track.track_id) for track in corpus.tracks()] == ids
    assert corpus.rejected() == {}


def test_a_track_without_a_top_genre_stays(corpus, capsys):
    assert corpus.write_fma("medium").run() == 0
    track = next(track for track in corpus.tracks() if track.track_id == "10")
    assert (track.genre, track.genres, track.artist, track.album) == ("", ("Rock", "Hip-Hop"), "None", "")
    assert "tracks without a genre are trained on and recommended" in capsys.readouterr().out


def test_without_a_tree_the_top_genres_are_all(corpus):
    corpus.write_fma().run()
    assert corpus.data.genre_tree.is_file()
    corpus.tracks_csv.with_name("genres.csv").unlink()
    assert corpus.run() == 0
    assert not corpus.data.genre_tree.exists()
    assert [track.genres for track in corpus.tracks("training")] == [("Hip-Hop",), ("Rock",)]


def test_what_is_broken_short_or_unknown_is_named_and_the_rest_goes_on(corpus, capsys):
    corpus.write_fma()
    rows = [list(row) for row in ROWS]
    rows += [(number, "training", "small", "Rock", "[12]", "x", "y", "z") for number in (20, 21, 22, 23, 5)]
    rows += [("many", *rows[0][1:]), (30, "training", "tiny", "Rock", "[99]", "x", "y", "z")]
    rows += [(31, "unsplit", "small", "Rock", "[12]", "x", "y", "z")]
    write_csv(corpus.tracks_csv, [*HEADER, *rows])
    content = corpus.write_mp3(20, duration_s=2).read_bytes()
    corpus.mp3(20).write_bytes(content[: len(content) // 2])
    corpus.write_mp3(21).write_bytes(b"<html>Not found</html>" * 50)
    corpus.write_mp3(22, duration_s=0.3)
    for strange in (99, 31):
        corpus.write_mp3(strange)
    assert corpus.run(min_duration_s=0.4) == 0
    assert {track.track_id for track in corpus.tracks("training")} == {"2", "5"}
    rejected = corpus.rejected()
    reasons = {
        "fma_small/000/000020.mp3": "truncated",
        "fma_small/000/000021.mp3": "",
        "fma_small/000/000022.mp3": "data.min_duration_s is 0.4",
        "fma_small/000/000023.mp3": "no such file, which tracks.csv has",
        "fma_small/000/000099.mp3": "tracks.csv has no such track",
        "fma_small/000/000031.mp3": "its split is 'unsplit', expected one of training, validation, test",
        "track_id 5": "twice in tracks.csv; the first row counts",
        "track_id 'many'": "expected a whole number",
        "track_id 30": "set.subset is 'tiny', expected small, medium, large",
    }
    assert {*rejected} == {*reasons}
    assert all(reason in rejected[name] for name, reason in reasons.items()), rejected
    assert "genres.csv lacks 1 genres of tracks.csv, such as 99" in capsys.readouterr().out
    assert corpus.run("--strict", min_duration_s=0.4) == 1


def test_checksums_are_checked_where_they_lie_beside_the_data(corpus, capsys):
    corpus.write_fma()
    lines = [f"{hashlib.sha1(corpus.mp3(n).read_bytes()).hexdigest()}  000/{n:06d}.mp3" for n in (2, 5, 140)]
    sums = corpus.root / "fma_small" / "checksums"
    sums.write_text("\n".join([*lines, "no sum", ""]))
    (corpus.root / "fma_metadata" / "checksums").write_text(f"{'0' * 40} *tracks.csv\n")
    corpus.write_mp3(5, duration_s=0.7)
    assert corpus.run() == 0
    assert corpus.rejected() == {
        "fma_small/000/000005.mp3": "its content differs from the file 'checksums'; download or unpack it again"
    }
    printed = capsys.readouterr().out
    assert f"{sums}: 1 lines are no checksums, the first is line 4; they are ignored" in printed
    assert f"{corpus.tracks_csv}: differs from {corpus.root / 'fma_metadata' / 'checksums'}" in printed


def test_unchanged_tracks_are_not_decoded_again(corpus, monkeypatch):
    corpus.write_fma().run()
    first = corpus.tracks()
    decoded = []
    probe = clips_module.probe
    monkeypatch.setattr(clips_module, "probe", lambda file, **given: decoded.append(file.name) or probe(file, **given))
    corpus.write_mp3(2, duration_s=0.8)
    rows = [(*row[:-1], "Another album") if row[0] == 5 else row for row in ROWS]
    write_csv(corpus.tracks_csv, [*HEADER, *rows])
    assert corpus.run() == 0
    assert decoded == ["000002.mp3"]
    changed = corpus.tracks()
    assert [old.fid == new.fid for old, new in zip(first, changed, strict=True)] == [False, True, True, True]
    assert changed[1].album == "Another album"  # names come from the tables, which need no decoding


def test_artists_of_several_splits_and_equal_recordings_are_reported(corpus, capsys):
    corpus.write_fma()
    rows = [(*row[:6], "AWOL", row[7]) if row[0] == 1001 else row for row in ROWS]
    write_csv(corpus.tracks_csv, [*HEADER, *rows])
    corpus.mp3(140).write_bytes(corpus.mp3(2).read_bytes())
    assert corpus.run() == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "1 artists, such as 'AWOL', are in more than one split" in printed
    assert "the same recording in two places: 1 in training and validation" in printed


ONE_HEADER = [("track_id", "title", "artist"), (2, "Food", "AWOL")]


@pytest.mark.parametrize(
    ("table", "rows", "message"),
    [
        ("tracks.csv", ONE_HEADER, "found one header row, as of a plain table .*expected FMA's two header rows"),
        (
            "tracks.csv",
            [*HEADER[:2], *ROWS],
            "found no third row that begins with track_id",
        ),
        ("tracks.csv", [HEADER[0], *HEADER], "found no third row that begins with track_id"),
        ("tracks.csv", [], "no third row that begins with track_id .it begins with 'nothing'."),
        ("tracks.csv", HEADER, "holds no tracks below its header"),
        ("tracks.csv", [*(row[:3] for row in HEADER), *ROWS], "column track.genre_top is missing, found set.split"),
        ("tracks.csv", [*HEADER, *ROWS, (*ROWS[0], "x", "y")], "line 11: 10 cells, the header has 8"),
        ("genres.csv", [("genre_id", "title")], "column parent, top_level is missing, found genre_id, title"),
        ("genres.csv", [*GENRES, ("x", 1, 0, "Jazz", 1)], "line 5: expected numbers as genre_id, parent"),
    ],
)
def test_tables_of_another_form_are_refused_in_one_line(corpus, capsys, table, rows, message):
    corpus.write_fma()
    write_csv(corpus.tracks_csv.with_name(table), rows)
    assert re.search(f"{table}.*{message}", corpus.refusal(capsys))


@pytest.mark.parametrize(
    ("change", "keys", "message"),
    [
        (
            lambda c: shutil.rmtree(c.root / "fma_small"),
            {},
            "fma: found no folder of audio, expected fma_small, fma_me",
        ),
        (lambda c: None, {"subset": "medium"}, "fma: found fma_small, expected fma_medium with NNN/NNNNNN.mp3 in it"),
        (
            lambda c: shutil.rmtree(c.root / "fma_small/000"),
            {},
            "split 'training' .* is empty: no track with a file belongs to it .*no such file, which tracks.csv has",
        ),
        (
            lambda c: shutil.rmtree(c.root / "fma_metadata"),
            {"subset": "small"},
            "has no fma_metadata/tracks.csv; unpack",
        ),
        (lambda c: shutil.rmtree(c.root), {}, "data.root: folder .*fma does not exist; correct it, or make the corpus"),
        (lambda c: c.mp3(140).write_bytes(b"no"), {}, "'validation' .* is empty: none of its 1 tracks .*000140.mp3: "),
    ],
)
def test_an_incomplete_archive_is_refused_in_one_line(corpus, capsys, change, keys, message):
    change(corpus.write_fma())
    assert re.search(message, corpus.refusal(capsys, **keys))
    assert not corpus.data.audio_info.exists()


def test_the_run_calls_splits_as_it_likes(corpus):
    assert corpus.write_fma().run(splits={"train": "first", "val": "validation", "eval": "last"}) == 0
    assert [(t.track_id, t.split) for t in corpus.tracks()] == [
        *(("2", "first"), ("5", "first"), ("140", "validation"), ("1001", "last"))
    ]


def test_no_track_with_a_file(corpus, capsys):
    corpus.write_fma()
    shutil.rmtree(corpus.root / "fma_small")
    (corpus.root / "fma_small").mkdir()
    line = corpus.refusal(capsys)
    assert "none of the 4 tracks of small has a file such as fma_small/000/000002.mp3; unpack fma_small.zip" in line
