"""A cluster of three small nodes: what it lacks is told before anything starts; a trial goes on when one dies."""

import contextlib
import io
import itertools
import os
import signal
import time

import pytest

from tasks import experiment_of, parse_run
from tests.training import run_of
from utils.cli_utils import UserError
from utils.model_utils import Fit
from utils.model_utils.trials import read_end, read_history
from utils.tune_utils import launch

pytestmark = pytest.mark.timeout(900)


def fit_on_a_node_that_dies(mapping):
    """The run of the settings; in epoch 2 the first rank that is not on the head node kills its node, once."""
    run = parse_run(mapping, "params.json")
    task = run.build()
    metrics, epochs, killed = task.metrics, itertools.count(1), run.output_root / "killed"
    head = is_head()

    def planted_metrics(outputs):
        if next(epochs) == 2 and not head:
            with contextlib.suppress(FileExistsError):
                killed.touch(exist_ok=False)
                os.kill(os.getppid(), signal.SIGKILL)  # the raylet: to the cluster the machine is gone
                time.sleep(600)  # this process ends too once it notices
        return metrics(outputs)

    task.metrics = planted_metrics
    return Fit(task, run.training, run.optimizer, run.lr_scheduler)


def is_head():
    """Whether this process is on the head node."""
    import ray

    here = ray.get_runtime_context().get_node_id()
    return any("node:__internal_head__" in node["Resources"] for node in ray.nodes() if node["NodeID"] == here)


@pytest.fixture(scope="module")
def address():
    """A cluster on this machine, of three nodes with a processor each."""
    from ray.cluster_utils import Cluster

    # a node that does not answer is dead after ten seconds, not half a minute
    quick = {
        "health_check_initial_delay_ms": 1000,
        "health_check_period_ms": 1000,
        "health_check_failure_threshold": 10,
    }
    cluster = Cluster(
        initialize_head=True,
        head_node_args={"num_cpus": 1, "include_dashboard": False, "_system_config": quick},
    )
    try:
        for _ in range(2):
            cluster.add_node(num_cpus=1)
        yield cluster.address
    finally:
        cluster.shutdown()


@pytest.fixture
def run(request, address, tmp_path):
    settings = [f"address: '{address}'", "workers_per_trial: 2", "max_failures: 1", "scheduler: fifo"]
    made = request.getfixturevalue("_made")
    return run_of(made, f"ray={{{', '.join(settings)}}}", "training.epochs=3", f"output_root={tmp_path / 'runs'}")


def test_what_a_node_does_not_see_or_the_cluster_does_not_have_is_told_before_anything_starts(run, tmp_path):
    experiment = experiment_of(run, run.build())
    missing = tmp_path / "models" / "encoder"
    with pytest.raises(UserError, match=rf"ray\.address: machine \S+ does not see {missing}; all machines of a clust"):
        launch(experiment._replace(paths=[missing]), None, resume=False, fresh=False)
    four = experiment._replace(ray=run.ray.model_copy(update={"workers_per_trial": 4}), folder=tmp_path / "four")
    with pytest.raises(UserError, match=r"ray\.workers_per_trial: 4 ranks, .* but there is room for 3; lower"):
        launch(four, None, resume=False, fresh=False)


def test_a_trial_goes_on_when_a_node_dies(run):
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        assert launch(experiment_of(run, run.build()), fit_on_a_node_that_dies, resume=False, fresh=True), (
            out.getvalue()
        )
    trial = run.folder / "trial_00000"
    assert (run.output_root / "killed").exists()
    assert read_end(trial).reason == "finished"
    assert [row["epoch"] for row in read_history(trial)] == [1, 2, 3]
    assert sum("trial_00000: lost (" in line for line in out.getvalue().splitlines()) == 1
