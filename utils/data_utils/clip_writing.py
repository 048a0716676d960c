"""Compute one array a clip of a split with several processes, in parts, so that a killed run can resume."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import as_completed
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from utils.artefact_utils import Clip, remove_table, write_rows
from utils.artefact_utils.clip_arrays import ClipArrayParts
from utils.cli_utils import UserError
from utils.cli_utils.repairs import make
from utils.data_utils.products import FAILED_COLUMNS, say_what_is_there
from utils.process_utils import worker_pool
from utils.report_utils import progress_bar

# fid, name and reason of a clip that could not be decoded.
Failure = tuple[str, str, str]


class ClipArrays(NamedTuple):
    """The arrays of a split that are to be written.

    Attributes:
        parts: of the file.
        failed: the list of the clips that could not be decoded.
        blocks: clip -> its array in blocks of rows; goes to other processes. It raises AudioError where the clip cannot
            be decoded.
        part_s: seconds of sound per temporary file: a killed run loses at most this much work per process.
        what: the arrays are, such as "log-mels".
    """

    parts: ClipArrayParts
    failed: Path
    blocks: Callable[[Clip], Iterator[NDArray[np.float32]]]
    part_s: float
    what: str


class ClipJob(NamedTuple):
    """The clips of one temporary file, and how their arrays are computed."""

    parts: ClipArrayParts
    clips: Sequence[Clip]
    blocks: Callable[[Clip], Iterator[NDArray[np.float32]]]


def write_clip_arrays(
    arrays: ClipArrays,
    split: str,
    clips: Sequence[Clip],
    workers: int,
    *,
    made_by: str,
    prepare: Callable[[Sequence[Clip]], None],
) -> list[Failure]:
    """Write the file of one split.

    Args:
        arrays: what to write.
        split: its name.
        clips: its clips, in the order of the file.
        workers: processes.
        made_by: the command that makes the file again.
        prepare: is called with the clips that are missing before any is computed, to check the disk and to load what
            forked processes inherit.
    Returns:
        The clips that could not be decoded; then the file is not written, but what the others need is saved.
    """
    parts = arrays.parts
    remove_table(arrays.failed, FAILED_COLUMNS)
    if parts.is_complete([clip.fid for clip in clips]):
        parts.remove_parts()
        print(f"{split}: {len(clips)} clips, reused {parts.path}")
        return []
    say_what_is_there(parts, split)
    finished = parts.finished()
    missing = [clip for clip in clips if clip.fid not in finished]
    if len(missing) < len(clips):
        print(f"{split}: {len(clips) - len(missing)} of {len(clips)} clips are on disk already")
    prepare(missing)
    jobs = [ClipJob(parts, group, arrays.blocks) for group in groups_of(missing, arrays.part_s)]
    failed = run_jobs(jobs, f"{split}: {arrays.what}", workers)
    if failed:
        names = {clip.fid: clip.fname for clip in clips}
        failures = [(fid, names[fid], reason) for fid, reason in failed]
        write_rows(arrays.failed, FAILED_COLUMNS, failures)
        print(f"{split}: {len(failures)} clips could not be decoded, see {arrays.failed}")
        return failures
    parts.assemble([clip.fid for clip in clips], made_by)
    print(f"{split}: {len(clips)} clips, wrote {parts.path} ({parts.path.stat().st_size / 1e6:.1f} MB)")
    return []


def refuse_failures(failures: Sequence[Failure]) -> None:
    """End a script whose splits hold clips that could not be decoded.

    Raises:
        UserError: there is one.
    """
    if failures:
        raise UserError(
            f"{len(failures)} clips could not be decoded, the first is {failures[0][1]}: {failures[0][2]}; the others' "
            f"features are saved; leave these clips out: {make('tables')}"
        )


def run_jobs(jobs: Sequence[ClipJob], label: str, workers: int, *, quiet: bool = False) -> list[tuple[str, str]]:
    """Compute the arrays of all jobs with `workers` processes; returns fid and reason of the clips that failed."""
    failed: list[tuple[str, str]] = []
    clips = sum(len(job.clips) for job in jobs)
    with progress_bar(clips, label, "clip", disable=quiet or not jobs) as bar:
        if workers <= 1:
            for job in jobs:
                failed += write_part(job)
                bar.update(len(job.clips))
            return failed
        with worker_pool(workers) as pool:
            running = {pool.submit(write_part, job): len(job.clips) for job in jobs}
            for future in as_completed(running):
                failed += future.result()
                bar.update(running[future])
    return failed


def write_part(job: ClipJob) -> list[tuple[str, str]]:
    """Write the arrays of some clips; returns fid and reason of those that could not be decoded."""
    clips = ((clip.fid, job.blocks(clip)) for clip in job.clips)
    return job.parts.write_part([clip.fid for clip in job.clips], clips)


def groups_of(clips: Sequence[Clip], part_s: float) -> list[list[Clip]]:
    """Cut the list of clips into groups of about `part_s` seconds, one temporary file each."""
    if not clips:
        return []
    group = np.cumsum([clip.duration_s for clip in clips]) // part_s  # (clips,)
    cuts = np.flatnonzero(np.diff(group)) + 1
    return [[clips[i] for i in rows] for rows in np.split(np.arange(len(clips)), cuts)]
