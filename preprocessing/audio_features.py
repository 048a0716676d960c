"""Clips -> <split>_audio_features.hdf5: FMA's 518 hand-crafted features of each, on all cores or a cluster.

    python -m preprocessing.audio_features --conf tasks/music_autoencoder.yaml

If killed, it resumes when run again; the file is the same as that of an uninterrupted run.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from functools import partial

from tasks import Commands, command, load_run
from tasks.base import AudioRun
from tasks.stage_1 import add_ray_option, executor_for
from utils.artefact_utils import Clip, TrackFeatureParts, read_clips_of
from utils.audio_utils.track_features import LONGEST_S
from utils.cli_utils import existing_folder, positive
from utils.cli_utils.repairs import make
from utils.data_utils import AudioDataSpec, making
from utils.data_utils.clip_track_features import feature_blocks, write_features_of_clips
from utils.data_utils.clip_writing import ClipArrays, Failure, first_clips, refuse_failures
from utils.executors import Executor

SCRIPT = "preprocessing.audio_features"
# Seconds of sound per temporary file, some seconds of work: a killed run loses at most this much per process.
_PART_S = 120.0


@command
def main(argv: Sequence[str] | None = None) -> None:
    """Write <split>_audio_features.hdf5 for each split of the run's data set."""
    parser = argparse.ArgumentParser(prog=f"python -m {SCRIPT}", description=__doc__.splitlines()[0])
    parser.add_argument("--workers", type=positive, help="processes (default: all cores)")
    add_ray_option(parser)
    run, args = load_run(argv, parser, AudioRun)
    commands = Commands.of(args, run.script_of)
    data = run.data
    existing_folder(data.root, "data.root", "correct it")
    splits = read_clips_of(data.audio_info, data.splits.names(), make("tables"))
    seen = [data.root, *(data.root / clip.path for clip in first_clips(splits))]
    with making(data, "track features"), executor_for(run, args.ray, seen, args.workers) as executor:
        failures = [
            failure
            for split, clips in splits.items()
            for failure in write_track_features(data, split, clips, executor, made_by=commands.made_by(SCRIPT))
        ]
    refuse_failures(failures)
    print(f"next: {commands.following(run, SCRIPT)}")


def write_track_features(
    data: AudioDataSpec, split: str, clips: Sequence[Clip], executor: Executor, *, made_by: str
) -> list[Failure]:
    """Write the features of one split.

    Args:
        data: the run's `data:` block.
        split: its name.
        clips: its clips, in the order of the file.
        executor: what runs the work.
        made_by: the command that makes the file again.
    Returns:
        The clips that could not be decoded.
    Raises:
        UserError: the disk is too small.
    """
    long = [clip for clip in clips if clip.duration_s > LONGEST_S]
    if long:
        print(f"{split}: of {len(long)} clips the first {LONGEST_S // 60} minutes count, such as of {long[0].fname}")
    arrays = ClipArrays(
        parts=TrackFeatureParts(data.track_features(split)),
        failed=data.track_features_failed(split),
        blocks=partial(feature_blocks, data.root),
        part_s=_PART_S,
        what="features",
    )
    return write_features_of_clips(arrays, split, clips, executor, made_by=made_by)


if __name__ == "__main__":
    main()
