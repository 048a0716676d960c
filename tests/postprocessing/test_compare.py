"""Two systems side by side: identical ones, ones that differ by hand, and what cannot be compared."""

import csv
import json

import h5py
import numpy as np
import pytest

from postprocessing import compare, xmodal_retrieval, xmodal_scores
from tests.postprocessing.commands import error_of, run
from tests.training import run_of, write_trial
from utils.artefact_utils import read_clips, read_text_table


@pytest.fixture
def two(prepared, capsys):
    """A folder with two trained and scored experiments, tiny and other."""
    for name, seed in (("tiny", 0), ("other", 1)):
        settings = [f"experiment={name}", f"training.seed={seed}"]
        write_trial(run_of(prepared, *settings))
        run(xmodal_scores.main, capsys, prepared, *(part for s in settings for part in ("--set", s)))
    return prepared


def comparison_of(folder, stem):
    return json.loads((folder / "runs" / "compare" / f"{stem}_evaluation.json").read_text())


def test_a_run_and_itself_do_not_differ(two, capsys):
    tiny = str(two / "runs" / "tiny")
    result = run(compare.main, capsys, two, tiny, tiny, "--resamples", "50")
    report = comparison_of(two, "runs_tiny_vs_runs_tiny")
    for direction in ("text_to_audio", "audio_to_text"):
        for row in report[direction].values():
            assert row["difference"] == 0
            assert row["interval"] == [0, 0]
            assert row["p_value"] == 1
    assert "queries better" not in result.out


def test_the_numbers_are_those_of_both_runs(two, capsys):
    folders = [two / "runs" / name for name in ("tiny", "other")]
    result = run(compare.main, capsys, two, *map(str, folders), "--resamples", "200")
    assert result.code == 0, result.err
    report = comparison_of(two, "tiny_vs_other")
    for side, folder, name in zip("ab", folders, ("tiny", "other"), strict=True):
        run(xmodal_retrieval.main, capsys, two, "--set", f"experiment={name}")
        measured = json.loads((folder / "evaluation_retrieval_metrics.json").read_text())
        for direction in ("text_to_audio", "audio_to_text"):
            for key, row in report[direction].items():
                assert row[side] == pytest.approx(measured[direction][key])
                assert row["difference"] == pytest.approx(row["b"] - row["a"])
                low, high = row["interval"]
                assert low <= high
                assert 0 < row["p_value"] <= 1


def test_queries_are_listed_by_how_much_they_changed(two, capsys):
    """Rank 4 to rank 1 gains 0.75, rank 1 to rank 2 loses 0.5, the others stay."""
    features = two / "features"
    captions = read_text_table(features / "evaluation_text.csv", "")
    clips = read_clips(features / "audio_info.pkl", "evaluation", "")
    own = [[clip.fid for clip in clips].index(caption.fid) for caption in captions]
    scores = np.zeros((8, 4))
    scores[np.arange(8), own] = 1  # each caption finds its clip
    worse, better = scores.copy(), scores.copy()
    worse[3, own[3]] = -1
    better[5, (own[5] + 1) % 4] = 2
    for name, matrix in (("worse", worse), ("better", better)):
        with (two / f"{name}.csv").open("w", newline="") as stream:
            writer = csv.writer(stream)
            writer.writerow(["query", *(clip.fname for clip in clips)])
            writer.writerows([c.raw_text, *row] for c, row in zip(captions, matrix.tolist(), strict=True))
    result = run(compare.main, capsys, two, str(two / "worse.csv"), str(two / "better.csv"), "--resamples", "50")
    assert result.code == 0, result.err
    rows = list(csv.DictReader((two / "runs" / "compare" / "worse.csv_vs_better.csv_evaluation.csv").open()))
    assert len(rows) == 8
    first, second, third = rows[:3]
    assert (first["caption"], first["rank_a"], first["rank_b"], first["gain"]) == (
        captions[3].raw_text,
        "4",
        "1",
        "0.75",
    )
    assert (second["caption"], second["rank_a"], second["rank_b"], second["gain"]) == (
        captions[5].raw_text,
        "1",
        "2",
        "-0.5",
    )
    assert third["gain"] == "0.0"
    assert "1 queries better in better.csv, such as" in result.out
    assert "1 queries worse in better.csv, such as" in result.out
    report = comparison_of(two, "worse.csv_vs_better.csv")
    assert report["text_to_audio"]["R@1"]["difference"] == 0
    assert report["text_to_audio"]["mAP@10"]["difference"] == pytest.approx((0.75 - 0.5) / 8)


