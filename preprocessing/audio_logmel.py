"""Clips -> <split>_audio_logmels.hdf5: one dataset (T, F) float32 a clip, on all cores or a cluster.

    python -m preprocessing.audio_logmel

If killed, it resumes when run again; the file is the same as that of an uninterrupted run.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tasks import Commands, command, load_run
from tasks.base import AudioRun
from tasks.stage_1 import add_ray_option, executor_for
from utils.artefact_utils import Clip, LogMelParts, LogMelSettings, read_clips_of
from utils.audio_utils import FrontEnd, LogMelStream, prepare, wave_blocks
from utils.cli_utils import check_free_disk, existing_folder, positive
from utils.cli_utils.repairs import make
from utils.data_utils import AudioDataSpec, making
from utils.data_utils.clip_writing import ClipArrays, Failure, first_clips, refuse_failures, write_clip_arrays
from utils.executors import Executor

SCRIPT = "preprocessing.audio_logmel"
# Seconds of sound per temporary file: a killed run loses at most this much work per process.
_PART_S = 600.0


@command
def main(argv: Sequence[str] | None = None) -> None:
    """Write <split>_audio_logmels.hdf5 for each split of the run's data set."""
    parser = argparse.ArgumentParser(prog=f"python -m {SCRIPT}", description=__doc__.splitlines()[0])
    parser.add_argument("--float16", action="store_true", help="half the disk; 3 digits instead of 7")
    parser.add_argument("--workers", type=positive, help="processes (default: all cores)")
    add_ray_option(parser)
    run, args = load_run(argv, parser, AudioRun)
    commands = Commands.of(args, run.script_of)
    data = run.data
    existing_folder(data.root, "data.root", "correct it")
    settings = LogMelSettings(data.front_end_numbers(), "float16" if args.float16 else "float32")
    splits = read_clips_of(data.audio_info, data.splits.names(), make("tables"))
    print(f"front-end {data.front_end.describe()}")
    seen = [data.root, *(data.root / clip.path for clip in first_clips(splits))]
    with making(data, "log-mels"), executor_for(run, args.ray, seen, args.workers) as executor:
        failures = [
            failure
            for split, clips in splits.items()
            for failure in write_log_mels(data, split, clips, settings, executor, made_by=commands.made_by(SCRIPT))
        ]
    refuse_failures(failures)
    print(f"next: {commands.following(run, SCRIPT)}")


def write_log_mels(
    data: AudioDataSpec,
    split: str,
    clips: Sequence[Clip],
    settings: LogMelSettings,
    executor: Executor,
    *,
    made_by: str,
) -> list[Failure]:
    """Write the features of one split.

    Args:
        data: the run's `data:` block.
        split: its name.
        clips: its clips, in the order of the file.
        settings: front-end and dtype.
        executor: what runs the work.
        made_by: the command that makes the file again.
    Returns:
        fid, name and reason of every clip that could not be decoded; then the features are not complete.
    Raises:
        UserError: the disk is too small.
    """
    arrays = ClipArrays(
        parts=LogMelParts(data.logmels(split), settings),
        failed=data.logmels_failed(split),
        blocks=partial(log_mel_blocks, data.root, data.front_end, data.max_duration_s),
        part_s=_PART_S,
        what="log-mels",
    )

    def ready(missing: Sequence[Clip]) -> None:
        _check_disk(arrays.parts.path, clips, missing, settings, data.front_end)
        prepare(data.front_end)

    return write_clip_arrays(arrays, split, clips, executor, made_by=made_by, prepare=ready)


def log_mel_blocks(root: Path, front_end: FrontEnd, block_s: float, clip: Clip) -> Iterator[NDArray[np.float32]]:
    """The clip's log-mels: one block (T, F), or several when it is longer than `block_s`."""
    stream = LogMelStream(front_end)
    waves = wave_blocks(root / clip.path, front_end.sample_rate_hz, block_s)
    if clip.duration_s <= block_s:
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
