"""Ensembles from the command line: members of every kind, weights from validation, one line for every mistake."""

import json
import shutil

import numpy as np
import pytest

from postprocessing import ensemble, xmodal_scores
from tests.postprocessing.commands import command_of, error_of, run
from tests.training import run_of
from utils.artefact_utils.retrieval import ScoreReader, write_matrix_submission, write_ranked_submission, write_scores
from utils.data_utils import read_tables
from utils.metric_utils.ensembles import cutoffs_of, normalised
from utils.metric_utils.ranking import ranks_of_relevant
from utils.metric_utils.retrieval import retrieval_metrics
from utils.metric_utils.scores import MatrixScores

SPLITS = ("evaluation", "validation")
VALIDATION = "validation_xmodal_scores.hdf5"


def tables(folder, split):
    return read_tables(run_of(folder).data, split)


def scores_of(folder, split, seed, strength=1.0):
    """Noise, with each caption's own clip raised."""
    found = tables(folder, split)
    columns = {clip.fid: column for column, clip in enumerate(found.clips)}
    own = [columns[caption.fid] for caption in found.captions]
    scores = np.random.default_rng(seed).standard_normal((len(own), len(columns))).astype(np.float32)
    scores[np.arange(len(own)), own] += strength
    return scores, np.array(own)


def write_member(folder, name, seed, strength=1.0, splits=SPLITS, made_by=None):
    """Score files of this project in a folder of their own; returns those of evaluation."""
    for split in splits:
        found = tables(folder, split)
        write_scores(
            folder / name / f"{split}_xmodal_scores.hdf5",
            {"tid": [c.tid for c in found.captions], "fid": [c.fid for c in found.clips]},
            [(0, scores_of(folder, split, seed, strength)[0])],
            {},
            {"split": split, "checkpoint": (made_by or {}).get(split, name), "left_out": "[]"},
        )
    return folder / name / "evaluation_xmodal_scores.hdf5"


def write_foreign(folder, name, split, seed, strength=1.0):
    found = tables(folder, split)
    path = folder / name
    texts, names = [c.raw_text for c in found.captions], [c.fname for c in found.clips]
    write_matrix_submission(path, texts, names, scores_of(folder, split, seed, strength)[0])
    return path


def make(folder, capsys, *arguments):
    return run(ensemble.main, capsys, folder, *map(str, arguments), "--name", "both")


def written(folder, split="evaluation"):
    with ScoreReader(folder / "runs" / "both" / f"{split}_xmodal_scores.hdf5", "again") as reader:
        scores = np.concatenate([block for _, block in reader.text_to_audio().blocks()])
        return scores, reader.tids, reader.fids, reader.notes


def report_of(folder, split="evaluation"):
    return json.loads((folder / "runs" / "both" / "ensemble.json").read_text())["splits"][split]


@pytest.mark.parametrize("how", ["rank", "zscore", "none"])
def test_given_weights_by_hand(how, prepared, capsys):
    members = [write_member(prepared, name, seed) for seed, name in enumerate("ab")]
    result = make(prepared, capsys, *members, "--weights", "3,1", "--normalise", how)
    assert result.code == 0, result.err
    one, two = (normalised(scores_of(prepared, "evaluation", seed)[0], how) for seed in range(2))
    scores, tids, fids, notes = written(prepared)
    np.testing.assert_allclose(scores, 0.75 * one + 0.25 * two, atol=1e-11)
    assert scores.dtype == np.float64
    found = tables(prepared, "evaluation")
    assert tids == [caption.tid for caption in found.captions]
    assert fids == [clip.fid for clip in found.clips]
    assert notes["split"] == "evaluation"
    assert notes["checkpoint"] == f"ensemble both ({how}: 0.75 {prepared / 'a'} + 0.25 {prepared / 'b'})"
    assert report_of(prepared)["members"] == [
        {"scores": str(members[0]), "weight": 0.75},
        {"scores": str(members[1]), "weight": 0.25},
    ]
    assert report_of(prepared)["weights_from"] == "the command line"
    path = prepared / "runs" / "both" / "evaluation_xmodal_scores.hdf5"
    assert f"next: {command_of(prepared, 'postprocessing.xmodal_retrieval', '--scores', str(path))}" in result.out


