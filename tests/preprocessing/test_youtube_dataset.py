"""A list of videos or files becomes tables; what fails is named, nothing alike is in two splits."""

import pytest

from tasks.classification.compared import clusters_of
from tests.loopback import melody, serving
from tests.preprocessing.labelled_corpus import CATEGORIES, Corpus
from utils.artefact_utils import read_clips
from utils.cli_utils import command_line


@pytest.fixture
def corpus(tmp_path, monkeypatch):
    return Corpus(tmp_path, monkeypatch)


@pytest.fixture
def server():
    with serving() as running:
        yield running


def error_line(capsys):
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ") or "expected" in line]
    assert len(lines) == 1, lines
    return lines[0]


def test_folders_become_tables(corpus, capsys):
    corpus.write_folders()
    assert corpus.run() == 0
    rows = corpus.labels()
    assert {(row.category, row.path) for row in rows} == {(c, f"{c}/{n}.wav") for c in CATEGORIES for n in range(4)}
    assert all((row.duration_s, row.url, row.channel, row.end_s) == (1.0, "", "", None) for row in rows)
    for split, count in zip(corpus.data.splits.names(), (4, 2, 2), strict=True):
        found = corpus.labels(split)
        assert len(found) == count
        assert {row.category for row in found} == set(CATEGORIES)
        clips = read_clips(corpus.data.audio_info, split, "")
        assert [(clip.fid, clip.source_id, clip.path) for clip in clips] == [row[:2] + row[3:4] for row in found]
    printed = capsys.readouterr().out
    assert "of 8 recordings 8 are there (0 of them fetched or cut now)\n" in printed
    assert printed.splitlines()[-1].startswith("next: ")


def test_addresses_and_files_of_one_list(corpus, server, capsys):
    corpus.write_folders()
    rows = [f"{category}/{number}.wav,{category},,," for category in CATEGORIES for number in range(4)]
    rows += [f"{server.add(f'/{n}.wav', melody(300 + n, 1.0))},dog,d{n},," for n in range(3)]
    rows += [
        f"{server.url('/gone.wav')},dog,gone,,",
        "nowhere.wav,cat,lost,,",
        f"{server.url('/0.wav')},cat,part,0.5,1",
    ]
    table = corpus.write_list(rows, "url,category,id,start_s,end_s")
    assert corpus.run(table=str(table)) == 0
    found = {row.source_id: row for row in corpus.labels()}
    assert len(found) == 12
    assert (found["d1"].path, found["d1"].url) == ("audio/d1.flac", server.url("/1.wav"))
    assert (found["part"].duration_s, found["part"].start_s, found["part"].end_s) == (0.5, 0.5, 1.0)
    assert found["part"].split == found["d0"].split  # sections of one recording
    assert corpus.failed() == {server.url("/gone.wav"): "removed", "nowhere.wav": "no such file"}
    printed = capsys.readouterr().out
    assert "of 14 recordings 12 are there (4 of them fetched or cut now); 2 are not: 1 no such file, 1 re" in printed
    splits = corpus.splits()
    server.requests.clear()
    assert corpus.run("--strict", table=str(table)) == 1
    assert set(server.requests) == {"/gone.wav"}
    assert corpus.splits() == splits


def test_broken_and_empty_files_are_named(corpus):
    corpus.write_folders()
    corpus.write("dog/empty.wav", 0, 0.0)
    corpus.write("dog/cut.wav", 7)
    (corpus.root / "dog/cut.wav").write_bytes((corpus.root / "dog/cut.wav").read_bytes()[:9000])
    (corpus.root / "cat/text.wav").write_text("no sound")
    assert corpus.run() == 0
    assert corpus.failed() == {"dog/empty.wav": "not media", "dog/cut.wav": "cut off", "cat/text.wav": "not media"}
    assert len(corpus.labels()) == 8


def test_sections_of_a_local_file_name_it(corpus):
    corpus.write_folders()
    rows = [f"{category}/{number}.wav,{category},," for category in CATEGORIES for number in range(4)]
    rows[:1] = [f"cat/0.wav,cat,{start},{start + 0.5}" for start in (0, 0.5)]
    assert corpus.run(table=str(corpus.write_list(rows, "url,category,start_s,end_s"))) == 0
    found = corpus.labels()
    cut, whole = ([row for row in found if (row.end_s is not None) is is_cut] for is_cut in (True, False))
    assert [row.url for row in cut] == ["cat/0.wav"] * 2
    assert {row.url for row in whole} == {""}
    assert len(set(clusters_of(found))) == len(whole) + 1  # the sections are drawn together