def test_runs_without_scores_are_asked_for(two, capsys):
    (two / "runs" / "other" / "trial_00000" / "evaluation_xmodal_scores.hdf5").unlink()
    message = error_of(run(compare.main, capsys, two, str(two / "runs" / "tiny"), str(two / "runs" / "other")))
    assert "evaluation_xmodal_scores.hdf5: no such file; write it: python -m postprocessing.xmodal_scores" in message
    assert "runs/other --trial trial_00000 --split evaluation" in message


def test_scores_of_other_tables_are_refused(two, capsys):
    with h5py.File(two / "runs" / "other" / "trial_00000" / "evaluation_xmodal_scores.hdf5", "r+") as file:
        file["tid"][0] = "other"
    message = error_of(run(compare.main, capsys, two, str(two / "runs" / "tiny"), str(two / "runs" / "other")))
    assert "differ in 2 ids" in message


def test_what_is_not_there_is_refused(two, capsys):
    message = error_of(run(compare.main, capsys, two, str(two / "runs" / "tiny"), str(two / "nowhere.csv")))
    assert "nowhere.csv: no such run or file; name the folder of a run or trial" in message
    message = error_of(run(compare.main, capsys, two, str(two / "runs" / "tiny"), str(two / "runs")))
    assert "holds no trial" in message


def test_an_ensemble_is_named_by_its_folder(two, capsys):
    folder = two / "runs" / "both"
    folder.mkdir()
    (folder / "ensemble.json").write_text("{}")
    scores = two / "runs" / "tiny" / "trial_00000" / "evaluation_xmodal_scores.hdf5"
    scores.rename(folder / scores.name)
    result = run(compare.main, capsys, two, str(folder), str(two / "runs" / "other"), "--resamples", "10")
    assert result.code == 0, result.err
    assert (two / "runs" / "compare" / "both_vs_other_evaluation.json").is_file()


def test_scores_of_another_checkpoint_are_refused(two, capsys):
    with h5py.File(two / "runs" / "other" / "trial_00000" / "evaluation_xmodal_scores.hdf5", "r+") as file:
        file.attrs["checkpoint"] = "trial_00000/checkpoint_000009 (epoch 10)"
    message = error_of(run(compare.main, capsys, two, str(two / "runs" / "tiny"), str(two / "runs" / "other")))
    assert "made by trial_00000/checkpoint_000009 (epoch 10), this run wants trial_00000/checkpoint_0" in message


def write_matrix(path, captions, clips, scores):
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["query", *(clip.fname for clip in clips)])
        writer.writerows([c.raw_text, *row] for c, row in zip(captions, scores.tolist(), strict=True))


def test_a_run_and_a_submission_of_2025_are_compared_on_the_queries_of_the_lists(two, capsys):
    features = two / "features"
    captions = read_text_table(features / "evaluation_text.csv", "")
    clips = read_clips(features / "audio_info.pkl", "evaluation", "")
    with h5py.File(two / "runs" / "tiny" / "trial_00000" / "evaluation_xmodal_scores.hdf5") as file:
        scores = file["scores"][:].astype(np.float64)
    with (two / "corpus" / "metadata_eval.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["query", "audio_filenames"])
        writer.writerows(
            [captions[row].raw_text, str([clips[row % 4].fname, clips[3].fname][: 1 + row // 4])] for row in (6, 1)
        )
    write_matrix(two / "sent.csv", [captions[6], captions[1]], clips[::-1], scores[[6, 1], ::-1])
    arguments = [str(two / "runs" / "tiny"), str(two / "sent.csv"), "--protocol", "dcase2025", "--resamples", "20"]
    result = run(compare.main, capsys, two, *arguments)
    assert result.code == 0, result.err
    path = two / "runs" / "compare" / "tiny_vs_sent.csv_evaluation_dcase2025.json"
    report = json.loads(path.read_text())
    assert report["protocol"]["leading"] == "mAP@16"
    assert {row["difference"] for row in report["text_to_audio"].values()} == {0}
    assert "audio_to_text" not in report


def test_an_npy_without_names_is_refused(two, capsys):
    message = error_of(run(compare.main, capsys, two, "a.npy", str(two / "runs" / "tiny")))
    assert message == "a.npy: has no names of rows and columns; save an npz with scores, queries and files"