def test_weights_are_chosen_on_validation_alone(prepared, capsys):
    """On evaluation member a is perfect and b is noise; on validation it is the other way round."""
    write_member(prepared, "a", 0, 9, ["evaluation"])
    write_member(prepared, "a", 0, -9, ["validation"])
    write_member(prepared, "b", 1, -9, ["evaluation"])
    write_member(prepared, "b", 1, 9, ["validation"])
    members = [prepared / name / "evaluation_xmodal_scores.hdf5" for name in "ab"]
    assert make(prepared, capsys, *members).code == 0
    report = report_of(prepared)
    weights = [member["weight"] for member in report["members"]]
    assert weights[1] > weights[0]
    assert report["weights_from"] == "mAP@10 of text to audio on 'validation'"
    assert report["members"][1]["validation_mAP@10"] == report["validation_mAP@10"] == 1.0


def test_the_validation_numbers_are_those_of_the_scores(prepared, capsys):
    members = [write_member(prepared, n, seed).with_name(VALIDATION) for seed, n in enumerate("abc")]
    result = make(prepared, capsys, *members, "--metric", "R@1", "--split", "validation")
    assert result.code == 0, result.err
    report = report_of(prepared, "validation")
    told = "'validation', the split that is written: its own numbers are too good"
    assert report["weights_from"] == f"R@1 of text to audio on {told}"
    assert "the weights were chosen on 'validation', which is the split that is written" in result.out
    own = scores_of(prepared, "validation", 0)[1]

    def value(scores):
        rows = np.arange(len(own))
        return retrieval_metrics(ranks_of_relevant(MatrixScores(scores), rows, own), rows, len(own), cutoffs_of("R@1"))[
            "R@1"
        ]

    assert report["validation_R@1"] == value(written(prepared, "validation")[0])
    for seed, member in enumerate(report["members"]):
        assert member["validation_R@1"] == value(scores_of(prepared, "validation", seed)[0])
        assert f"{member['weight']:.2f}" in result.out
    assert "even weights" in result.out
    assert result.out.rstrip().endswith("--split validation")


def test_a_run_and_a_file_of_another_system(trained, capsys):
    foreign = [write_foreign(trained, f"{split}.csv", split, 3, 4) for split in SPLITS]
    for split in SPLITS:
        run(xmodal_scores.main, capsys, trained, "--split", split)
    result = make(trained, capsys, trained / "runs" / "tiny", foreign[0], "--validation", foreign[1])
    assert result.code == 0, result.err
    assert report_of(trained)["members"][1]["validation_mAP@10"] > 0.5
    command = report_of(trained)["command"]
    assert f"--weights auto --metric mAP@10 --validation {foreign[1]}" in command
    # and the ensemble is a member like any other
    shutil.copytree(trained / "runs" / "both", trained / "first")
    path = trained / "first" / "evaluation_xmodal_scores.hdf5"
    assert make(trained, capsys, path, trained / "runs" / "tiny" / "trial_00000", "--weights", "1,1").code == 0
    message = error_of(make(trained, capsys, path, trained / "runs" / "tiny"))
    assert (
        "validation_xmodal_scores.hdf5: no such file; write the ensemble first with --split validation too" in message
    )


def test_validation_scores_that_are_missing_are_asked_for(trained, capsys):
    tiny = trained / "runs" / "tiny"
    run(xmodal_scores.main, capsys, trained)
    other = write_member(trained, "a", 0)
    message = error_of(make(trained, capsys, tiny, other))
    assert "validation_xmodal_scores.hdf5: no such file; write it: " in message
    assert "postprocessing.xmodal_scores" in message
    assert message.endswith("--split validation")
    for path, chosen in (
        (tiny, ["--run", str(tiny)]),
        (tiny / "trial_00000", ["--run", str(tiny), "--trial", "trial_00000"]),
    ):
        message = error_of(make(trained, capsys, other, path / "evaluation_xmodal_scores.hdf5"))
        repair = command_of(trained, "postprocessing.xmodal_scores", *chosen, "--split", "validation")
        assert message.endswith(f"validation_xmodal_scores.hdf5: no such file; write it: {repair}")


def test_a_foreign_member_needs_its_own_validation_file(prepared, capsys):
    ours = write_member(prepared, "a", 0)
    foreign = write_foreign(prepared, "x.csv", "evaluation", 1)
    message = error_of(make(prepared, capsys, ours, foreign))
    expected = f"--validation FILE is needed once for each of {foreign} (in this order), found 0; or give --weights"
    assert message == f"--weights auto chooses on 'validation': {expected}"
    message = error_of(make(prepared, capsys, ours, ours, "--validation", foreign))
    assert "once for each of no member (in this order), found 1" in message
    assert make(prepared, capsys, ours, foreign, "--weights", "1,1").code == 0


