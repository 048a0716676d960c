"""Tables and features of the DCASE 2023 baseline -> those of this project, in data.features; nothing is computed again.

    python -m preprocessing.dcase2023_takeover --from ~/Clotho

Reads audio_info.pkl, <split>_text.csv, <split>_audio_logmels.hdf5 and sbert_embeds.pkl of the folder, whose ids are
random, and writes none of them. Where data.root holds the recordings, clips get the ids of preprocessing.clotho_dataset
and a few log-mels are compared with what data.front_end makes of them; where it does not, ids follow the names. The
baseline's ids stay as `source_id`. What cannot be taken over is listed in <split>_rejected.csv, or is computed by the
next command. If killed, it resumes when run again.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.frozen.caption_vectors import adopt_caption_vectors
from tasks import Commands, command, load_run
from tasks.base import CaptionRun
from utils.artefact_utils import (
    BaselineClip,
    BaselineLogMels,
    Caption,
    Clip,
    LogMelParts,
    LogMelSettings,
    place_of_text_embeddings,
    read_baseline_clips,
    read_text_embeddings,
    read_text_table,
)
from utils.audio_utils import AudioError, FrontEnd, log_mel, read_wave
from utils.cli_utils import UserError, check_free_disk, existing_folder, positive
from utils.cli_utils.repairs import make
from utils.data_utils import CaptionDataSpec, making
from utils.dataset_utils import (
    RawCaption,
    Rejected,
    content_id,
    match_captions,
    probe_clips,
    write_matched_tables,
    write_rejected,
)
from utils.process_utils import all_cores
from utils.report_utils import progress_bar

SCRIPT = "preprocessing.dcase2023_takeover"
TEXT_VECTORS = "sbert_embeds.pkl"
_PART = 64  # clips per temporary file; a killed run loses at most this many
_COMPARED = 3  # clips of a split whose log-mels are computed again
# Theirs are float64 from librosa, ours float32: 5e-5 apart on average; another front-end is 0.05 or more away.
_TOLERANCE = 5e-3


class Source(NamedTuple):
    """Where a split comes from and goes to."""

    data: CaptionDataSpec
    folder: Path  # of the baseline's files
    split: str
    workers: int
    made_by: str  # the command that takes it over again

    @property
    def log_mels(self) -> Path:
        """The baseline's log-mels."""
        return self.folder / f"{self.split}_audio_logmels.hdf5"


class Taken(NamedTuple):
    """A split, taken over."""

    clips: list[Clip]
    captions: list[Caption]
    rejected: list[Rejected]
    without_log_mels: int  # clips that have a recording, so that theirs can be computed


@command
def main(argv: Sequence[str] | None = None) -> None:
    """Take over every split: log-mels first, then tables, then caption vectors."""
    parser = argparse.ArgumentParser(prog=f"python -m {SCRIPT}", description=__doc__.splitlines()[0])
    parser.add_argument(
        "--from", dest="folder", type=Path, required=True, metavar="DIR", help="dataset_dir of the baseline's scripts"
    )
    parser.add_argument("--workers", type=positive, default=all_cores(), help="processes (default: all cores)")
    run, args = load_run(argv, parser, CaptionRun)
    commands = Commands.of(args, run.script_of)
    data = run.data
    folder = existing_folder(args.folder.expanduser(), "--from", "name the folder of the baseline's files")
    if data.features.resolve() == folder.resolve():
        raise UserError(
            f"data.features: is {folder}, the folder of the baseline's files, which are only read; name another, "
            "such as --set data.features=data/features/clotho"
        )
    splits = data.splits.names()
    clips = read_baseline_clips(folder, splits)
    captions = {
        split: read_text_table(folder / f"{split}_text.csv", "with the baseline's clotho_dataset.py")
        for split in splits
    }
    with making(data, "tables"):
        made_by = commands.line(SCRIPT, "--from", str(folder))
        taken = {s: take_split(Source(data, folder, s, args.workers, made_by), clips[s], captions[s]) for s in splits}
        write_matched_tables(
            data,
            {split: one.clips for split, one in taken.items()},
            {split: one.captions for split, one in taken.items()},
            {split: one.rejected for split, one in taken.items()},
            made_by,
        )
        without_vectors = _take_vectors(data, folder, made_by, [c for one in taken.values() for c in one.captions])
    log_mels = not any(one.without_log_mels for one in taken.values())
    _print_next(run, commands, log_mels=log_mels, vectors=without_vectors == 0)