def test_near_duplicates_are_in_one_split(corpus, capsys):
    corpus.write_folders(6, seconds=6.0)
    for number in range(6):  # each of the first category once more: quieter, under another name
        corpus.write(f"dog/again {number}.wav", number, 6.0, gain=0.5)
    assert corpus.run() == 0
    split = {row.path: row.split for row in corpus.labels()}
    assert all(split[f"dog/{number}.wav"] == split[f"dog/again {number}.wav"] for number in range(6))
    assert "pairs of nearly the same recording, each in one split: 6; all of them: " in capsys.readouterr().out
    assert len(corpus.data.similar_recordings.read_text().splitlines()) == 13
    before = corpus.data.labels.read_bytes()
    assert corpus.run() == 0
    assert corpus.data.labels.read_bytes() == before


def test_a_list_that_grows_moves_nothing_and_another_seed_does(corpus):
    corpus.write_folders(6, seconds=0.5)
    corpus.run()
    before = corpus.labels()
    corpus.write("dog/new.wav", 50, 0.5)
    corpus.run()
    after = corpus.labels()
    assert len(after) == 13
    assert set(before) <= set(after)
    corpus.run(seed=1)
    assert corpus.splits() != {row.source_id: row.split for row in after}


def test_splits_of_folders_are_followed(corpus):
    for split, first in (("train", 0), ("validation", 10), ("test", 20)):
        for category in CATEGORIES:
            corpus.write(f"{split}/{category}/a.wav", first + len(category + split), 0.5)
            first += 1
    assert corpus.run() == 0
    assert {row.path.partition("/")[0]: row.split for row in corpus.labels()} == {
        "train": "development",
        "validation": "validation",
        "test": "evaluation",
    }


def test_a_limit_and_a_longest_duration(corpus):
    corpus.write_folders(5, seconds=0.5)
    corpus.write("dog/0.wav", 1, 3.0)
    assert corpus.run("--limit", "8", "--max-duration-s", "2") == 0
    assert corpus.failed() == {"dog/0.wav": "too long"}
    assert len(corpus.labels()) == 7


@pytest.mark.parametrize(
    ("write", "said"),
    [
        (lambda c: c.write_folders(1), "category 'cat' has one recording"),
        (lambda c: c.write_folders(2), "split 'validation' is empty: 4 recordings are too few"),
        (lambda c: None, "no audio files in its folders; expected category/clip.wav, or name a list: data.table"),
    ],
)
def test_too_little_is_refused_in_one_line(corpus, capsys, write, said):
    write(corpus)
    assert corpus.run() == 2
    assert said in error_line(capsys)
    assert not corpus.data.audio_info.exists()


def test_a_category_that_only_validation_has_is_refused(corpus, capsys):
    rows = [f"{category}/{number}.wav,{category},train" for category in CATEGORIES for number in range(2)]
    rows = [row.replace("train", "val") if row.startswith("cat") else row for row in rows]
    corpus.write_folders()
    table = corpus.write_list([*rows, "dog/3.wav,dog,test"], "url,category,split")
    assert corpus.run(table=str(table)) == 2
    assert "category 'cat' is in 'validation', and 'development' has no recording of it" in error_line(capsys)


def test_a_category_of_which_one_recording_is_left_is_refused(corpus, capsys):
    corpus.write_folders(3)
    (corpus.root / "cat/0.wav").write_text("no sound")
    (corpus.root / "cat/1.wav").write_text("no sound either")
    assert corpus.run() == 2
    assert "category 'cat' has one recording that can be used, expected at least 2" in error_line(capsys)
    assert set(corpus.failed().values()) == {"not media"}


def test_a_folder_that_is_not_there_can_be_made(corpus, capsys):
    corpus.root.rmdir()
    assert corpus.run() == 2
    made_by = command_line("preprocessing.synthetic_corpus", "--conf", str(corpus.folder / "x.yaml"), "--single-kind")
    assert error_line(capsys) == (
        f"error: data.root: folder {corpus.root} does not exist; correct it, name a list: data.table, or make the "
        f"corpus: {made_by}"
    )


def test_a_list_of_which_nothing_is_left_says_why(corpus, capsys):
    corpus.write_folders(2)
    for path in corpus.root.glob("*/*.wav"):
        path.write_text("no sound")
    capsys.readouterr()
    assert corpus.run() == 2
    said = error_line(capsys)
    assert "error: none of the 4 recordings can be used, such as cat/0.wav: not media (" in said
    assert said.endswith(f"); all reasons: {corpus.data.failed}; repair them, then run again")
    assert set(corpus.failed().values()) == {"not media"}
