"""What an actor of stage 1 returns, and what the command makes of it; actors that run: test_stage_1_on_ray.py."""

from pathlib import Path

import pytest
import ray

from tests.ray_cluster import PlantedWork
from utils.cli_utils import UserError
from utils.process_utils import WorkerError
from utils.tune_utils import ActorShape
from utils.tune_utils.chunk_actors import ChunkActors, _ChunkActor, _packed, _Start, _unpacked, tries_class


@pytest.fixture
def returned(monkeypatch, tmp_path):
    """An actor's answer to a chunk that was begun before so often, without a Ray."""

    class Begin:
        def __init__(self, tries):
            self._tries = tries

        def remote(self, number):
            return self._tries.begin(number)

    class Handle:
        def __init__(self):
            self.begin = Begin(tries_class()())

    monkeypatch.setattr(ray, "get", lambda answer: answer)

    def answer(chunk, begun=0, driver="elsewhere"):
        handle = Handle()
        for _ in range(begun):
            handle.begin.remote(7)
        start = _Start(_packed(PlantedWork(tmp_path)), Path.cwd(), 1, handle, 3, driver)
        batch = _ChunkActor(start)({"number": [7], "chunk": [_packed(chunk)]})
        assert batch["number"] == [7]
        return _unpacked(batch["outcome"][0])

    return answer


def test_an_actor_writes_the_file_and_returns_failures_alone(returned, tmp_path):
    assert returned(["a", "bad b"], begun=2) == [("bad b", "is bad")]
    assert (tmp_path / "a").read_text() == "a bad b"


def test_a_chunk_on_which_three_have_died_is_not_begun_again(returned, monkeypatch):
    monkeypatch.setattr("socket.gethostname", lambda: "here")
    error = returned(["a", "b"], begun=3, driver="here")
    assert isinstance(error, UserError)
    assert str(error).startswith(
        "3 processes in turn have died on the same 2 files, the first is a: a file that breaks"
    )
    assert str(returned(["a"], begun=3)).startswith("machine here: 3 processes in turn")


def test_an_error_of_the_work_is_sent_and_raised_by_the_command(returned, monkeypatch):
    error = returned(["broken"])
    assert isinstance(error, WorkerError)  # its own class cannot be unpickled
    assert str(error) == "PlantedError: broken 3"
    assert "in a process of Ray on" in error.__notes__[0]
    assert "in __call__" in error.__notes__[0]

    class Outcomes:
        def iter_batches(self, batch_size):
            yield {"number": [1], "outcome": [_packed([("x", "is bad")])]}
            yield {"number": [0], "outcome": [_packed(error)]}

    monkeypatch.setattr(ChunkActors, "_dataset", lambda *_: Outcomes())
    counted = []
    failures = ChunkActors(2, ActorShape(1))(PlantedWork(Path()), [["a"], ["x", "y"]], counted.append)
    assert next(failures) == [("x", "is bad")]
    with pytest.raises(WorkerError, match="PlantedError: broken 3"):
        next(failures)
    assert counted == [2]
