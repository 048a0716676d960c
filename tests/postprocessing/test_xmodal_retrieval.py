import csv
import json

import h5py
import numpy as np
import pytest

from postprocessing import xmodal_retrieval, xmodal_scores
from tests.postprocessing.commands import error_of, run
from utils.artefact_utils import read_clips, read_text_table
from utils.cli_utils import command_for

SCORES = "evaluation_xmodal_scores.hdf5"


@pytest.fixture
def scored(trained, capsys):
    run(xmodal_scores.main, capsys, trained)
    return trained


def tables(folder):
    """Captions and clips of the evaluation split."""
    features = folder / "features"
    captions = read_text_table(features / "evaluation_text.csv", "")
    return captions, read_clips(features / "audio_info.pkl", "evaluation", "")


def report_of(folder):
    return json.loads((folder / "runs" / "tiny" / "evaluation_retrieval_metrics.json").read_text())


def rewrite_scores(folder, change):
    with h5py.File(folder / "runs" / "tiny" / "trial_00000" / SCORES, "r+") as file:
        scores = file["scores"][:]
        change(scores)
        file["scores"][:] = scores
    return scores


def independent(scores, relevant):
    """R@k, AP@10 and hit@k of a (Q, C) matrix with (Q, C) relevance, ties by index."""
    order = np.argsort(-scores, axis=1, kind="stable")
    hits = np.take_along_axis(relevant, order, axis=1)  # (Q, C) in rank order
    found = {f"R@{k}": (hits[:, :k].sum(1) / relevant.sum(1)).mean() for k in (1, 5, 10)}
    precision = hits.cumsum(1) / np.arange(1, hits.shape[1] + 1)
    for k in (10, 16):
        found[f"mAP@{k}"] = ((precision * hits)[:, :k].sum(1) / relevant.sum(1)).mean()
    found["median_rank"] = np.median(hits.argmax(1) + 1)
    return found, {f"hit@{k}": hits[:, :k].any(1).mean() for k in (1, 5, 10)}


def test_metrics_equal_an_independent_computation(scored, capsys):
    rng = np.random.default_rng(0)
    # rounded, so that there are ties
    scores = rewrite_scores(scored, lambda s: np.copyto(s, rng.standard_normal(s.shape).round(1)))
    result = run(xmodal_retrieval.main, capsys, scored)
    captions, clips = tables(scored)
    relevant = np.array([[caption.fid == clip.fid for clip in clips] for caption in captions])
    report = report_of(scored)
    t2a, _ = independent(scores, relevant)
    assert report["text_to_audio"] == pytest.approx({**t2a, "queries": 8, "candidates": 4})
    a2t, hits = independent(scores.T, relevant.T)
    assert report["audio_to_text"] == pytest.approx({**a2t, **hits, "queries": 4, "candidates": 8})
    assert f"{t2a['mAP@10']:.4f}" in result.out
    assert f"{a2t['R@1']:.4f}" in result.out


def test_the_report_has_these_keys(scored, capsys):
    run(xmodal_retrieval.main, capsys, scored)
    report = report_of(scored)
    assert set(report) == {"text_to_audio", "audio_to_text", "chance", "made_from"}
    shared = {"R@1", "R@5", "R@10", "mAP@10", "mAP@16", "median_rank"}
    hits = {"hit@1", "hit@5", "hit@10"}
    assert set(report["text_to_audio"]) == shared | {"queries", "candidates"}
    assert set(report["audio_to_text"]) == shared | hits | {"queries", "candidates"}
    assert set(report["chance"]) == {"text_to_audio", "audio_to_text"}
    assert set(report["chance"]["text_to_audio"]) == shared
    assert set(report["chance"]["audio_to_text"]) == shared | hits
    assert set(report["made_from"]) == {"split", "checkpoint", "scores"}


def test_chance_by_hand(scored, capsys):
    run(xmodal_retrieval.main, capsys, scored)
    chance = report_of(scored)["chance"]["text_to_audio"]
    expected = (1 + 1 / 2 + 1 / 3 + 1 / 4) / 4  # one of four clips is right
    assert chance == pytest.approx(
        {"R@1": 0.25, "R@5": 1.0, "R@10": 1.0, "mAP@10": expected, "mAP@16": expected, "median_rank": 2.5}
    )


