"""Submissions from the command line: what is written is right, and gives the numbers of its scores."""

import csv

import numpy as np
import pytest

from postprocessing import submission, xmodal_scores
from preprocessing import clotho_dataset
from tasks.retrieval.matching import align_scores, match_queries
from tests.postprocessing.commands import error_of, run
from tests.training import run_of
from utils.artefact_utils import Caption, Clip
from utils.artefact_utils.retrieval import (
    ScoreReader,
    read_foreign_scores,
    read_relevance,
    write_matrix_submission,
    write_ranked_submission,
    write_scores,
)
from utils.data_utils import read_tables
from utils.metric_utils.ranking import ranks_of_relevant, top_k
from utils.metric_utils.retrieval import retrieval_metrics
from utils.metric_utils.scores import MatrixScores

YEARS = ("2022", "2023", "2024", "2025")


def tables(folder):
    return read_tables(run_of(folder).data, "evaluation")


def write_stored(folder, scores):
    found = tables(folder)
    path = folder / "own" / "evaluation_xmodal_scores.hdf5"
    ids = {"tid": [c.tid for c in found.captions], "fid": [c.fid for c in found.clips]}
    write_scores(path, ids, [(0, scores)], {}, {"split": "evaluation", "checkpoint": "own", "left_out": "[]"})
    return path


def random_scores(folder, seed=0):
    found = tables(folder)
    return np.random.default_rng(seed).standard_normal((len(found.captions), len(found.clips))).astype(np.float32)


def write_list(folder, path):
    """Two or three relevant clips for some captions, in no order of the table."""
    captions, clips = tables(folder).captions, tables(folder).clips
    chosen = [(5, (0, 2)), (1, (1, 2, 3)), (6, (3, 0))]
    lines = [f'{captions[row].raw_text},"{[clips[c].fname for c in columns]}"' for row, columns in chosen]
    path.write_text("\n".join(["query,audio_filenames", *lines]) + "\n")
    return path


def submit(folder, capsys, *arguments):
    return run(submission.main, capsys, folder, *map(str, arguments))


def blank_captions(folder):
    """Give captions of the evaluation split outer blanks, and write its table again; returns all, in order."""
    path = folder / "corpus" / "clotho_captions_evaluation.csv"
    with path.open(newline="", encoding="utf-8") as stream:
        header, *rows = csv.reader(stream)
    rows = [[name, f"{one} ", f"  {two}" if number % 2 else two] for number, (name, one, two) in enumerate(rows)]
    with path.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([header, *rows])
    clotho_dataset.main(["--conf", str(folder / "conf.yaml"), "--workers", "1"])
    return [caption for _, *captions in rows for caption in captions]


@pytest.mark.parametrize("year", YEARS)
def test_every_row_is_the_string_of_the_data_set(year, prepared, capsys):
    ids = [caption.tid for caption in tables(prepared).captions]
    captions = blank_captions(prepared)
    assert [caption.tid for caption in tables(prepared).captions] == ids  # nothing need be embedded again
    path = prepared / "out.csv"
    stored = write_stored(prepared, random_scores(prepared))
    given = []
    if year == "2025":  # whose list has a spelling of its own
        captions = [f" {caption.strip()}\t" for caption in captions]
        listed = write_list(prepared, prepared / "list.csv")
        with listed.open("w", newline="", encoding="utf-8") as stream:
            csv.writer(stream).writerows([("query", "audio_filenames"), *((text, "['x.wav']") for text in captions)])
        given = ["--relevance", listed]
    result = submit(prepared, capsys, "--year", year, "--scores", stored, "--output", path, *given)
    assert result.code == 0, result.out
    with path.open(newline="", encoding="utf-8") as stream:
        assert [row[0] for row in csv.reader(stream)][1:] == captions


def metrics(scores, rows, columns):
    ranks = ranks_of_relevant(MatrixScores(scores), rows, columns)
    return retrieval_metrics(ranks, rows, len(scores))


