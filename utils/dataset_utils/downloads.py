"""Fetch the recordings of a list, several at a time, each in a process that can be ended; again only what is missing.

audio/<id>.flac is complete or absent; archive.csv lists those that are there, with the address that each came from.
"""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import signal
import time
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing
from http.cookiejar import LoadError
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import NamedTuple

from utils.artefact_utils.atomic import remove_leftovers
from utils.artefact_utils.files import check_is_file, reading_bytes
from utils.artefact_utils.locks import one_at_a_time
from utils.cli_utils import UserError, disk_error_reason
from utils.dataset_utils.archive import Archive
from utils.dataset_utils.download_failures import Failure, Reason, disk_error, failure_of
from utils.dataset_utils.one_download import Fetched, FetchSettings, fetch_sections, load_downloader
from utils.dataset_utils.video_list import ListedRecording
from utils.process_utils import start_worker
from utils.report_utils import progress_bar

_SCRATCH = ".fetching"  # in audio/: what is being downloaded, a folder for each recording


class Outcome(NamedTuple):
    """What became of a list.

    Attributes:
        there: by id; also those of earlier runs.
        new: number of those that this run fetched.
        failures: in the order of the list.
    """

    there: dict[str, Fetched]
    new: int
    failures: list[Failure]


class _Running(NamedTuple):
    sections: Sequence[ListedRecording]  # of one address or file
    process: BaseProcess
    left: dict[str, ListedRecording]  # that it has not reported
    deadline_s: float  # of time.monotonic, for the next report


def fetch_recordings(
    recordings: Sequence[ListedRecording], settings: FetchSettings, workers: int = 4, limit_s: float = 900.0
) -> Outcome:
    """Fetch what is not there; whole local files are left as they are, and are not in the outcome.

    Args:
        recordings: of `read_recordings`.
        settings: how each is fetched.
        workers: recordings at a time.
        limit_s: for one recording, with its retries; after it, its process is ended.
    Raises:
        UserError: another process fetches into this folder, the archive is broken, or the disk refuses.
    """
    wanted = [recording for recording in recordings if not recording.is_local]
    if not wanted:  # a folder of files may be read-only
        return Outcome({}, 0, [])
    audio = settings.root / "audio"
    audio.mkdir(parents=True, exist_ok=True)
    there: dict[str, Fetched] = {}
    failures: dict[str, Failure] = {}
    with one_at_a_time(settings.root, "recordings"):
        archive = Archive(settings)
        missing = []
        for recording in wanted:
            known = archive.find(recording)
            if known is None:
                missing.append(recording)
            elif settings.max_duration_s is not None and known.duration_s > settings.max_duration_s + 0.05:
                reason = f"{known.duration_s:.1f} s, more than {settings.max_duration_s:g} s"
                failures[known.id] = _failure(recording, ("too long", reason))
            else:
                there[known.id] = known
        if missing:
            load_downloader()
        bar = progress_bar(len(missing), "fetching", "recording", disable=not missing)
        with bar, _scratch_of(audio), closing(_fetched(missing, settings, workers, limit_s)) as results:
            for result in results:
                if isinstance(result, Failure):
                    failures[result.id] = result
                else:
                    archive.add(result)
                    there[result.id] = result
                bar.update()
                bar.set_postfix(failed=len(failures), refresh=False)
    new = sum(recording.id in there for recording in missing)
    return Outcome(there, new, [failures[recording.id] for recording in recordings if recording.id in failures])


@contextlib.contextmanager
def _scratch_of(audio: Path) -> Iterator[None]:
    """Without what a killed run left, and gone when the block ends, however it does."""
    shutil.rmtree(audio / _SCRATCH, ignore_errors=True)
    try:
        yield
    finally:
        shutil.rmtree(audio / _SCRATCH, ignore_errors=True)


def read_cookies(path: Path) -> str:
    """The cookies of a file, as text in Netscape's format; how many lines are not understood is printed.

    Raises:
        UserError: no such file, or not in Netscape's format, or without a cookie.
    """
    from yt_dlp.cookies import YoutubeDLCookieJar

    check_is_file(path, "export the cookies of a browser to it, in Netscape's format")
    with reading_bytes(path):
        content = path.read_bytes()
    jar, said, text = YoutubeDLCookieJar(), io.StringIO(), io.StringIO()
    with contextlib.suppress(LoadError, ValueError), contextlib.redirect_stderr(said):
        jar.load(io.StringIO(content.decode()))
    if not len(jar):
        raise UserError(
            f"{path}: not a cookies file in Netscape's format, with tabs between its fields; export the cookies again"
        )
    # yt-dlp prints such lines, which are secret, and would once more for each recording
    if unknown := said.getvalue().count("skipping cookie file entry"):
        print(f"{path}: {unknown} lines are no cookies, and not used")
    jar.save(text)
    return text.getvalue()