def take_split(source: Source, theirs: Sequence[BaselineClip], captions: Sequence[Caption]) -> Taken:
    """Copy the log-mels of a split under our ids, and match its captions.

    Args:
        source: the split.
        theirs: its clips.
        captions: its captions, with the baseline's ids.
    Raises:
        UserError: the log-mels are of another front-end, or nothing of the split can be taken over.
    """
    recorded, broken = _recordings(source, theirs)
    clips = {clip.fid: recorded.get(_path(source, clip)) or _by_name(source, clip) for clip in theirs}
    unusable = _copy_log_mels(source, theirs, clips, set(recorded))
    lost = {
        _path(source, clip): f"{unusable[clip.fid]}, and no recording ({broken.get(clip.fname, 'no such file')})"
        for clip in theirs
        if clip.fid in unusable and _path(source, clip) not in recorded
    }
    usable = [clip for clip in clips.values() if clip.path not in lost]
    paths = {fid: clip.path for fid, clip in clips.items()}
    raw = [RawCaption(paths.get(c.fid, c.fname), c.raw_text, c.text, c.tid) for c in captions]
    kept, matched, rejected = match_captions(usable, raw, source.split, lost, by_path=True)
    rejected = [*(Rejected("clip", path, reason) for path, reason in lost.items()), *rejected]
    write_rejected(source.data.rejected(source.split), rejected)
    if not matched:
        raise UserError(
            f"split '{source.split}' of {source.folder}: none of {len(theirs)} clips and {len(captions)} captions can "
            f"be taken over; the reasons are in {source.data.rejected(source.split)}"
        )
    features = _assemble(source, [clip.fid for clip in kept])
    print(
        f"{source.split}: {len(recorded)} of {len(theirs)} recordings in {source.data.root / source.split}; "
        f"took over {features} log-mels"
    )
    return Taken(kept, matched, rejected, len(kept) - features)


def _path(source: Source, clip: BaselineClip) -> str:
    return f"{source.split}/{clip.fname}"


def _recordings(source: Source, theirs: Sequence[BaselineClip]) -> tuple[dict[str, Clip], dict[str, str]]:
    """Map paths to clips whose recording is in data.root, with our ids; and paths of broken recordings to reasons."""
    ids = {_path(source, clip): clip.fid for clip in theirs}
    files = [path for name in ids if (path := source.data.root / name).is_file()]
    found, broken = probe_clips(files, source.data.root, source.split, {}, source.workers, ids)
    return {clip.path: clip for clip in found}, {Path(one.name).name: one.reason for one in broken}


def _by_name(source: Source, clip: BaselineClip) -> Clip:
    """A clip of which there are features alone; its rate and channels are unknown."""
    path = _path(source, clip)
    fid = content_id(
        source.split, path, clip.fid.encode("utf-8", "surrogatepass")
    )  # differs between features of one name
    return Clip(fid, clip.fname, path, clip.duration_s, 0, 0, clip.fid)


def _copy_log_mels(
    source: Source, theirs: Sequence[BaselineClip], clips: Mapping[str, Clip], recorded: set[str]
) -> dict[str, str]:
    """Copy the log-mels into parts; returns why not, by the baseline's fid.

    Raises:
        UserError: they are not of data.front_end.
    """
    if not source.log_mels.is_file():
        print(f"{source.split}: no {source.log_mels}")
        return {clip.fid: f"no {source.log_mels.name}" for clip in theirs}
    front_end = source.data.front_end
    with BaselineLogMels(source.log_mels) as log_mels:
        unusable = {
            clip.fid: reason
            for clip in theirs
            if (reason := _why_unusable(log_mels, clip, clips[clip.fid], front_end)) is not None
        }
        usable = [clip.fid for clip in theirs if clip.fid not in unusable]
        if not usable:
            raise UserError(
                f"{source.log_mels}: none of {len(theirs)} clips fits the front-end {front_end.describe()}, the first: "
                f"{theirs[0].fname}: {unusable[theirs[0].fid]}; set data.front_end to what made them"
            )
        _compare(source, log_mels, [clips[fid] for fid in usable if clips[fid].path in recorded])
        failed = _copy(source, log_mels, [clips[fid] for fid in usable])
    return unusable | failed


def _why_unusable(log_mels: BaselineLogMels, clip: BaselineClip, ours: Clip, front_end: FrontEnd) -> str | None:
    if ours.sample_rate_hz not in (0, front_end.sample_rate_hz):  # the baseline never resamples
        return f"its log-mels are those of {ours.sample_rate_hz} Hz, the front-end has {front_end.sample_rate_hz} Hz"
    return log_mels.why_unusable(clip.fid, front_end.n_mels, front_end.frames(ours.duration_s))