@pytest.mark.parametrize("year", YEARS)
def test_what_is_written_is_right_and_gives_the_same_numbers(year, prepared, capsys):
    scores = random_scores(prepared)
    path = prepared / "out" / "submission.csv"
    result = submit(prepared, capsys, "--year", year, "--scores", write_stored(prepared, scores), "--output", path)
    assert result.code == 0, result.out + result.err
    assert f"own: wrote {path}" in result.out
    assert f"{path}: right for {year}: 8 queries, 4 different clips of 4" in result.out
    again = submit(prepared, capsys, "--year", year, "--check", path)
    assert (again.code, again.out) == (0, f"{path}: right for {year}: 8 queries, 4 different clips of 4\n")
    clips, captions = tables(prepared)
    aligned = align_scores(read_foreign_scores(path), captions, clips)
    columns = {clip.fid: column for column, clip in enumerate(clips)}
    own = np.array([columns[caption.fid] for caption in captions])
    expected, found = (metrics(s, np.arange(len(own)), own) for s in (scores, aligned.scores))
    if year == "2025":
        np.testing.assert_array_equal(aligned.scores.astype(np.float32), scores)
        assert found == expected
    else:
        assert {key: found[key] for key in ("mAP@10", "R@10", "R@1")} == {
            key: expected[key] for key in ("mAP@10", "R@10", "R@1")
        }


def test_ten_names_of_many_clips(tmp_path):
    """Beyond the tenth name nothing is known, and nothing of mAP@10 and R@k to 10 is lost."""
    rng = np.random.default_rng(0)
    clips = [Clip(f"f{n}", f"{n}.wav", f"e/{n}.wav", 1.0, 1, 1, "") for n in range(50)]
    captions = [Caption(f"t{n}", f"f{n % 50}", "", f"sound {n}", "", "") for n in range(250)]
    scores = rng.standard_normal((250, 50)).astype(np.float32)
    own = np.arange(250) % 50
    scores[np.arange(250), own] += 1
    best, _ = top_k(MatrixScores(scores), 10)
    write_ranked_submission(
        tmp_path / "x.csv", [c.raw_text for c in captions], ([clips[c].fname for c in row] for row in best)
    )
    foreign = read_foreign_scores(tmp_path / "x.csv")
    aligned = align_scores(foreign, captions, clips)
    assert aligned.depth == 10
    expected, found = (metrics(s, np.arange(250), own) for s in (scores, aligned.scores))
    for key in ("mAP@10", "R@1", "R@5", "R@10"):
        assert found[key] == expected[key]
        assert 0 < found[key] < 1


@pytest.mark.parametrize("standing", [True, False])
def test_the_queries_of_2025_are_those_of_the_list(standing, prepared, capsys):
    folder = prepared / "corpus" if standing else prepared
    listed = write_list(prepared, folder / "metadata_eval.csv")
    given = [] if standing else ["--relevance", listed]
    scores = random_scores(prepared)
    path = prepared / "x.csv"
    stored = write_stored(prepared, scores)
    result = submit(prepared, capsys, "--year", "2025", "--scores", stored, "--output", path, *given)
    assert result.code == 0, result.out + result.err
    assert "right for 2025: 3 queries, 4 different clips of 4" in result.out
    clips, captions = tables(prepared)
    found = read_foreign_scores(path)
    assert found.queries == [captions[row].raw_text for row in (5, 1, 6)]  # in the order of the list
    np.testing.assert_array_equal(found.scores.astype(np.float32), scores[[5, 1, 6]])
    matched = match_queries(read_relevance(listed), captions, clips)
    aligned = align_scores(found, [captions[row] for row in matched.rows], clips)
    given_scores, read_scores = scores[matched.rows], aligned.scores
    values = [
        retrieval_metrics(
            ranks_of_relevant(MatrixScores(s), matched.query_index, matched.item_index), matched.query_index, 3
        )
        for s in (given_scores, read_scores)
    ]
    assert values[0] == values[1]
    if not standing:
        assert submit(prepared, capsys, "--year", "2025", "--check", path).code == 1  # all captions were asked for


