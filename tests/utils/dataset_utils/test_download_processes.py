"""Downloads that never end, are killed, meet a full disk or each other: no process and no file is left behind."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import time
from collections.abc import Iterator
from multiprocessing import get_context
from pathlib import Path

import pytest

from tests.loopback import tone
from tests.utils.dataset_utils.fetching import listed, names, reasons, settings
from utils.audio_utils import probe
from utils.audio_utils.decoding import ClipFacts
from utils.cli_utils import UserError
from utils.dataset_utils import one_download
from utils.dataset_utils.downloads import fetch_recordings


def _fetch_in_a_process(root: Path, url: str) -> None:
    fetch_recordings([listed(url)], settings(root), limit_s=300)


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_run_leaves_no_process_and_no_file_behind(tmp_path, server, sent):
    process = get_context("fork").Process(target=_fetch_in_a_process, args=(tmp_path, server.url("/drip.wav")))
    process.start()
    while server.requests["/drip.wav"] < 2:  # the second one is the download itself
        time.sleep(0.01)
    children = [int(pid) for pid in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]
    assert children
    os.kill(process.pid or 0, sent)
    process.join()
    while any(Path(f"/proc/{child}/stat").exists() for child in children):  # the test's time limit ends this
        time.sleep(0.01)
    assert not list((tmp_path / "audio").glob("*.flac"))
    found = fetch_recordings([listed(server.add("/whole.wav", tone(0.5)))], settings(tmp_path))
    assert set(found.there) == {"x1"}
    assert names(tmp_path) == {"x1.flac"}


def test_two_runs_at_a_time_are_refused(tmp_path, server):
    process = get_context("fork").Process(target=_fetch_in_a_process, args=(tmp_path, server.url("/drip.wav")))
    process.start()
    while not server.requests["/drip.wav"]:
        time.sleep(0.01)
    # locks are of a process: a thread of this one holds none
    with pytest.raises(UserError, match="is making the recordings here; wait for its end"):
        fetch_recordings([listed("http://127.0.0.1:9/x")], settings(tmp_path))
    process.kill()
    process.join()


def test_a_full_disk_ends_the_list_with_one_line(tmp_path, server, monkeypatch):
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(one_download, "probe", full)  # inherited by the process of the download
    with pytest.raises(UserError, match="the disk is full; free some space, then run again"):
        fetch_recordings([listed(server.add("/a.wav", tone(0.2)))], settings(tmp_path))
    assert names(tmp_path) == set()


def test_sections_that_were_written_stay_where_a_later_one_ends_the_process(tmp_path, server, monkeypatch):
    def killed(path: Path) -> ClipFacts:
        if "second" in path.name:
            os.kill(os.getpid(), signal.SIGKILL)
        return probe(path)

    monkeypatch.setattr(one_download, "probe", killed)
    url = server.add("/a.wav", tone(3.0))
    rows = [
        listed(url, name, start_s=start, end_s=start + 1) for start, name in enumerate(["first", "second", "third"])
    ]
    found = fetch_recordings(rows, settings(tmp_path))
    assert (set(found.there), reasons(found)) == ({"first"}, {"second": "other", "third": "other"})
    assert "ended with exit code -9" in found.failures[0].detail
    assert names(tmp_path) == {"first.flac"}
    monkeypatch.undo()
    again = fetch_recordings(rows, settings(tmp_path))
    assert (set(again.there), again.new) == ({"first", "second", "third"}, 2)


@pytest.mark.parametrize("installed", [True, False])
def test_a_disk_that_is_full_for_ffmpeg_alone(tmp_path, server, monkeypatch, installed):
    """ffmpeg 5 says so, and ends well: a recording without its end, or one that is no sound, would be left."""

    @contextlib.contextmanager
    def on_a_full_disk(path: Path) -> Iterator[Path]:
        yield Path("/dev/full")

    monkeypatch.setattr(one_download, "replacing", on_a_full_disk)
    if not installed:
        monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(UserError, match="the disk is full; free some space, then run again"):
        fetch_recordings([listed(server.add("/a.wav", tone(0.2)))], settings(tmp_path))
    assert names(tmp_path) == set()


def test_what_ffmpeg_writes_is_checked(tmp_path, server, monkeypatch):
    monkeypatch.setattr(one_download, "_arguments", lambda recording: ["-f", "data"])  # no audio at all
    found = fetch_recordings([listed(server.add("/a.wav", tone(0.2)))], settings(tmp_path))
    assert reasons(found) == {"x1": "other"}


@pytest.mark.parametrize(
    ("path", "limits", "detail"),
    [
        ("/mute.wav", {"silence_s": 0.2}, "timed out"),
        ("/drip.wav", {"limit_s": 0.5}, "not done after 0.5 s"),  # it is never silent
    ],
)
def test_what_never_ends_is_ended(tmp_path, server, path, limits, detail):
    silence = {key: value for key, value in limits.items() if key == "silence_s"}
    whole = {key: value for key, value in limits.items() if key == "limit_s"}
    found = fetch_recordings([listed(server.url(path))], settings(tmp_path, retries=0, **silence), **whole)
    assert reasons(found) == {"x1": "timed out"}
    assert detail in found.failures[0].detail
    assert names(tmp_path) == set()
