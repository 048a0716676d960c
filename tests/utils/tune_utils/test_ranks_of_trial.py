"""A search of trials of two ranks: one is stopped by ASHA; one loses a rank, goes on, and diverges on a rank alone."""

import contextlib
import io
import itertools
import json
import os
import re
import signal

import pytest
import torch.distributed as dist

from tasks import experiment_of, parse_run
from tests.training import run_of
from utils.artefact_utils import write_json
from utils.model_utils import DivergedError, Fit
from utils.model_utils.trials import TrialEnd, checkpoint_folders, read_end, read_history, write_end
from utils.tune_utils import launch
from utils.tune_utils.draws import trials_of
from utils.tune_utils.folder import write_record

pytestmark = pytest.mark.timeout(900)

BEFORE, STOPPED, LOST = 1e-3, 2e-3, 3e-3  # learning rates, which tell the trials apart
VALUES = {BEFORE: 0.6, STOPPED: 0.1, LOST: 0.7}


def planted_fit(mapping):
    """The run, with given metrics; of one trial the second rank is killed in epoch 2, and diverges in epoch 3."""
    run = parse_run(mapping, "params.json")
    task, rate = run.build(), run.optimizer.lr
    metrics, epochs = task.metrics, itertools.count(1)
    killed = run.output_root / "killed"

    def planted_metrics(outputs):
        if rate == LOST and dist.get_rank() == 1 and next(epochs) == 2:
            if killed.exists():  # this process has begun with epoch 2
                raise DivergedError("the second rank alone")
            killed.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return metrics(outputs) | {"mAP@10": VALUES[rate], "ranks": float(dist.get_world_size())}

    task.metrics = planted_metrics
    return Fit(task, run.training, run.optimizer, run.lr_scheduler)


def write_ended_trial(experiment):
    """A first trial, which has ended already: ASHA compares the others with it."""
    write_record(experiment, finished=False)
    trial = experiment.folder / next(iter(trials_of(experiment)))
    write_json(trial / "params.json", experiment.run)
    rows = [{"epoch": epoch, "mAP@10": VALUES[BEFORE], "epoch_s": 1.0} for epoch in (1, 2, 3, 4)]
    (trial / "result.json").write_text("".join(json.dumps(row) + "\n" for row in rows))
    write_end(trial, TrialEnd("finished", 4))


@pytest.fixture(scope="module")
def searched(request, tmp_path_factory):
    """(folder of the experiment, what was printed) of a search on two processors, a trial at a time."""
    root = tmp_path_factory.mktemp("ranks")
    run = run_of(
        request.getfixturevalue("_made"),
        f"search={{optimizer.lr: {{grid: {list(VALUES)}}}}}",
        "ray={workers_per_trial: 2, scheduler: asha, grace_epochs: 1, reduction_factor: 2, max_failures: 1}",
        "training.epochs=4",
        f"output_root={root}",
    )
    experiment = experiment_of(run, run.build())
    write_ended_trial(experiment)
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        assert launch(experiment, planted_fit, resume=True, fresh=False), out.getvalue()
    return run.folder, out.getvalue()


def test_how_the_trials_end(searched):
    """Each needs both processors: the later one runs with what the one that was stopped has given back."""
    folder, _ = searched
    stopped, lost = (read_end(folder / f"trial_0000{number}") for number in (1, 2))
    assert (stopped.reason, stopped.epoch, stopped.message) == ("stopped early", 1, "ASHA")
    assert (lost.reason, lost.epoch, lost.message) == ("diverged", 2, "epoch 3: the second rank alone")


def test_every_epoch_has_one_row_of_both_ranks_and_its_checkpoint(searched):
    """Also of the trial that was stopped: no rank goes on before the search has decided."""
    folder, _ = searched
    for number, epochs in ((1, 1), (2, 2)):
        trial = folder / f"trial_0000{number}"
        assert [(row["epoch"], row["ranks"]) for row in read_history(trial)] == [(n + 1, 2) for n in range(epochs)]
        assert checkpoint_folders(trial)[-1].name == f"checkpoint_{epochs - 1:06d}"
        assert json.loads((trial / "params.json").read_text())["ray"]["workers_per_trial"] == 2


def test_what_is_printed_is_printed_once(searched):
    """Rank 0 speaks for all; a trial that has lost a rank says so, and starts again."""
    lines = searched[1].splitlines()
    assert [sum(f"trial_00002: epoch {epoch}/4, " in line for line in lines) for epoch in (1, 2, 3)] == [1, 1, 0]
    (lost,) = [line for line in lines if "lost (" in line]
    assert re.match(r"trial_00002: lost \(rank [01]: ", lost)  # the other one loses its connection
    assert lost.endswith("); goes on from its last checkpoint")
    assert "trial_00001: stopped by ASHA after epoch 1" in lines
    assert not [line for line in lines if "Traceback" in line]
    assert "trial_00002: diverged after epoch 2" in lines


def test_nothing_of_ray_train_is_left(searched):
    assert not list(searched[0].glob(".checkpoint-*"))