def test_queries_that_are_no_captions_are_told_and_missing(prepared, capsys):
    listed = write_list(prepared, prepared / "list.csv")
    listed.write_text(listed.read_text() + "a cat,['x.wav']\n")
    stored = write_stored(prepared, random_scores(prepared))
    result = submit(prepared, capsys, "--year", "2025", "--scores", stored, "--relevance", listed)
    assert result.code == 1
    assert f"{listed}: 1 of 4 queries are no caption, such as 'a cat'" in result.out
    assert "the whole file: 1 queries of list.csv are missing: 'a cat'" in result.out
    listed.write_text("query,audio_filenames\na cat,['x.wav']\n")
    message = error_of(submit(prepared, capsys, "--year", "2025", "--scores", stored, "--relevance", listed))
    assert "none of its 1 queries is a caption of 'evaluation', the first is 'a cat'" in message


def test_a_trained_run_is_the_default(trained, capsys):
    run(xmodal_scores.main, capsys, trained)
    result = submit(trained, capsys, "--year", "2023")
    assert result.code == 0, result.err
    path = trained / "runs" / "tiny" / "trial_00000" / "evaluation_submission_2023.csv"
    assert (trained / "runs" / "tiny" / path.name).read_bytes() == path.read_bytes()
    assert result.out.count(str(trained / "runs" / "tiny" / path.name)) == 2  # written, and right
    assert str(path) not in result.out
    with ScoreReader(path.with_name("evaluation_xmodal_scores.hdf5"), "") as reader:
        scores = np.concatenate([block for _, block in reader.text_to_audio().blocks()])
    clips, captions = tables(trained)
    first = path.read_text().splitlines()[1].split(",")
    assert first == [captions[0].raw_text, *(clips[c].fname for c in np.argsort(-scores[0], kind="stable"))]


def test_captions_are_written_as_they_are_given(prepared, capsys):
    path = prepared / "features" / "evaluation_text.csv"
    old = tables(prepared).captions[0].raw_text
    new = 'A "dog"; Übung, twice.'
    quoted = '"' + new.replace('"', '""') + '"'
    path.write_text(path.read_text().replace(f",{old},", f",{quoted},", 1), encoding="utf-8")
    assert tables(prepared).captions[0].raw_text == new
    stored = write_stored(prepared, random_scores(prepared))
    out = prepared / "x.csv"
    assert submit(prepared, capsys, "--year", "2024", "--scores", stored, "--output", out).code == 0
    assert out.read_text(encoding="utf-8").splitlines()[1].startswith(quoted)


def test_a_check_lists_problems_and_exits_with_1(prepared, capsys):
    clips, captions = tables(prepared)
    names = [clip.fname for clip in clips]
    path = prepared / "x.csv"
    scores = random_scores(prepared)
    scores[3, 1] = np.nan
    write_matrix_submission(path, [c.raw_text for c in captions], names, scores)
    result = submit(prepared, capsys, "--year", "2025", "--check", path)
    assert result.code == 1
    assert result.out.splitlines() == [
        f"line 5: the score of '{names[1]}' is 'nan', expected a finite number",
        f"{path}: 1 problems: 8 queries, 4 different clips of 4",
    ]
    path.write_text("caption\n" + "x\n" * 30)
    result = submit(prepared, capsys, "--year", "2022", "--check", path)
    assert result.code == 1
    assert "... 30 in all: rows that are no captions of the split" in result.out
    assert "... 30 in all: rows of another number of file names" in result.out
    assert "the header is 'caption', expected" in result.out
    assert "the whole file: 8 captions are missing" in result.out
    assert len(result.out.splitlines()) == 16
    assert result.out.endswith("63 problems: 30 queries, 0 different clips of 4\n")


