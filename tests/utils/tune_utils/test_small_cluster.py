"""A cluster of three small nodes: what it does not have or see is told before anything starts."""

import pytest

from tasks import experiment_of
from tests.training import run_of
from utils.cli_utils import UserError
from utils.tune_utils import launch

pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def address():
    """A cluster on this machine, of three nodes with a processor each."""
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
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
