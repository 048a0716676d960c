"""Work on chunks, here and in processes: the same files and failures, whatever runs it; what is held is loaded once."""

import pickle

import pytest

from tests.ray_cluster import PlantedWork
from utils.executors import Held, Processes, run_chunks

CHUNKS = [["a", "b"], ["bad c"], ["d", "e", "f"]]
LOADED = []


def load():
    LOADED.append(1)
    return [len(LOADED)]


@pytest.mark.parametrize("workers", [1, 2])
def test_every_chunk_is_written_and_counted(workers, tmp_path, capsys):
    assert run_chunks(Processes(workers), PlantedWork(tmp_path), CHUNKS, "here") == [("bad c", "is bad")]
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {c[0]: " ".join(c) for c in CHUNKS}
    error = capsys.readouterr().err
    assert "here: 100%" in error
    assert "6/6" in error
    assert "clip/s" in error


def test_nothing_to_do_shows_nothing(tmp_path, capsys):
    assert run_chunks(Processes(2), PlantedWork(tmp_path), [], "here") == []
    assert capsys.readouterr().err == ""


def test_what_is_held_is_loaded_once_in_each_process():
    LOADED.clear()
    held = Held(load)
    assert held() is held()
    other = pickle.loads(pickle.dumps(held))  # noqa: S301 - written here
    assert other() == [2]
    assert Held(load, "given")() == "given"
    assert pickle.loads(pickle.dumps(Held(load, "given")))() == [3]  # noqa: S301
