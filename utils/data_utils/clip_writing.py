"""Compute one array a clip of a split with an executor, in parts, so that a killed run can resume."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from utils.artefact_utils import Clip, remove_table, write_rows
from utils.artefact_utils.clip_arrays import ClipArrayParts
from utils.cli_utils import UserError
from utils.cli_utils.repairs import make
from utils.data_utils.products import FAILED_COLUMNS, say_what_is_there
from utils.executors import Advance, Executor, Failed, run_chunks

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


class ClipWork(NamedTuple):
    """Writes the temporary file of some clips."""

    parts: ClipArrayParts
    blocks: Callable[[Clip], Iterator[NDArray[np.float32]]]

    def __call__(self, chunk: Sequence[Clip], advance: Advance) -> list[Failed]:
        """Write the arrays of these clips; returns those that could not be decoded."""
        arrays = ((clip.fid, self.blocks(clip)) for clip in chunk)
        failed = self.parts.write_part([clip.fid for clip in chunk], arrays)
        advance(len(chunk))
        return failed


def write_clip_arrays(
    arrays: ClipArrays,
    split: str,
    clips: Sequence[Clip],
    executor: Executor,
    *,
    made_by: str,
    prepare: Callable[[Sequence[Clip]], None],
) -> list[Failure]:
    """Write the file of one split.

    Args:
        arrays: what to write.
        split: its name.
        clips: its clips, in the order of the file.
        executor: what runs the work.
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
    work, chunks = ClipWork(parts, arrays.blocks), groups_of(missing, arrays.part_s)
    reasons = dict(run_chunks(executor, work, chunks, f"{split}: {arrays.what}"))
    if reasons:
        failures = [(clip.fid, clip.fname, reasons[clip.fid]) for clip in clips if clip.fid in reasons]
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


def first_clips(splits: Mapping[str, Sequence[Clip]]) -> list[Clip]:
    """A clip of each split, whose files show whether a machine sees the recordings."""
    return [clips[0] for clips in splits.values() if clips]


def groups_of(clips: Sequence[Clip], part_s: float) -> list[list[Clip]]:
    """Cut the list of clips into groups of about `part_s` seconds, one temporary file each."""
    if not clips:
        return []
    group = np.cumsum([clip.duration_s for clip in clips]) // part_s  # (clips,)
    cuts = np.flatnonzero(np.diff(group)) + 1
    return [[clips[i] for i in rows] for rows in np.split(np.arange(len(clips)), cuts)]
