"""Scores are measured on the data of the run that made them, whatever the YAML says."""

import pytest

from postprocessing import compare, ensemble, error_analysis, submission, xmodal_retrieval, xmodal_scores
from tasks import Commands
from tasks.retrieval.score_runs import run_behind
from tests.postprocessing.commands import error_of, run
from tests.training import run_of, write_trial
from utils.artefact_utils.retrieval.ensemble_records import EnsembleMember, EnsembleRecord, write_ensemble
from utils.config_utils import read_settings


@pytest.fixture
def elsewhere(prepared, tmp_path, capsys):
    """Two scored experiments, and then a conf.yaml that names other data."""
    for name, seed in (("tiny", 0), ("other", 1)):
        settings = [f"experiment={name}", f"training.seed={seed}"]
        write_trial(run_of(prepared, *settings))
        for split in ("eval", "val"):
            arguments = ["--split", split, *(part for s in settings for part in ("--set", s))]
            assert run(xmodal_scores.main, capsys, prepared, *arguments).code == 0
    conf = prepared / "conf.yaml"
    features = read_settings(conf)["data"]["features"]
    conf.write_text(conf.read_text().replace(str(features), str(prepared / "none")))
    return prepared


def test_every_script_takes_the_data_of_the_scores(elsewhere, capsys):
    tiny, other = (str(elsewhere / "runs" / name) for name in ("tiny", "other"))
    assert run(compare.main, capsys, elsewhere, tiny, other, "--resamples", "20").code == 0
    made = run(ensemble.main, capsys, elsewhere, tiny, f"{other}/trial_00000", "--name", "both")
    assert made.code == 0, made.err
    both = elsewhere / "runs" / "both"
    for path in (both, both / "evaluation_xmodal_scores.hdf5", f"{tiny}/evaluation_xmodal_scores.hdf5"):
        assert run(xmodal_retrieval.main, capsys, elsewhere, "--scores", str(path)).code == 0
        assert run(error_analysis.main, capsys, elsewhere, "--scores", str(path)).code == 0
        assert run(submission.main, capsys, elsewhere, "--scores", str(path), "--year", "2023").code == 0
    assert run(ensemble.main, capsys, elsewhere, str(both), tiny, "--name", "again", "--weights", "1,1").code == 0


def test_scores_of_other_systems_take_the_data_of_the_yaml(elsewhere, capsys):
    (elsewhere / "scores.csv").write_text("query,a.wav\na dog,1\n")
    message = error_of(run(compare.main, capsys, elsewhere, *[str(elsewhere / "scores.csv")] * 2))
    assert str(elsewhere / "none") in message


def test_moved_data_are_found_with_set(elsewhere, capsys):
    tiny = elsewhere / "runs" / "tiny"
    features = read_settings(tiny / "trial_00000" / "params.json")["data"]["features"]
    moved = elsewhere / "moved"
    (elsewhere / "features").rename(moved)
    assert str(moved) != str(features)
    arguments = [str(tiny), str(tiny), "--resamples", "20"]
    assert str(features) in error_of(run(compare.main, capsys, elsewhere, *arguments))
    assert run(compare.main, capsys, elsewhere, *arguments, "--set", f"data.features={moved}").code == 0


def test_a_repair_is_by_the_scripts_of_the_run_behind_the_scores(prepared, capsys):
    """The YAML is of data in Clotho's layout, the run of other data: their tables are made by different scripts."""
    settings = ["data.own_dataset={captions: null, shares: [0.8, 0.1, 0.1], seed: 1, group: null}"]
    trial = write_trial(run_of(prepared, *settings))
    assert run(xmodal_scores.main, capsys, prepared).code == 0
    (prepared / "features" / "evaluation_text.csv").unlink()
    repair = f"python -m preprocessing.own_dataset --conf {trial / 'params.json'}"
    assert repair in error_of(run(compare.main, capsys, prepared, *[str(trial)] * 2))
    assert repair in error_of(run(xmodal_scores.main, capsys, prepared, "--run", str(trial.parent)))


def test_ensembles_that_name_each_other_have_no_run(prepared):
    conf = run_of(prepared)
    for name, member in (("a", "b"), ("b", "a")):
        folder = prepared / name
        folder.mkdir()
        members = (EnsembleMember(prepared / member / "evaluation_xmodal_scores.hdf5", 1.0),)
        record = EnsembleRecord(members, "rank", "the command line", folder / "evaluation_xmodal_scores.hdf5", "again")
        write_ensemble(folder, {"evaluation": record})
    assert run_behind([prepared / "a"], conf, [], Commands((), conf.script_of))[0] is conf
