"""What stage 3 says of an experiment that is still in the middle."""

import json

import pytest

from tests.utils.tune_utils.searches import search_for
from utils.artefact_utils import write_json
from utils.cli_utils import UserError
from utils.model_utils.trials import TrialEnd, write_end
from utils.tune_utils import describe_unfinished
from utils.tune_utils.folder import write_record


@pytest.fixture
def folder(tmp_path):
    """An experiment that was not finished when it was last trained; no trial has started."""
    search = search_for(tmp_path / "runs" / "tiny", {"optimizer.lr": {"grid": [1, 2]}})
    write_record(search, finished=False)
    return search.folder


def start(folder, name, epoch, end=None):
    write_json(folder / name / "params.json", {"training": {"epochs": 20}})
    rows = [json.dumps({"epoch": n + 1}) for n in range(epoch)]
    (folder / name / "result.json").write_text("".join(f"{row}\n" for row in rows))
    if end is not None:
        write_end(folder / name, TrialEnd(end, epoch))


def test_a_trial_in_the_middle(folder):
    start(folder, "trial_00000", 20, "finished")
    start(folder, "trial_00001", 3)
    line = f"{folder} is not finished: trial_00001 is at epoch 3 of 20"
    assert describe_unfinished(folder) == line
    assert describe_unfinished(folder, "trial_00001") == line
    assert describe_unfinished(folder, "trial_00000") is None


def test_several_trials_in_the_middle_and_one_that_failed(folder):
    for number, epoch in enumerate((0, 2, 5)):
        start(folder, f"trial_0000{number}", epoch, "stopped early" if number == 2 else None)
    error = folder / "trial_00000" / "error.txt"
    error.touch()
    assert describe_unfinished(folder) == (
        f"{folder} is not finished: trial_00000 is at epoch 0 of 20 and has failed, see {error}, and 1 more of 3 "
        "trials have not ended"
    )


def test_trials_that_have_not_started(folder):
    start(folder, "trial_00000", 4, "diverged")
    assert describe_unfinished(folder) == f"{folder} is not finished: not all of its trials were started"
    assert describe_unfinished(folder, "trial_00000") is None


def test_a_finished_experiment_and_one_without_a_search_say_nothing(folder, tmp_path):
    start(folder, "trial_00000", 4, "finished")
    write_record(search_for(folder, {}), finished=True)
    assert describe_unfinished(folder) is None
    start(tmp_path / "taken_over", "trial_00000", 2)
    assert describe_unfinished(tmp_path / "taken_over") is None


def test_a_broken_record_is_named(folder):
    (folder / "experiment.json").write_text("{")
    with pytest.raises(UserError, match=r"experiment\.json: not the record of an experiment"):
        describe_unfinished(folder)
