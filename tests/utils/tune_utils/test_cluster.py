"""Where Ray is started or reached, and what is said when it is not."""

import functools
import os
import re
import shutil
import socket
import sys
import tempfile
from pathlib import Path

import pytest
from ray._private import services

from tests.conftest import StartedError
from utils.cli_utils import UserError
from utils.tune_utils import RaySpec, cluster, scratch
from utils.tune_utils.running_ray import running_ray

ROOT = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch):
    for name in ("RAY_TMPDIR", "TMPDIR", "RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH", "PYTHONPATH"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def short():
    """A folder short enough for sockets."""
    folder = Path(tempfile.mkdtemp(prefix="r", dir="/tmp"))
    yield folder
    shutil.rmtree(folder)


def start(address=None):
    with running_ray(RaySpec(address=address), Path("runs").absolute()):
        pass


@pytest.mark.parametrize("address", [None, "auto", "10.0.0.1:6379"])
def test_a_running_cluster_is_left_alone_unless_it_is_named(address, started, monkeypatch):
    monkeypatch.setattr(socket, "create_connection", lambda address, timeout: socket.socket())
    monkeypatch.setattr(cluster, "_refuses", lambda host, port: False)
    monkeypatch.setattr(services, "canonicalize_bootstrap_address", lambda address: "10.0.0.2:6379")
    with pytest.raises(StartedError):
        start(address)
    assert started["address"] == (address or "local")
    assert ("include_dashboard" in started) is (address is None)


def test_auto_without_a_cluster_is_the_users_to_repair(started, monkeypatch):
    monkeypatch.setattr(services, "find_gcs_addresses", functools.lru_cache(set))
    monkeypatch.setattr(services, "find_bootstrap_address", lambda folder: None)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    with pytest.raises(UserError, match=r"^ray\.address: no Ray cluster can be reached at auto: .*start it"):
        start("auto")
    assert not started


def test_workers_find_the_project_and_the_environment_is_as_before(started, monkeypatch):
    seen = {}
    import ray

    monkeypatch.setattr(ray, "init", lambda **keys: seen.update(keys, path=os.environ["PYTHONPATH"]))
    monkeypatch.setattr(ray, "nodes", lambda: [{"Alive": True, "Resources": {"CPU": 1}}])
    monkeypatch.setenv("PYTHONPATH", "/mine")
    start()
    assert seen["path"] == f"{ROOT}{os.pathsep}/mine"
    assert seen["job_config"]._py_driver_sys_path == [str(ROOT)]
    assert os.environ["PYTHONPATH"] == "/mine"
    assert "RAY_CHDIR_TO_TRIAL_DIR" not in os.environ


@pytest.mark.parametrize(
    ("interpreter", "environment"),
    [("/plain/bin/python", None), ("/a b/bin/python", {"py_executable": "'/a b/bin/python'"})],
)
def test_a_blank_in_the_path_of_the_interpreter_is_quoted(interpreter, environment, started, monkeypatch):
    monkeypatch.setattr(sys, "executable", interpreter)
    with pytest.raises(StartedError):
        start()
    assert started.get("runtime_env") == environment


def test_a_blank_in_the_path_of_the_interpreter_of_a_node_is_told(monkeypatch):
    import ray

    class Looking:
        def options(self, **_):
            return self

        def remote(self, *_):
            return "look"

    monkeypatch.setattr(ray, "remote", lambda function: Looking())
    monkeypatch.setattr(ray, "wait", lambda looking, **_: (looking, []))
    monkeypatch.setattr(ray, "get", lambda look: "/a b/bin/python")
    with pytest.raises(UserError) as caught:
        cluster._check_nodes([{"NodeID": "0" * 56, "NodeManagerAddress": "10.0.0.2"}], Path("/x"))
    assert str(caught.value) == (
        "ray.address: the Python of machine 10.0.0.2 is '/a b/bin/python': Ray cannot start trials by a path with "
        "blanks or signs; start Ray there from another folder"
    )
    monkeypatch.setattr(ray, "wait", lambda looking, **_: ([], looking))
    with pytest.raises(
        UserError, match=r"machine 10\.0\.0\.2 has started no worker for 120 s: its Python or Ray may be"
    ):
        cluster._check_nodes([{"NodeID": "0" * 56, "NodeManagerAddress": "10.0.0.2"}], Path("/x"))


@pytest.mark.parametrize("name", ["TMPDIR", "RAY_TMPDIR"])
def test_a_folder_that_is_too_long_gives_way_to_a_shorter_one(name, started, monkeypatch, capsys, tmp_path):
    long = tmp_path / ("d" * 90)
    long.mkdir()
    monkeypatch.setenv(name, str(long))
    with pytest.raises(StartedError):
        start()
    assert re.fullmatch(r"/tmp/ray-\w{8}", started["_temp_dir"])
    size = len(str(long))
    line = rf"{name} {re.escape(str(long))}: {size} bytes, and Ray's sockets leave room for 30; Ray uses /tmp\n"
    assert re.fullmatch(line, capsys.readouterr().out)


def test_a_folder_that_can_be_used_is_used(started, monkeypatch, capsys, short):
    monkeypatch.setenv("TMPDIR", str(short))
    with pytest.raises(StartedError):
        start()
    assert Path(started["_temp_dir"]).parent == short
    assert capsys.readouterr().out == ""
    assert list(short.iterdir()) == []  # it is removed, though Ray did not start


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda path: None, "no such folder"),
        (lambda path: path.write_text(""), "no such folder"),
    ],
)
def test_a_folder_that_cannot_be_used_is_named(make, reason, started, monkeypatch, capsys, short):
    folder = short / "x"
    make(folder)
    monkeypatch.setenv("RAY_TMPDIR", str(folder))
    with pytest.raises(StartedError):
        start()
    assert capsys.readouterr().out == f"RAY_TMPDIR {folder}: {reason}; Ray uses /tmp\n"