def test_constant_scores_are_at_chance(scored, capsys):
    rewrite_scores(scored, lambda scores: scores.fill(0.5))
    run(xmodal_retrieval.main, capsys, scored)
    report = report_of(scored)
    chance = report["chance"]["text_to_audio"]
    assert {key: report["text_to_audio"][key] for key in chance} == pytest.approx(chance)


def test_the_table_of_best_clips(scored, capsys):
    rng = np.random.default_rng(1)
    scores = rewrite_scores(scored, lambda s: np.copyto(s, rng.standard_normal(s.shape)))
    run(xmodal_retrieval.main, capsys, scored)
    captions, clips = tables(scored)
    path = scored / "runs" / "tiny" / "evaluation.t2a_retrieval.csv"
    with path.open(newline="", encoding="utf-8") as stream:
        header, *rows = csv.reader(stream)
    assert header == ["caption", "file_name_1", "file_name_2", "file_name_3", "file_name_4"]  # there are four clips
    for caption, row, line in zip(captions, scores, rows, strict=True):
        assert line == [caption.raw_text, *(clips[n].fname for n in np.argsort(-row))]
    trial = scored / "runs" / "tiny" / "trial_00000"
    assert path.read_bytes() == (trial / path.name).read_bytes()


@pytest.mark.parametrize(("value", "word"), [(np.nan, "nan"), (np.inf, "inf"), (-np.inf, "-inf")])
def test_a_score_that_is_not_finite_is_refused_by_name(value, word, scored, capsys):
    def spoil(scores):
        scores[3, 2] = value

    rewrite_scores(scored, spoil)
    captions, clips = tables(scored)
    message = error_of(run(xmodal_retrieval.main, capsys, scored))
    assert f"the score of caption '{captions[3].raw_text}' and clip '{clips[2].fname}' is {word}" in message
    assert f"write it again: {command_for('postprocessing.xmodal_scores')}" in message
    assert not (scored / "runs" / "tiny" / "evaluation_retrieval_metrics.json").exists()


def test_scores_of_another_checkpoint_are_refused(trained, capsys):
    run(xmodal_scores.main, capsys, trained, "--checkpoint", "checkpoint_000001")
    message = error_of(run(xmodal_retrieval.main, capsys, trained, "--checkpoint", "checkpoint_000000"))
    assert "made by trial_00000/checkpoint_000001 (epoch 2), this run wants trial_00000/checkpoint_000000" in message
    repair = message.rpartition("write it again: ")[2]
    assert repair == command_for("postprocessing.xmodal_scores", "--checkpoint", "checkpoint_000000")


def test_scores_that_are_not_there_are_asked_for(trained, capsys):
    message = error_of(run(xmodal_retrieval.main, capsys, trained, "--split", "validation"))
    repair = command_for("postprocessing.xmodal_scores", "--split", "validation")
    assert message.endswith(f"validation_xmodal_scores.hdf5: no such file; write it: {repair}")


def test_a_truncated_score_file_is_refused(scored, capsys):
    path = scored / "runs" / "tiny" / "trial_00000" / SCORES
    path.write_bytes(path.read_bytes()[:600])
    assert "not a complete HDF5 file; write it again" in error_of(run(xmodal_retrieval.main, capsys, scored))


def test_tables_that_have_changed_since_are_refused(scored, capsys):
    captions, _ = tables(scored)
    path = scored / "features" / "evaluation_text.csv"
    path.write_text(path.read_text().replace(captions[2].tid, "0" * 16))
    message = error_of(run(xmodal_retrieval.main, capsys, scored))
    assert "the tables of 'evaluation', which have changed since, differ in 2 ids, such as 0000000000000000" in message


def test_a_caption_that_was_never_scored_is_noticed(scored, capsys):
    path = scored / "features" / "evaluation_text.csv"
    last = path.read_text().splitlines()[-1]
    with path.open("a") as stream:
        stream.write(last.replace(last.split(",")[0], "f" * 16) + "\n")
    message = error_of(run(xmodal_retrieval.main, capsys, scored))
    assert "which have changed since, differ in 1 ids, such as ffffffffffffffff; write it again: " in message


def test_tables_that_are_gone_are_made_by_stage_1(scored, capsys):
    (scored / "features" / "evaluation_text.csv").unlink()
    message = error_of(run(xmodal_retrieval.main, capsys, scored))
    assert f"evaluation_text.csv: no such file; write it: {command_for('preprocessing.clotho_dataset')}" in message
