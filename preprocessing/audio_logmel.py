"""Clips -> <split>_audio_logmels.hdf5: one dataset (T, F) float32 a clip, on all cores.

    python -m preprocessing.audio_logmel

If killed, it resumes when run again; the file is the same as that of an uninterrupted run.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from concurrent.futures import as_completed
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tasks import Commands, command, load_run
from tasks.base import AudioRun
from utils.artefact_utils import Clip, LogMelParts, LogMelSettings, read_clips, remove_table, write_rows
from utils.audio_utils import FrontEnd, LogMelStream, prepare, wave_blocks
from utils.cli_utils import UserError, check_free_disk, existing_folder, positive
from utils.cli_utils.repairs import make
from utils.data_utils import AudioDataSpec, making, say_what_is_there
from utils.process_utils import all_cores, worker_pool
from utils.report_utils import progress_bar

SCRIPT = "preprocessing.audio_logmel"
# Seconds of sound per temporary file: a killed run loses at most this much work per process.
_PART_S = 600.0
_FAILED = ["fid", "fname", "reason"]


class LogMelJob(NamedTuple):
    """The clips of one temporary file, and what a process needs to compute their log-mels."""

    parts: LogMelParts
    clips: list[Clip]
    root: Path
    front_end: FrontEnd
    block_s: float


@command
def main(argv: Sequence[str] | None = None) -> None:
    """Write <split>_audio_logmels.hdf5 for each split of the run's data set."""
    parser = argparse.ArgumentParser(prog=f"python -m {SCRIPT}", description=__doc__.splitlines()[0])
    parser.add_argument("--float16", action="store_true", help="half the disk; 3 digits instead of 7")
    parser.add_argument("--workers", type=positive, default=all_cores(), help="processes (default: all cores)")
    run, args = load_run(argv, parser, AudioRun)
    commands = Commands.of(args, run.script_of)
    data = run.data
    existing_folder(data.root, "data.root", "correct it")
    settings = LogMelSettings(data.front_end_numbers(), "float16" if args.float16 else "float32")
    splits = {s: read_clips(data.audio_info, s, make("tables")) for s in data.splits.names()}
    print(f"front-end {data.front_end.describe()}")
    with making(data, "log-mels"):
        failures = [
            failure
            for split, clips in splits.items()
            for failure in write_log_mels(data, split, clips, settings, args.workers, made_by=commands.line(SCRIPT))
        ]
    if failures:
        raise UserError(
            f"{len(failures)} clips could not be decoded, the first is {failures[0][1]}: {failures[0][2]}; the others' "
            f"features are saved; leave these clips out: {make('tables')}"
        )
    print(f"next: {commands.following(run, SCRIPT)}")


def write_log_mels(
    data: AudioDataSpec, split: str, clips: Sequence[Clip], settings: LogMelSettings, workers: int, *, made_by: str
) -> list[tuple[str, str, str]]:
    """Write the features of one split.

    Args:
        data: the run's `data:` block.
        split: its name.
        clips: its clips, in the order of the file.
        settings: front-end and dtype.
        workers: processes.
        made_by: the command that makes the file again.
    Returns:
        fid, name and reason of every clip that could not be decoded; then the features are not complete.
    Raises:
        UserError: the disk is too small.
    """
    parts = LogMelParts(data.logmels(split), settings)
    failed_table = data.logmels_failed(split)
    remove_table(failed_table, _FAILED)
    if parts.is_complete([clip.fid for clip in clips]):
        parts.remove_parts()
        print(f"{split}: {len(clips)} clips, reused {parts.path}")
        return []
    say_what_is_there(parts, split)
    finished = parts.finished()
    missing = [clip for clip in clips if clip.fid not in finished]
    if len(missing) < len(clips):
        print(f"{split}: {len(clips) - len(missing)} of {len(clips)} clips are on disk already")
    _check_disk(parts.path, clips, missing, settings, data.front_end)
    jobs = [LogMelJob(parts, group, data.root, data.front_end, data.max_duration_s) for group in groups_of(missing)]
    failed = run_jobs(jobs, split, len(missing), workers)
    names = {clip.fid: clip.fname for clip in clips}
    failures = [(fid, names[fid], reason) for fid, reason in failed]
    if failures:
        write_rows(failed_table, _FAILED, failures)
        print(f"{split}: {len(failures)} clips could not be decoded, see {failed_table}")
        return failures
    parts.assemble([clip.fid for clip in clips], made_by)
    print(f"{split}: {len(clips)} clips, wrote {parts.path} ({parts.path.stat().st_size / 1e6:.1f} MB)")
    return []


def run_jobs(
    jobs: Sequence[LogMelJob], split: str, clips: int, workers: int, *, quiet: bool = False
) -> list[tuple[str, str]]:
    """Compute the log-mels of `clips` clips with `workers` processes; returns fid and reason of those that failed."""
    failed: list[tuple[str, str]] = []
    if jobs:
        prepare(jobs[0].front_end)
    with progress_bar(clips, f"{split}: log-mels", "clip", disable=quiet or not jobs) as bar:
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


def write_part(job: LogMelJob) -> list[tuple[str, str]]:
    """Write the features of some clips; returns fid and reason of those that could not be decoded."""
    clips = ((clip.fid, _log_mel_blocks(job, clip)) for clip in job.clips)
    return job.parts.write_part([clip.fid for clip in job.clips], clips)


def _log_mel_blocks(job: LogMelJob, clip: Clip) -> Iterator[NDArray[np.float32]]:
    """The clip's log-mels: one block (T, F), or several when it is longer than data.max_duration_s."""
    stream = LogMelStream(job.front_end)
    frames = []
    waves = wave_blocks(job.root / clip.path, job.front_end.sample_rate_hz, job.block_s)
    if clip.duration_s <= job.block_s:
        frames = [stream.push(wave) for wave in waves]
        yield np.concatenate([*frames, stream.finish()])
        return
    for wave in waves:
        block = stream.push(wave)
        if len(block):
            yield block
    last = stream.finish()
    if len(last):
        yield last


def groups_of(clips: Sequence[Clip]) -> list[list[Clip]]:
    """Cut the list of clips into groups of about 600 seconds, one temporary file each."""
    if not clips:
        return []
    group = np.cumsum([clip.duration_s for clip in clips]) // _PART_S  # (clips,)
    cuts = np.flatnonzero(np.diff(group)) + 1
    return [[clips[i] for i in rows] for rows in np.split(np.arange(len(clips)), cuts)]


def _check_disk(
    path: Path, clips: Sequence[Clip], missing: Sequence[Clip], settings: LogMelSettings, front_end: FrontEnd
) -> None:
    """Print the disk need of the parts still to be made and of the file they are assembled into.

    Raises:
        UserError: the disk has less.
    """
    frame_bytes = front_end.n_mels * np.dtype(settings.dtype).itemsize
    frames = sum(front_end.frames(clip.duration_s) for clip in [*clips, *missing])
    need = frames * frame_bytes + 1024 * (len(clips) + len(missing))
    print(f"{path.name}: needs {need / 1e6:.0f} MB while it is made")
    check_free_disk(path.parent, need, "data.features")


if __name__ == "__main__":
    main()