def test_no_folder_at_all_is_told(started, monkeypatch):
    monkeypatch.setenv("TMPDIR", "/tmp/x")
    monkeypatch.setattr(scratch, "_why_unusable", lambda folder: "no space left on device")
    with pytest.raises(UserError) as caught:
        start()
    assert str(caught.value) == (
        "no folder for Ray: TMPDIR /tmp/x: no space left on device; default /tmp: no space left on device; "
        "name a short, writable one: export RAY_TMPDIR=DIR"
    )
    assert started == {}


def test_a_ray_of_our_own_takes_little_shared_memory_and_leaves_no_token(started, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(StartedError):
        start()
    assert started["object_store_memory"] == 128 * 2**20
    assert list(tmp_path.iterdir()) == []
    assert "RAY_AUTH_TOKEN" not in os.environ


def test_a_local_ray_that_does_not_start_is_not_blamed_on_the_address_and_its_logs_stay(monkeypatch, tmp_path):
    import ray

    def fail(**keys):
        logs = Path(keys["_temp_dir"]) / "session_latest" / "logs"
        logs.mkdir(parents=True)
        (logs / "raylet.err").write_text("why")
        raise RuntimeError("the raylet died\n  of something")

    monkeypatch.setattr(ray, "init", fail)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError) as caught:
        start()
    logs = tmp_path / "runs" / "ray_logs"
    assert str(caught.value).startswith(
        f"Ray cannot be started on this machine: the raylet died of something; its logs: {logs}; "
    )
    assert (logs / "raylet.err").read_text() == "why"
    assert "ray.address" not in str(caught.value)


def test_a_cluster_that_does_not_answer_is_told_at_once():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # nobody listens there
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(UserError, match=rf"ray\.address: no Ray cluster can be reached at {address}: .*start it"):
            start(address)


def test_what_listens_and_is_no_cluster_is_told(monkeypatch):
    monkeypatch.setattr(cluster, "_ANSWER_S", 0.5)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(UserError, match=rf"ray\.address: what answers at {address} is no Ray cluster; `ray start"):
            start(address)


def test_a_cluster_that_was_noted_and_is_gone_is_told(monkeypatch):
    from ray._private import services

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        noted = f"127.0.0.1:{taken.getsockname()[1]}"
        monkeypatch.setattr(services, "canonicalize_bootstrap_address", lambda address: noted)
        with pytest.raises(
            UserError, match=r"ray\.address: no Ray cluster can be reached at auto: .*start it \(ray st"
        ):
            start("auto")


@pytest.mark.parametrize(
    ("address", "found"),
    [("10.0.0.1:6379", ("10.0.0.1", 6379)), ("[::1]:6379", ("::1", 6379)), ("head", None)],
)
def test_addresses(address, found):
    assert cluster._host_and_port(address) == found


def test_the_sockets_of_the_longest_folder_fit():
    from ray._private.utils import validate_socket_filepath

    folder = "/" + "d" * (scratch._MAX_FOLDER_BYTES - 1)
    session = f"session_2026-01-01_00-00-00_000000_{sys.maxsize % 10**7:07d}"
    validate_socket_filepath(f"{folder}/{session}/sockets/plasma_store")
    with pytest.raises(OSError, match="AF_UNIX path length"):
        validate_socket_filepath(f"{folder}d/{session}/sockets/plasma_store")