@pytest.mark.parametrize("order", [[0, 1, 2], [2, 0, 1]])
def test_float64_scores_are_written_with_all_their_digits(order, prepared, capsys):
    clips, captions = tables(prepared)
    scores = 0.5 + np.random.default_rng(0).permuted(np.arange(32.0)).reshape(8, 4) * 1e-9
    raw, files = np.array([c.raw_text for c in captions]), np.array([c.fname for c in clips])
    np.savez(prepared / "x.npz", scores=scores, queries=raw, files=files)
    listed = prepared / "list.csv"
    listed.write_text("\n".join(["query,audio_filenames", *(f"{raw[n]},['{files[0]}']" for n in order)]) + "\n")
    given = ["--year", "2025", "--relevance", listed, "--output", prepared / "out.csv"]
    assert submit(prepared, capsys, "--scores", prepared / "x.npz", *given).code == 0
    np.testing.assert_array_equal(read_foreign_scores(prepared / "out.csv").scores, scores[order])


def test_a_check_of_all_captions_shows_the_score_that_is_none(prepared, capsys):
    clips, captions = tables(prepared)
    listed = write_list(prepared, prepared / "list.csv")
    scores = random_scores(prepared)
    scores[7, 1] = np.nan
    path = prepared / "x.csv"
    write_matrix_submission(path, [c.raw_text for c in captions], [clip.fname for clip in clips], scores)
    result = submit(prepared, capsys, "--year", "2025", "--relevance", listed, "--check", path)
    assert result.code == 1
    assert "is a caption of the split, but no query of list.csv; leave the row out" in result.out
    assert f"line 9: the score of '{clips[1].fname}' is 'nan', expected a finite number" in result.out
    assert "no caption of the split" not in result.out


def test_a_file_that_cannot_be_read_at_all(prepared, capsys):
    path = prepared / "x.csv"
    assert error_of(submit(prepared, capsys, "--year", "2022", "--check", path)).startswith(f"{path}: no such file")
    path.write_text("caption", encoding="utf-16")
    assert "x.csv: is UTF-16" in error_of(submit(prepared, capsys, "--year", "2022", "--check", path))
    message = error_of(submit(prepared, capsys, "--year", "2022", "--check", path, "--split", "test"))
    assert "--split: found 'test'" in message


@pytest.mark.parametrize("year", YEARS)
def test_a_score_that_is_not_finite_is_refused_by_name(year, prepared, capsys):
    scores = random_scores(prepared)
    scores[4, 2] = np.inf
    stored = write_stored(prepared, scores)
    clips, captions = tables(prepared)
    path = prepared / "x.csv"
    message = error_of(submit(prepared, capsys, "--year", year, "--scores", stored, "--output", path))
    assert f"the score of caption '{captions[4].raw_text}' and clip '{clips[2].fname}' is inf" in message
    assert not path.exists()


def test_ranked_names_are_no_scores(prepared, capsys):
    clips, captions = tables(prepared)
    given = prepared / "given.csv"
    names = [clip.fname for clip in clips]
    raw = [c.raw_text for c in captions]
    write_ranked_submission(given, raw, [names] * len(captions))
    message = error_of(submit(prepared, capsys, "--year", "2025", "--scores", given))
    assert "given.csv: names 4 clips a query, 2025 wants the scores of all clips; give scores" in message
    out = prepared / "out.csv"
    assert submit(prepared, capsys, "--year", "2024", "--scores", given, "--output", out).code == 0
    assert out.read_bytes() == given.read_bytes()
    write_ranked_submission(given, raw, [names[:2]] * len(captions))
    message = error_of(submit(prepared, capsys, "--year", "2024", "--scores", given))
    assert "names 2 clips a query, 2024 wants 4 clips a caption" in message


def test_the_year_is_one_of_four(prepared, capsys):
    result = submit(prepared, capsys, "--year", "2021")
    assert result.code == 2
    assert "invalid choice: 2021" in result.err
