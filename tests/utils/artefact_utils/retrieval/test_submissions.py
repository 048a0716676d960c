"""Submission files pass their own check, and every fault is found with its line."""

import numpy as np
import pytest

from utils.artefact_utils.retrieval import (
    check_submission,
    read_foreign_scores,
    write_matrix_submission,
    write_ranked_submission,
)
from utils.cli_utils import ArtefactError

CAPTIONS = ['A dog, "barking".', "Rain  falls", "Rain  falls", "Été -- und Öl"]
FILES = [f"{n}.wav" for n in range(10)] + ["it's, here.wav", "ä.wav"]
HEADER = ",".join(["caption", *(f"file_name_{n}" for n in range(1, 11))])
TEN = ",".join(FILES[:10])
MATRIX_FILES = ["a.wav", "b.wav"]


def write(tmp_path, text, encoding="utf-8"):
    path = tmp_path / "x.csv"
    path.write_bytes(text.encode(encoding))
    return path


def ranked(tmp_path, *lines, captions=("one", "two")):
    return check_submission(write(tmp_path, "\n".join(lines) + "\n"), 2023, captions, FILES)


def matrix(tmp_path, *lines):
    return check_submission(write(tmp_path, "\n".join(lines) + "\n"), 2025, ["one", "two"], MATRIX_FILES)


def test_ranked_names_as_written(tmp_path):
    path = tmp_path / "x.csv"
    names = [FILES[n % 3 :][:10] for n in range(4)]
    write_ranked_submission(path, CAPTIONS, names)
    lines = path.read_text(encoding="utf-8").splitlines()
    assert lines[0] == HEADER
    assert lines[1] == f'"A dog, ""barking"".",{TEN}'
    for year in (2022, 2023, 2024):
        assert check_submission(path, year, CAPTIONS, FILES) == ([], 0, 4, 12)
    found = read_foreign_scores(path)
    assert [[found.files[c] for c in row] for row in found.scores] == names
    assert found.queries == CAPTIONS


def test_a_split_of_fewer_clips_names_them_all(tmp_path):
    path = tmp_path / "x.csv"
    write_ranked_submission(path, ["one"], [["b", "a"]])
    assert path.read_text().splitlines() == ["caption,file_name_1,file_name_2", "one,b,a"]
    assert check_submission(path, 2024, ["one"], ["a", "b"]).total == 0


def test_a_matrix_gives_the_same_float32_back(tmp_path):
    path = tmp_path / "x.csv"
    scores = np.random.default_rng(0).standard_normal((4, 12)).astype(np.float32) * 1e-3
    scores[0, 0] = np.finfo(np.float32).max
    scores[1, 1] = np.finfo(np.float32).smallest_subnormal
    write_matrix_submission(path, CAPTIONS, FILES, scores)
    assert check_submission(path, 2025, CAPTIONS, FILES) == ([], 0, 4, 12)
    found = read_foreign_scores(path).scores
    np.testing.assert_array_equal(found.astype(np.float32), scores)
    np.testing.assert_array_equal(np.argsort(found, axis=1), np.argsort(scores, axis=1))
    write_matrix_submission(path, ["one"], ["a"], np.array([[0.1]], np.float32))
    assert path.read_text().splitlines()[1] == "one,0.1"  # no digit more than float32 needs


def test_a_matrix_gives_the_same_float64_back(tmp_path):
    path = tmp_path / "x.csv"
    scores = 0.5 + np.random.default_rng(0).permuted(np.arange(48.0)).reshape(4, 12) * 1e-12
    scores[0, 0], scores[0, 1] = 1e39, np.finfo(np.float64).smallest_subnormal
    write_matrix_submission(path, CAPTIONS, FILES, scores)
    assert check_submission(path, 2025, CAPTIONS, FILES).total == 0
    np.testing.assert_array_equal(read_foreign_scores(path).scores, scores)


