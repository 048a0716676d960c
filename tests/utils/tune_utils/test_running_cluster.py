"""Trials on a running cluster: a head and a second node, started elsewhere, that asks for its token."""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from tests import tiny
from utils.cli_utils import UserError
from utils.tune_utils import RaySpec
from utils.tune_utils.running_ray import running_ray

ROOT = Path(__file__).parents[3]


def free_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


@contextlib.contextmanager
def started(arguments, folder, environment):
    """`ray start` in a folder of its own; it and what it started are killed at the end."""
    folder.mkdir()
    command = [str(Path(sys.executable).with_name("ray")), "start", "--block", "--num-cpus=1", *arguments]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        stop = time.monotonic() + 120
        while "Ray runtime started" not in (folder / "log").read_text():
            assert process.poll() is None, (folder / "log").read_text()
            assert time.monotonic() < stop
            time.sleep(0.1)
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(timeout=60)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """(address, environment) of a cluster of two nodes with a processor each."""
    folder = Path(tempfile.mkdtemp(prefix="r", dir="/tmp"))  # Ray's sockets need a short path
    token = folder / "home" / ".ray" / "auth_token"
    token.parent.mkdir(parents=True)
    token.write_text("0123456789abcdef" * 4)
    environment = {key: value for key, value in os.environ.items() if not key.startswith("RAY_")}
    environment |= {"HOME": str(folder / "home"), "RAY_TMPDIR": str(folder)}
    port = free_port()
    try:
        head = ["--head", f"--port={port}", "--node-ip-address=127.0.0.1", "--include-dashboard=false"]
        with (
            started(head, folder / "head", environment),
            started([f"--address=127.0.0.1:{port}"], folder / "node", environment | {"RAY_AUTH_MODE": "token"}),
        ):
            yield f"127.0.0.1:{port}", environment
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def project(request, tmp_path_factory):
    """A folder whose conf.yaml has relative paths alone."""
    made, folder = request.getfixturevalue("_made"), tmp_path_factory.mktemp("project")
    for name in ("corpus", "features"):
        shutil.copytree(made / name, folder / name)
    settings = tiny.conf(made)
    settings["output_root"] = "runs"
    settings["data"] |= {"root": "corpus", "features": "features"}
    settings["search"] = {"optimizer.lr": {"grid": [0.001, 0.01]}}
    tiny.write_conf(folder, settings)
    return folder


def train(project, environment, *settings):
    arguments = [part for setting in settings for part in ("--set", setting)]
    return subprocess.run(
        [sys.executable, str(ROOT / "main.py"), *arguments],
        cwd=project,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=250,
    )


@pytest.mark.timeout(600)
@pytest.mark.parametrize("by", ["auto", "HOST:PORT"])
def test_trials_run_on_a_cluster_that_was_started_elsewhere(by, cluster, project):
    address, environment = cluster
    experiment = "auto" if by == "auto" else "port"
    address = by if by == "auto" else address
    done = train(project, environment, f"ray.address={address}", f"experiment={experiment}")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    folder = project / "runs" / experiment
    for number in range(2):
        params = json.loads((folder / f"trial_{number:05d}" / "params.json").read_text())
        assert (params["output_root"], params["data"]["root"], params["data"]["features"]) == (
            "runs",
            "corpus",
            "features",
        )
        assert (folder / f"trial_{number:05d}" / "progress.csv").read_text().count("\n") == 3
    assert f"best trial: runs/{experiment}/trial_0000" in done.stdout


@pytest.mark.timeout(600)
def test_a_trial_that_fits_on_no_node_is_refused(cluster, project):
    address, environment = cluster
    done = train(project, environment, f"ray.address={address}", "experiment=large", "ray.cpus_per_trial=2")
    assert done.returncode == 2, done.stdout + done.stderr
    line = "error: ray.cpus_per_trial: 2, but there are 1 on any one of 2 machines; lower it, or join a cluster"
    assert done.stderr.splitlines()[-1] == line


@pytest.mark.timeout(600)
def test_a_missing_or_wrong_token_is_told_at_once(cluster, tmp_path, monkeypatch):
    address, _ = cluster
    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH", "HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    for more in ({}, {"RAY_AUTH_MODE": "token"}, {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "another"}):
        for name, value in more.items():
            monkeypatch.setenv(name, value)
        with pytest.raises(UserError) as caught, running_ray(RaySpec(address=address), tmp_path):
            pass
        line = str(caught.value)
        assert line.startswith(f"ray.address: the cluster at {address} requires its token: copy ~/.ray/auth_token of")
        assert "RAY_AUTH_TOKEN_PATH=FILE or RAY_AUTH_TOKEN=TEXT, with RAY_AUTH_MODE=token" in line
