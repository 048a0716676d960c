import copy
import importlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.utils.tune_utils.searches import search_for
from utils.artefact_utils import write_json
from utils.cli_utils import UserError
from utils.config_utils import set_key, value_at
from utils.model_utils.trials import TrialEnd, read_end, write_end
from utils.tune_utils import read_revisions
from utils.tune_utils.draws import settings_of, trials_of
from utils.tune_utils.folder import MOVABLE_KEYS, forget_unbegun, move_aside, only_one, prepare_folder, write_record

ROOT = Path(__file__).parents[3]
launch = importlib.import_module("utils.tune_utils.launch")  # the package names its function so


@pytest.fixture
def search(tmp_path):
    return search_for(tmp_path / "runs" / "tiny", {"optimizer.lr": {"grid": [1, 2]}})


def held(search):
    return json.loads((search.folder / "experiment.json").read_text())


def test_a_fresh_folder_is_recorded(search):
    assert prepare_folder(search, resume=False)
    assert (held(search)["run"], held(search)["finished"]) == (search.run, False)


def test_nothing_to_resume_is_said(search, capsys):
    assert prepare_folder(search, resume=True)
    assert "runs/tiny: nothing to resume; starting" in capsys.readouterr().out


def test_an_experiment_of_which_nothing_began_is_forgotten(search):
    assert prepare_folder(search, resume=False)
    trials_of(search)
    forget_unbegun(search.folder)
    assert list(search.folder.iterdir()) == []
    prepare_folder(search, resume=False)
    (search.folder / "trial_00000").mkdir()
    forget_unbegun(search.folder)
    assert (search.folder / "experiment.json").is_file()


def test_an_unfinished_experiment_asks_what_to_do(search):
    write_record(search, finished=False)
    with pytest.raises(UserError, match=r"tiny: holds an unfinished experiment; go on with --resume, or start .*--fre"):
        prepare_folder(search, resume=False)
    (search.folder / ".checkpoint-abc").mkdir()  # what a killed trial left
    assert prepare_folder(search, resume=True)
    assert sorted(p.name for p in search.folder.iterdir()) == ["experiment.json"]


@pytest.mark.parametrize("resume", [False, True])
@pytest.mark.parametrize("finished", [False, True])
def test_other_settings_are_named(resume, finished, search):
    write_record(search, finished=finished)
    set_key(search.run, "optimizer.weight_decay", 9)
    set_key(search.run, "data.root", "elsewhere")
    with pytest.raises(UserError, match=r"with other settings \(optimizer\.weight_decay: 0.0 -> 9\); use --set exp"):
        prepare_folder(search, resume=resume)


@pytest.mark.parametrize("key", MOVABLE_KEYS)
def test_what_is_not_learnt_may_change(key, search, capsys):
    write_record(search, finished=False)
    old = value_at(search.run, key)
    set_key(search.run, key, "another")
    assert prepare_folder(search, resume=True)
    assert f"runs/tiny: goes on with {key}: {old} -> another" in capsys.readouterr().out
    assert value_at(held(search)["run"], key) == "another"


def test_every_key_of_ray_that_decides_about_trials_is_refused(search):
    """So that a new one is looked at."""
    allowed = {key.partition(".")[2] for key in MOVABLE_KEYS if key.startswith("ray.")}
    others = {"num_samples", "search_alg", "scheduler", "grace_epochs", "reduction_factor", "stopper"}
    assert allowed | others == set(type(search.ray).model_fields)


@pytest.mark.parametrize("finished", [True, False])
def test_an_experiment_on_other_data_is_not_reused(finished, search):
    write_record(search, finished=finished)
    with pytest.raises(UserError, match="holds an experiment on other data: clips, captions or their vectors have"):
        prepare_folder(search._replace(data="another digest"), resume=True)


@pytest.mark.parametrize("resume", [False, True])
def test_a_finished_experiment_is_reused(resume, search, capsys):
    write_record(search, finished=True)
    assert not prepare_folder(search, resume=resume)
    assert "every trial has ended with these settings; reused (--fresh starts again)" in capsys.readouterr().out


@pytest.mark.parametrize("lost", ["trial_00001", "trial_00001/ended.json"])
def test_an_experiment_that_has_lost_a_trial_is_not_finished(search, lost):
    for name in trials_of(search):
        write_end(search.folder / name, TrialEnd("finished", 2))
    write_record(search, finished=True)
    assert not prepare_folder(search, resume=True)
    path = search.folder / lost
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    with pytest.raises(UserError, match="tiny: holds an unfinished experiment; go on with --resume"):
        prepare_folder(search, resume=False)
    assert prepare_folder(search, resume=True)


def test_a_trial_that_is_a_link_to_another_folder_is_not_written_to(search, tmp_path):
    write_record(search, finished=False)
    (tmp_path / "outside").mkdir()
    (search.folder / "trial_00000").symlink_to(tmp_path / "outside")
    with pytest.raises(UserError, match=r"tiny/trial_00000: is a link to another folder; put the folder itself in its"):
        prepare_folder(search, resume=True)
    assert list((tmp_path / "outside").iterdir()) == []