@pytest.mark.parametrize("cell", ["1", "1e39", "-1e-300", " 2 ", "1e309", "1_0", "nan", "inf", "x", "", "١", "0x1"])
def test_a_cell_is_a_score_for_the_check_if_it_is_one_for_the_reader(tmp_path, cell):
    found = check_submission(write(tmp_path, f"query,a.wav,b.wav\none,1,{cell}\n"), 2025, ["one"], MATRIX_FILES)
    if found.total:
        with pytest.raises(ArtefactError, match=r"line 2: the score of 'b\.wav' is"):
            read_foreign_scores(tmp_path / "x.csv")
    else:
        assert read_foreign_scores(tmp_path / "x.csv").scores[0, 1] == float(cell)
    assert bool(found.total) == (cell not in ("1", "1e39", "-1e-300", " 2 "))


@pytest.mark.parametrize(
    ("lines", "problems"),
    [
        ([HEADER, f"one,{TEN}", f"two,{TEN}"], []),
        ([HEADER, f"one,{TEN}"], ["file: 1 rows, expected 2", "file: 1 captions are missing: 'two'"]),
        ([HEADER, f"one,{TEN}", f"two,{TEN}", f"one,{TEN}"], ["line 4: the caption 'one' occurs again", "3 rows"]),
        (
            [HEADER, f"one,{TEN}", f"Two,{TEN}"],
            ["line 3: 'Two' is no caption of the split; write it exactly as in the split", "missing: 'two'"],
        ),
        ([HEADER.replace("_10", "_X"), f"one,{TEN}", f"two,{TEN}"], ["line 1: the header is 'caption,file_name_1"]),
        ([HEADER, f"one,{TEN}", "two,1.wav,2.wav"], ["line 3: 2 file names, expected 10"]),
        ([HEADER, f"one,{TEN},ä.wav", f"two,{TEN}"], ["line 2: 11 file names, expected 10"]),
        ([HEADER, f"one,{TEN}", f"two,{TEN}".replace("4.wav", "")], ["line 3: 1 file names are empty"]),
        ([HEADER, f"one,{TEN}", f"two,{TEN}".replace("4", "x")], ["line 3: the row names 1 files that are no clips"]),
        ([HEADER, f"one,{TEN}", f"two,{TEN}".replace("4", "5")], ["the row names 1 files more than once: '5.wav'"]),
    ],
)
def test_what_is_wrong_with_ranked_names(tmp_path, lines, problems):
    found = ranked(tmp_path, *lines)
    assert found.total == len(found.problems) == len(problems)
    assert [problem for problem in problems if not any(problem in line for line in found.problems)] == []


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        (["query,b.wav,a.wav", "two,1,2", "one,3e-4,-4"], None),
        (["query,a.wav,b.wav", "one,1,2", "two,x,2"], "line 3: the score of 'a.wav' is 'x', expected a number"),
        (["query,a.wav,b.wav", "one,1,2", "two,1,nan"], "line 3: the score of 'b.wav' is 'nan', expected a finite"),
        (["query,a.wav,b.wav", "one,1,-inf", "two,1,2"], "line 2: the score of 'b.wav' is '-inf', expected a finite"),
        (["query,a.wav,b.wav", "one,1", "two,1,2"], "line 2: 1 scores, expected 2"),
        (["query,a.wav,b.wav", "one,1,2,3", "two,1,2"], "line 2: 3 scores, expected 2"),
        (["query,a.wav,b.wav,c.wav", "one,1,2,3", "two,1,2,3"], "line 1: the header names 1 files that are no clips"),
        (["query,a.wav,b.wav,a.wav", "one,1,2,3", "two,1,2,3"], "the header names 1 files more than once: 'a.wav'"),
        (["query,a.wav", "one,1", "two,1"], "line 1: 1 of 2 clips have no column: 'b.wav'"),
    ],
)
def test_what_is_wrong_with_a_matrix(tmp_path, lines, problem):
    found = matrix(tmp_path, *lines)
    assert found.total == (problem is not None)
    assert problem is None or problem in found.problems[0]


def test_repeated_captions_of_the_split_are_required_as_often(tmp_path):
    twice = ["one", "two", "two"]
    assert ranked(tmp_path, HEADER, f"one,{TEN}", f"two,{TEN}", f"two,{TEN}", captions=twice).total == 0
    found = ranked(tmp_path, HEADER, f"one,{TEN}", f"two,{TEN}", captions=twice)
    assert found.problems == [
        "the whole file: 2 rows, expected 3",
        "the whole file: 1 captions are missing: 'two'",
    ]