def test_scores_of_two_checkpoints_are_not_mixed(prepared, capsys):
    one = write_member(prepared, "a", 0, made_by={"validation": "epoch 3", "evaluation": "epoch 5"})
    message = error_of(make(prepared, capsys, one, write_member(prepared, "b", 1)))
    assert f"made by epoch 3, but {one} by epoch 5; write both again with one checkpoint" in message


@pytest.mark.parametrize("split", SPLITS)
def test_a_score_that_is_not_finite_is_refused_by_name(split, prepared, capsys):
    one, two = (write_member(prepared, name, seed) for seed, name in enumerate("ab"))
    found = tables(prepared, split)
    scores, _ = scores_of(prepared, split, 1)
    scores[2, 1] = np.nan
    ids = {"tid": [c.tid for c in found.captions], "fid": [c.fid for c in found.clips]}
    notes = {"split": split, "checkpoint": "b", "left_out": "[]"}
    write_scores(prepared / "b" / f"{split}_xmodal_scores.hdf5", ids, [(0, scores)], {}, notes)
    message = error_of(make(prepared, capsys, one, two))
    assert f"b/{split}_xmodal_scores.hdf5: the score of caption '{found.captions[2].raw_text}'" in message
    assert f"and clip '{found.clips[1].fname}' is nan" in message
    assert not (prepared / "runs" / "both").exists() or not list((prepared / "runs" / "both").iterdir())


def test_members_must_score_the_same_clips_in_one_order(prepared, capsys):
    one = write_member(prepared, "a", 0)
    found = tables(prepared, "evaluation")
    path = prepared / "b" / "evaluation_xmodal_scores.hdf5"
    kept = [c for c in found.captions if c.fid != found.clips[0].fid]
    for captions, clips, left_out, message in (
        (kept, found.clips[1:], [found.clips[0].fid], f"{one} and {path} differ in 2 captions; an ensemble needs"),
        (found.captions[::-1], found.clips, [], "have their captions in another order"),
        (found.captions, found.clips[::-1], [], "have their clips in another order"),
    ):
        write_scores(
            path,
            {"tid": [c.tid for c in captions], "fid": [c.fid for c in clips]},
            [(0, np.zeros((len(captions), len(clips)), np.float32))],
            {},
            {"split": "evaluation", "checkpoint": "b", "left_out": json.dumps(left_out)},
        )
        assert message in error_of(make(prepared, capsys, one, path, "--weights", "1,1"))


def test_clips_that_no_member_scored_are_noted(prepared, capsys):
    found = tables(prepared, "evaluation")
    left = found.clips[0].fid
    captions = [c for c in found.captions if c.fid != left]
    paths = [prepared / name / "evaluation_xmodal_scores.hdf5" for name in "ab"]
    for path in paths:
        write_scores(
            path,
            {"tid": [c.tid for c in captions], "fid": [c.fid for c in found.clips[1:]]},
            [(0, np.eye(len(captions), len(found.clips) - 1, dtype=np.float32))],
            {},
            {"split": "evaluation", "checkpoint": "b", "left_out": json.dumps([left])},
        )
    assert make(prepared, capsys, *paths, "--weights", "1,1").code == 0
    assert json.loads(written(prepared)[3]["left_out"]) == [left]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["a.npz", "b.npy"], "b.npy: names no queries and files; write an npz with the arrays scores, queries"),
        (["a.npz"], "found one member, a.npz; an ensemble needs at least two"),
        (["a.npz", "b.npz", "--weights", "1,1"], "a.npz: no such run or file"),
        (["a", "b", "--split", "test"], "--split: found 'test', expected one of"),
    ],
)
def test_what_is_not_there_is_refused_in_one_line(arguments, message, prepared, capsys):
    assert message in error_of(make(prepared, capsys, *arguments))


def test_the_number_of_weights_is_that_of_the_members(prepared, capsys):
    one = write_member(prepared, "a", 0)
    message = error_of(make(prepared, capsys, one, one, "--weights", "1,2,3"))
    assert message == "--weights: 3 numbers for 2 members; give one each, or auto"


@pytest.mark.parametrize("weights", ["-1,2", "0,0", "x", "nan,1", "inf,1", ""])
def test_weights_that_are_none_are_refused(weights, prepared, capsys):
    result = make(prepared, capsys, "a", "b", f"--weights={weights}")
    assert result.code == 2
    assert "expected auto, or numbers from 0 such as 0.6,0.4, got" in result.err


