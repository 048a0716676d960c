"""How many actors fit on which machines, and what is said of a machine that does not see our folders."""

import pytest

from utils.cli_utils import UserError
from utils.tune_utils import ActorShape, Stage1Cluster
from utils.tune_utils.resources import Machine
from utils.tune_utils.stage_1 import check_folders

CLUSTER = Stage1Cluster([Machine(16, 0), Machine(32, 4), Machine(24, 2)], local=False)


@pytest.mark.parametrize(
    ("shape", "most", "actors"),
    [
        (ActorShape(1), None, 72),
        (ActorShape(1), 5, 5),
        (ActorShape(10), None, 1 + 3 + 2),
        (ActorShape(8, 1), None, 4 + 2),
        (ActorShape(12, 1), None, 2 + 2),
    ],
)
def test_actors_are_as_many_as_the_machines_hold(shape, most, actors):
    assert CLUSTER.executor(shape, most) == (actors, shape, 3)


def test_an_encoder_has_a_gpu_and_its_share_of_the_processors():
    assert CLUSTER.executor_of_encoders(2, gpus=True) == (6, ActorShape(8, 1), 3)
    assert CLUSTER.describe(CLUSTER.executor_of_encoders(2, gpus=True)) == (
        "Ray on 3 machines: up to 6 processes of 1 GPU"
    )


def test_on_processors_an_encoder_has_the_threads_of_the_command():
    assert CLUSTER.executor_of_encoders(8, gpus=False) == (2 + 4 + 3, ActorShape(8, 0, 8), 3)
    small = Stage1Cluster([Machine(2, 0), Machine(4, 0)], local=False)
    assert small.executor_of_encoders(8, gpus=False) == (1, ActorShape(4, 0, 8), 3)  # slower, and the same bits
    assert not small.has_gpus


def test_a_process_that_fits_nowhere_is_refused():
    with pytest.raises(UserError, match="a process needs 40 processors and 0 GPUs, and none of the 3 machines has the"):
        CLUSTER.executor(ActorShape(40))


def test_a_machine_that_does_not_see_a_folder_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr("socket.gethostname", lambda: "node7")
    features, probe = tmp_path / "features", tmp_path / "features" / ".seen"
    features.mkdir()
    probe.write_text("mine")
    check_folders([tmp_path], probe, "mine")
    end = "; all machines of a cluster need the same folders under the same names: put them on a shared disk"
    for places, text, what in (
        ([tmp_path / "no.wav"], "mine", f"does not see {tmp_path / 'no.wav'}"),
        ([], "other", f"sees another folder as {features}"),
    ):
        with pytest.raises(UserError) as caught:
            check_folders(places, probe, text)
        assert str(caught.value) == f"machine node7 {what}{end}"
    with pytest.raises(UserError, match=rf"does not see {tmp_path / 'none'}"):
        check_folders([], tmp_path / "none" / ".seen", "mine")
    monkeypatch.setattr("tempfile.TemporaryFile", refuse)
    with pytest.raises(UserError, match=rf"cannot write into {features} as user \d+ \(read-only file system\)"):
        check_folders([], probe, "mine")


def refuse(dir):
    raise OSError(30, "Read-only file system")