def test_encoding(tmp_path):
    text = "query,a.wav,b.wav\none,1,2\ntwo,3,4\n"
    marked = check_submission(write(tmp_path, text, "utf-8-sig"), 2025, ["one", "two"], MATRIX_FILES)
    assert marked.problems == ["line 1: begins with a byte order mark (BOM); save the file as UTF-8 without one"]
    latin = check_submission(write(tmp_path, text.replace("two", "é"), "latin-1"), 2025, ["one", "é"], MATRIX_FILES)
    assert latin.problems[0] == "line 3: byte 0xe9 is not UTF-8"
    assert "line 3: '\\udce9' is no caption of the split" in latin.problems[1]
    with pytest.raises(ArtefactError, match=r"x\.csv: is UTF-16, expected UTF-8"):
        check_submission(write(tmp_path, text, "utf-16"), 2025, ["one"], MATRIX_FILES)


def test_a_caption_over_two_lines_counts_its_lines(tmp_path):
    text = 'query,a.wav,b.wav\n"one\nmore",1,2\ntwo,1,x\n'
    found = check_submission(write(tmp_path, text), 2025, ["one\nmore", "two"], MATRIX_FILES)
    assert found.problems == ["line 4: the score of 'b.wav' is 'x', expected a number"]


def test_outer_blanks_of_a_caption_count(tmp_path):
    """The organisers' code looks captions up by the whole string."""
    good = check_submission(write(tmp_path, f"{HEADER}\none ,{TEN}\n two,{TEN}\n"), 2024, ["one ", " two"], FILES)
    assert good.problems == []
    bad = check_submission(write(tmp_path, f"{HEADER}\none,{TEN}\ntwo ,{TEN}\n"), 2024, ["one ", " two"], FILES)
    assert bad.problems == [
        "line 2: 'one' is 'one ' in the split; write it with the same outer blanks",
        "line 3: 'two ' is ' two' in the split; write it with the same outer blanks",
    ]


def test_a_quote_that_is_never_closed(tmp_path):
    found = matrix(tmp_path, "query,a.wav,b.wav", "one,1,2", 'two,"' + "x" * 140_000)
    assert "line 2 or later: not CSV (field larger than field limit" in found.problems[0]


def test_an_empty_file(tmp_path):
    found = check_submission(write(tmp_path, ""), 2022, ["one"], FILES)
    assert found.problems[0] == "line 1: the file is empty, expected a header"
    assert found.total == 3


def test_five_problems_of_each_kind_are_shown_and_all_are_counted(tmp_path):
    lines = [f"strange {n},{TEN}" for n in range(30)]
    found = ranked(tmp_path, HEADER, *lines, f"c1,{TEN.replace('4', 'x')}", captions=[f"c{n}" for n in range(31)])
    assert [line.split(":")[0] for line in found.problems[:5]] == [f"line {n}" for n in range(2, 7)]
    assert found.problems[5] == "... 30 in all: rows that are no captions of the split"
    assert found.problems[6] == "line 32: the row names 1 files that are no clips: 'x.wav'"
    assert found.problems[7].startswith("the whole file: 30 captions are missing")
    assert len(found.problems) == 8
    assert found.total == 32  # thirty that are unknown, one file, and what is missing
    assert found.rows == 31


def test_captions_that_are_no_queries_hide_nothing(tmp_path):
    captions = [f"c{n}" for n in range(40)]
    rows = [f"{caption},1,{'nan' if caption == 'c30' else 2}" for caption in captions]
    path = write(tmp_path, "\n".join(["query,a.wav,b.wav", *rows, "cat,1,2"]) + "\n")
    found = check_submission(path, 2025, ["c0", "c39", "c77"], MATRIX_FILES, captions, "list.csv")
    assert found.problems[0] == ("line 3: 'c1' is a caption of the split, but no query of list.csv; leave the row out")
    assert found.problems[5:] == [
        "... 38 in all: captions that are no queries of list.csv",
        "line 32: the score of 'b.wav' is 'nan', expected a finite number",
        "line 42: 'cat' is no caption of the split; write it exactly as in the split",
        "the whole file: 41 rows, expected 3",
        "the whole file: 1 queries of list.csv are missing: 'c77'",
    ]
    assert found.total == 42


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(ArtefactError, match=r"none\.csv: no such file"):
        check_submission(tmp_path / "none.csv", 2022, ["one"], FILES)
