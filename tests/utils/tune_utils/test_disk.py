import shutil

import pytest

from tests.utils.tune_utils.searches import search_for
from utils.cli_utils import UserError
from utils.model_utils import write_checkpoint
from utils.model_utils.trials import TrialEnd, write_end
from utils.tune_utils.disk import check_disk, checkpoints_to_come


@pytest.fixture
def experiment(tmp_path):
    """Six trials, which keep the two best checkpoints and the last; one more is written before one is removed."""
    search = search_for(tmp_path / "runs" / "x", {"optimizer.lr": {"grid": [1, 2, 3]}}, num_samples=2)
    return search._replace(checkpoint_bytes=1000)


def test_what_is_on_the_disk_already_is_not_counted_again(experiment):
    assert checkpoints_to_come(experiment, fresh=False) == 6 * 4
    write_end(experiment.folder / "trial_00000", TrialEnd("finished", 2))
    for number in range(3):
        write_checkpoint(experiment.folder / "trial_00001" / f"checkpoint_{number:06d}", {"epoch": number + 1}, {})
    assert checkpoints_to_come(experiment, fresh=False) == 0 + 1 + 4 * 4
    assert checkpoints_to_come(experiment, fresh=True) == 6 * 4  # what is there is moved aside


def test_a_small_disk_is_found_for_all_trials(experiment, monkeypatch):
    usage = type(shutil.disk_usage("/"))
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(0, 0, 24_000))
    check_disk(experiment, fresh=False)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(0, 0, 23_999))
    with pytest.raises(UserError, match=r"runs: needs 0 MB, 0 MB are free; .*--set output_root=DIR"):
        check_disk(experiment, fresh=False)