def test_a_metric_that_is_none_is_refused(prepared, capsys):
    result = make(prepared, capsys, "a", "b", "--metric", "accuracy")
    assert result.code == 2
    assert "choices: R@k, mAP@k, hit@k" in result.err


def test_an_experiment_is_not_written_over(trained, capsys):
    for name, message in (
        ("tiny", "tiny is an experiment with trials; choose another name"),
        ("../x", "--name: needs a plain name"),
    ):
        assert message in error_of(run(ensemble.main, capsys, trained, "a", "b", "--name", name))


def test_a_member_is_not_written_over(prepared, capsys):
    both, other = (write_member(prepared, f"runs/{name}", n).parent for n, name in enumerate(("both", "b")))
    (both / "ensemble.json").write_text("{}")
    (other / "ensemble.json").write_text("{}")
    before = (both / "evaluation_xmodal_scores.hdf5").read_bytes()
    shutil.copytree(other, prepared / "elsewhere")
    (prepared / "link").symlink_to(both)
    for members in ([both, other], [other, both / "evaluation_xmodal_scores.hdf5"], [other, prepared / "link"]):
        message = error_of(make(prepared, capsys, *members, "--weights", "1,1"))
        assert f"--name: {both} holds member {members[members[0] == other]}, which would be written over" in message
    message = error_of(make(prepared, capsys, other, prepared / "elsewhere", "--validation", both / VALIDATION))
    assert f"holds member {both / VALIDATION}" in message
    assert (both / "evaluation_xmodal_scores.hdf5").read_bytes() == before
    assert make(prepared, capsys, other, prepared / "elsewhere", "--weights", "1,1").code == 0


@pytest.mark.parametrize("name", ["foreign", "compare"])
def test_folders_of_other_results_are_no_ensembles(name, prepared, capsys):
    message = error_of(run(ensemble.main, capsys, prepared, "a", "b", "--name", name))
    assert f"{name} holds other results; choose another name than foreign and compare" in message


def test_lists_of_ranked_names_are_no_members(prepared, capsys):
    ours = write_member(prepared, "a", 0)
    clips, captions = tables(prepared, "evaluation")
    listed = prepared / "x.csv"
    write_ranked_submission(listed, [c.raw_text for c in captions], [[c.fname for c in clips][:3]] * len(captions))
    for members in ([ours, listed], [listed, ours]):
        message = error_of(make(prepared, capsys, *members, "--weights", "1,1"))
        assert f"{listed}: names only 3 clips a query, but a mean needs the scores of all clips; give the" in message


def test_float64_scores_stay_what_they_are(prepared, capsys):
    clips, captions = tables(prepared, "evaluation")
    scores = 0.5 + np.random.default_rng(0).permuted(np.arange(32.0)).reshape(8, 4) * 1e-9
    for name in "ab":
        write_matrix_submission(
            prepared / f"{name}.csv", [c.raw_text for c in captions], [c.fname for c in clips], scores
        )
    members = [prepared / "a.csv", prepared / "b.csv"]
    assert make(prepared, capsys, *members, "--weights", "1,3", "--normalise", "none").code == 0
    np.testing.assert_allclose(written(prepared)[0], scores, rtol=1e-15)


def test_each_split_keeps_its_record(prepared, capsys):
    members = [write_member(prepared, name, seed) for seed, name in enumerate("ab")]
    of_validation = [member.with_name(VALIDATION) for member in members]
    assert "was written with other" not in make(prepared, capsys, *members).out
    first = report_of(prepared)
    result = make(prepared, capsys, *of_validation, "--split", "validation")
    assert result.code == 0
    assert "was written with other" not in result.out
    assert report_of(prepared) == first
    assert "which is the split" not in make(prepared, capsys, *members).out
    assert report_of(prepared, "validation")["members"][0]["scores"] == str(of_validation[0])
    assert written(prepared)[3]["checkpoint"] == written(prepared, "validation")[3]["checkpoint"]
    result = make(prepared, capsys, *members, "--weights", "1,9")
    assert "'validation' of this ensemble was written with other members, weights or normalisation" in result.out
    assert report_of(prepared, "validation")["command"] in result.out


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"splits": 1}', '{"splits": {"validation": {}}}'])
def test_a_record_of_another_form_is_written_anew(text, prepared, capsys):
    members = [write_member(prepared, name, seed) for seed, name in enumerate("ab")]
    (prepared / "runs" / "both").mkdir(parents=True)
    (prepared / "runs" / "both" / "ensemble.json").write_text(text)
    assert make(prepared, capsys, *members).code == 0
    assert report_of(prepared)["normalise"] == "zscore"