def test_fresh_moves_the_earlier_experiment_aside(search, capsys):
    for number in (1, 2):
        write_record(search._replace(data=str(number)), finished=True)
        move_aside(search.folder)
        aside = search.folder.with_name(f"tiny.old-{number}")
        assert json.loads((aside / "experiment.json").read_text())["data"] == str(number)
        assert f"moved {search.folder} to {aside}" in capsys.readouterr().out
    move_aside(search.folder)  # nothing there
    assert capsys.readouterr().out == ""


def test_strange_files_are_not_touched(search):
    search.folder.mkdir(parents=True)
    (search.folder / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match=r"tiny: holds no experiment of this program; move it, or use --set experiment"):
        prepare_folder(search, resume=True)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"run": 3, "finished": true}', "[" * 100_000])
def test_a_broken_record_is_told(text, search):
    search.folder.mkdir(parents=True)
    (search.folder / "experiment.json").write_text(text)
    with pytest.raises(UserError, match=r"experiment\.json: not the record of an experiment; move .* --fresh"):
        prepare_folder(search, resume=True)


def test_revisions_are_read_back(search):
    assert read_revisions(search.folder) == {}
    write_record(search._replace(revisions={"text": "a1"}), finished=False)
    assert read_revisions(search.folder) == {"text": "a1"}


def test_two_processes_never_train_one_experiment(search):
    code = (
        "import sys, pathlib\n"
        "from utils.tune_utils.folder import only_one\n"
        "with only_one(pathlib.Path(sys.argv[1])): print('in', flush=True); sys.stdin.read()"
    )
    other = [sys.executable, "-c", code, str(search.folder)]
    with subprocess.Popen(other, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "in\n"
        for step in (lambda: only_one(search.folder).__enter__(), lambda: move_aside(search.folder)):
            with pytest.raises(UserError, match=r"tiny: another process trains this experiment; wait until it has"):
                step()
        process.stdin.close()
    with only_one(search.folder):
        write_json(search.folder / "a.json", 1)


def end_all(search, *ends):
    """Rows and marks of the trials, one mark a trial."""
    trials = trials_of(search)
    write_record(search, finished=True)
    for (name, draw), end in zip(trials.items(), ends, strict=True):
        rows = [{"epoch": n, "val_loss": 1.0, "arrival": n} for n in range(1, end.epoch + 1)]
        write_json(search.folder / name / "params.json", settings_of(search, draw))
        (search.folder / name / "result.json").write_text("".join(json.dumps(row) + "\n" for row in rows))
        write_end(search.folder / name, end)
    return trials


def with_epochs(search, epochs):
    run = copy.deepcopy(search.run)
    set_key(run, "training.epochs", epochs)
    return search._replace(run=run)


def test_more_epochs_reopen_the_trials_that_had_reached_their_last(tmp_path, capsys):
    search = search_for(tmp_path / "runs" / "tiny", {"optimizer.lr": {"grid": [1, 2, 3]}}, scheduler="fifo")
    ends = (TrialEnd("finished", 2), TrialEnd("stopped early", 1, "ASHA"), TrialEnd("diverged", 1, "nan"))
    trials = end_all(search, *ends)
    longer = with_epochs(search, 5)
    with pytest.raises(UserError, match=r"an unfinished experiment \(training\.epochs: 2 -> 5\); go on with --resume"):
        prepare_folder(longer, resume=False)
    assert prepare_folder(longer, resume=True)
    assert "goes on with training.epochs: 2 -> 5" in capsys.readouterr().out
    assert (held(longer)["run"], held(longer)["finished"]) == (longer.run, False)
    for _ in range(2):  # also where a kill comes between
        _, _, left = launch._restored(longer, trials)
        assert list(left) == ["trial_00000"]
        assert left["trial_00000"]["training"]["epochs"] == 5
    assert [read_end(longer.folder / name) for name in trials] == [None, *ends[1:]]
    params = json.loads((longer.folder / "trial_00001" / "params.json").read_text())
    assert params["training"]["epochs"] == 5  # all trials are of one experiment


def test_fewer_epochs_are_refused(search):
    write_record(search, finished=False)
    with pytest.raises(UserError, match=r"training\.epochs: 2 -> 1, which may only be raised"):
        prepare_folder(with_epochs(search, 1), resume=True)


def test_where_epochs_are_searched_they_stay(tmp_path):
    search = search_for(tmp_path / "runs" / "tiny", {"training.epochs": {"grid": [1, 2]}})
    write_record(search, finished=False)
    with pytest.raises(UserError, match=r"other settings \(training\.epochs: 2 -> 3\)"):
        prepare_folder(with_epochs(search, 3), resume=True)