def _compare(source: Source, log_mels: BaselineLogMels, recorded: Sequence[Clip]) -> None:
    """Compute a few log-mels again.

    Raises:
        UserError: they differ, so that the features are of another front-end or of other recordings.
    """
    front_end = source.data.front_end
    if not recorded:
        print(
            f"{source.split}: no recordings to compare the log-mels with; taken for those of the front-end "
            f"{front_end.describe()}, as data.front_end says"
        )
        return
    arrays = ((clip, log_mels.read(clip.source_id)) for clip in sorted(recorded, key=lambda one: -one.duration_s))
    sound = ((clip, array) for clip, array in arrays if _fault(array, front_end.floor) is None)
    for clip, theirs in islice(sound, _COMPARED):
        ours = log_mel(read_wave(source.data.root / clip.path, front_end.sample_rate_hz), front_end)
        frames = min(len(ours), len(theirs))
        difference = float(np.abs(ours[:frames] - theirs[:frames]).mean(dtype=np.float64))
        if not difference <= _TOLERANCE:
            raise UserError(
                f"{source.log_mels}: the log-mels of {clip.path} are {difference:.3g} away on average from those of "
                f"the front-end {front_end.describe()}, expected {_TOLERANCE:g} at most; set data.front_end to what "
                f"made them, or compute them from the recordings: {make('tables')}"
            )


def _copy(source: Source, log_mels: BaselineLogMels, clips: Sequence[Clip]) -> dict[str, str]:
    """Write the parts that are missing; returns the baseline's fid and reason of arrays that are not finite."""
    parts = _parts(source)
    finished = parts.finished()
    missing = [clip for clip in clips if clip.fid not in finished]
    floor, width = source.data.front_end.floor, source.data.front_end.n_mels
    frames = sum(source.data.front_end.frames(clip.duration_s) for clip in [*clips, *missing])
    check_free_disk(parts.path.parent, 4 * frames * width, "data.features")
    their_ids = {clip.fid: clip.source_id for clip in clips}
    failed: dict[str, str] = {}
    with progress_bar(len(missing), f"{source.split}: log-mels", "clip", disable=not missing) as bar:
        for start in range(0, len(missing), _PART):
            some = missing[start : start + _PART]
            arrays = ((clip.fid, _checked(log_mels, clip.source_id, floor)) for clip in some)
            failed |= {their_ids[fid]: why for fid, why in parts.write_part([clip.fid for clip in some], arrays)}
            bar.update(len(some))
    return failed


def _checked(log_mels: BaselineLogMels, fid: str, floor: float) -> Iterator[NDArray[np.float32]]:
    frames = log_mels.read(fid)
    if fault := _fault(frames, floor):
        raise AudioError(fault)
    yield frames


def _fault(frames: NDArray[np.float32], floor: float) -> str | None:
    """What is wrong with the values of a clip; None if nothing is."""
    if not np.isfinite(frames).all():
        return "its log-mels hold NaN or infinite values"
    if frames.min() < floor - 0.01:
        return f"its log-mels go down to {frames.min():.4g}, silence is {floor:.4g} in data.front_end"
    return None


def _parts(source: Source) -> LogMelParts:
    settings = LogMelSettings(source.data.front_end_numbers())
    return LogMelParts(source.data.logmels(source.split), settings)


def _assemble(source: Source, fids: Sequence[str]) -> int:
    """Write the file of the clips whose log-mels were copied; returns how many."""
    parts = _parts(source)
    finished = parts.finished()
    copied = [fid for fid in fids if fid in finished]
    if copied and not parts.is_complete(copied):
        parts.assemble(copied, source.made_by)
    parts.remove_parts()
    return len(copied)


def _take_vectors(data: CaptionDataSpec, folder: Path, made_by: str, captions: Sequence[Caption]) -> int:
    """Write the caption vectors under our ids; returns how many captions have none."""
    path = folder / TEXT_VECTORS
    if not path.is_file():
        print(f"no {path}: the caption vectors are computed")
        return len(captions)
    vectors = read_text_embeddings(path, None, "with the baseline's sbert_embeddings.py").vectors
    written = place_of_text_embeddings(data.text_vectors, data.text_embeddings.model)
    missing = adopt_caption_vectors(written, captions, vectors, data.text_embeddings.model, made_by)
    print(f"{len(captions) - missing} of {len(captions)} caption vectors of {path}: wrote {written}")
    return missing


def _print_next(run: CaptionRun, commands: Commands, *, log_mels: bool, vectors: bool) -> None:
    """Print the next command; steps whose files were all taken over are skipped."""
    done = {"preprocessing.audio_logmel": log_mels, run.script_of("text-embeddings"): vectors}
    script = run.next_script(SCRIPT)
    while done.get(script):
        script = run.next_script(script)
    options = ["--check"] if script == "main.py" else run.script_options.get(script, ())
    print(f"next: {commands.line(script, *options)}")


if __name__ == "__main__":
    main()