def _fetched(
    missing: Iterable[ListedRecording], settings: FetchSettings, workers: int, limit_s: float
) -> Generator[Fetched | Failure]:
    """Fetch recordings, and yield each when it is done; processes that still run when this is closed are ended."""
    sources: dict[str, list[ListedRecording]] = {}
    for recording in missing:
        sources.setdefault(recording.recording, []).append(recording)
    waiting = deque(sources.values())
    running: dict[Connection, _Running] = {}
    try:
        while waiting or running:
            while waiting and len(running) < workers:
                _start(waiting.popleft(), settings, limit_s, running)
            next_s = min(each.deadline_s for each in running.values()) - time.monotonic()
            done = [each for each in wait(list(running), max(0.0, next_s)) if isinstance(each, Connection)]
            late = [c for c, each in running.items() if c not in done and each.deadline_s <= time.monotonic()]
            for connection in done:
                yield from _received(connection, settings, limit_s, running)
            for connection in late:
                each = running.pop(connection)
                _end(each)
                _tidy_up(connection, each, settings)
                yield from _failures(each, ("timed out", f"not done after {limit_s:g} s"))
    finally:
        for connection, each in running.items():
            _end(each)
            _tidy_up(connection, each, settings)


def _start(
    sections: Sequence[ListedRecording], settings: FetchSettings, limit_s: float, running: dict[Connection, _Running]
) -> None:
    context = get_context("fork")
    reader, writer = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(writer, sections, settings), daemon=True)
    process.start()
    writer.close()  # the end of the process is then the end of the pipe
    left = {recording.id: recording for recording in sections}
    running[reader] = _Running(sections, process, left, time.monotonic() + limit_s)


def _work(writer: Connection, sections: Sequence[ListedRecording], settings: FetchSettings) -> None:
    """Fetch one address in a process of its own, the head of a group: an ffmpeg that it starts ends with it."""
    os.setpgid(0, 0)
    start_worker()
    scratch = _scratch(sections[0], settings)

    def report(recording: ListedRecording, result: Fetched | Exception) -> None:
        if isinstance(result, Exception):
            writer.send(disk_error(result) or _failure(recording, failure_of(result)))
        else:
            writer.send(result)

    try:
        scratch.mkdir(parents=True)
    except OSError as error:
        report(sections[0], error)
    else:
        fetch_sections(sections, settings, scratch, report)


def _received(
    connection: Connection, settings: FetchSettings, limit_s: float, running: dict[Connection, _Running]
) -> Iterator[Fetched | Failure]:
    """What a process has reported; the others of its sections, if it has ended.

    Raises:
        UserError: the disk refuses to be written to.
    """
    each = running[connection]
    try:
        result: Fetched | Failure | OSError = connection.recv()
    except EOFError:
        del running[connection]
        each.process.join()
        _tidy_up(connection, each, settings)
        detail = f"its process ended with exit code {each.process.exitcode}, perhaps because memory ran out"
        yield from _failures(each, ("other", detail))
        return
    if isinstance(result, OSError):
        raise UserError(f"{settings.root}: {disk_error_reason(result) or result}, then run again")
    del each.left[result.id]
    running[connection] = each._replace(deadline_s=time.monotonic() + limit_s)
    yield result


def _end(each: _Running) -> None:
    """End a process with all that it started."""
    if each.process.pid is not None:
        with contextlib.suppress(ProcessLookupError):  # it ended meanwhile, or heads no group yet
            os.killpg(each.process.pid, signal.SIGKILL)
    each.process.kill()
    each.process.join()


def _tidy_up(connection: Connection, each: _Running, settings: FetchSettings) -> None:
    """Remove what an ended process was writing."""
    connection.close()
    shutil.rmtree(_scratch(each.sections[0], settings), ignore_errors=True)
    for recording in each.sections:
        remove_leftovers(settings.file(recording.id))


def _failures(each: _Running, why: tuple[Reason, str]) -> list[Failure]:
    return [_failure(recording, why) for recording in each.left.values()]


def _scratch(recording: ListedRecording, settings: FetchSettings) -> Path:
    return settings.root / "audio" / _SCRATCH / recording.id


def _failure(recording: ListedRecording, why: tuple[Reason, str]) -> Failure:
    return Failure(recording.id, recording.category, recording.url or recording.path, *why)
