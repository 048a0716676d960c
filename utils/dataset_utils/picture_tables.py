"""Write the tables of stage 1 of captioned pictures; unchanged pictures are not decoded again."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from utils.artefact_utils import (
    Caption,
    Clip,
    write_audio_info,
    write_text_table,
)
from utils.cli_utils import UserError
from utils.data_utils.image_spec import ImageDataSpec
from utils.dataset_utils.captions import match_captions
from utils.dataset_utils.clips import Rejected, content_id, match_key
from utils.dataset_utils.tables import RawSplit, write_rejected, write_similar
from utils.dataset_utils.unchanged import notes_of, unchanged_clips
from utils.image_utils import ImageError, read_image
from utils.image_utils.similarity import fingerprint, similar_pairs
from utils.process_utils import ordered_map
from utils.report_utils import print_table, progress_bar

_DECODING_VERSION = 1  # of pictures and fingerprints: raised, every picture is decoded again


class _Job(NamedTuple):
    file: Path
    path: str  # as tables spell it
    split: str


def write_picture_tables(
    data: ImageDataSpec, raw: Mapping[str, RawSplit], workers: int, *, strict: bool, made_by: str
) -> int:
    """Decode pictures, match captions, write all tables, and print a summary.

    Args:
        data: the run's `data:` block.
        raw: the content of each split.
        workers: number of processes.
        strict: return 1 if anything was rejected.
        made_by: the command that makes these tables again.
    Returns:
        The exit code.
    Raises:
        UserError: a split has no picture with a caption.
    """
    clips: dict[str, list[Clip]] = {}
    captions: dict[str, list[Caption]] = {}
    rejected: dict[str, list[Rejected]] = {}
    for split, found in raw.items():
        probed, broken = _probe(data, split, found.files, workers)
        reasons = {r.name: r.reason for r in [*found.refused, *broken] if r.kind == "clip"}
        clips[split], captions[split], unmatched = match_captions(probed, found.captions, split, reasons)
        rejected[split] = [*found.refused, *broken, *unmatched]
        write_rejected(data.rejected(split), rejected[split])
        if not captions[split]:
            raise UserError(
                f"split '{split}' of {data.root} is empty: {len(found.files)} pictures, {len(found.captions)} "
                f"captions, none of them together; the reasons are in {data.rejected(split)}; repair them and run again"
            )
    for split, rows in captions.items():
        write_text_table(data.text_table(split), rows)
    notes = notes_of(data.root, _DECODING_VERSION, chain.from_iterable(clips.values()), data.picture)
    # last, so that it never lists pictures whose captions are not written yet
    write_audio_info(data.clip_info, clips, notes | {"made_by": made_by})
    _print_summary(data, clips, captions, rejected)
    _report_similar(data, clips)
    print(f"wrote {data.clip_info}, <split>_text.csv")
    return int(strict and any(rejected.values()))


def _probe(data: ImageDataSpec, split: str, files: Sequence[Path], workers: int) -> tuple[list[Clip], list[Rejected]]:
    """Decode the pictures of a split in processes: one that is broken, or larger than the memory, harms no other."""
    known = unchanged_clips(data.clip_info, split, data.root, _DECODING_VERSION, data.picture)
    paths = [data.picture_path(file) for file in files]
    jobs = [_Job(file, path, split) for file, path in zip(files, paths, strict=True) if path not in known]
    results = ordered_map(_probe_picture, jobs, 1 if len(jobs) < 64 else workers)
    bar = progress_bar(len(jobs), f"{split}: decoding", "picture", iterable=results, disable=not jobs)
    made = dict(zip((job.path for job in jobs), bar, strict=True))
    clips: dict[str, Clip] = {}
    rejected: list[Rejected] = []
    for path in paths:
        clip = known.get(path) or made[path]
        if isinstance(clip, Rejected):
            rejected.append(clip)
        elif (key := match_key(clip.fname)) in clips:
            rejected.append(Rejected("clip", clip.fname, f"same name as '{clips[key].fname}'"))
        else:
            clips[key] = clip
    return list(clips.values()), rejected


def _probe_picture(job: _Job) -> Clip | Rejected:
    name = job.file.name
    try:
        prints = fingerprint(read_image(job.file))
        with job.file.open("rb") as stream:
            content = hashlib.file_digest(stream, "blake2b").digest()
    except (ImageError, OSError) as error:
        return Rejected("clip", name, str(error))
    return Clip(content_id(job.split, job.path, content), name, job.path, 0.0, 0, 3, name, prints)


def _report_similar(data: ImageDataSpec, clips: Mapping[str, Sequence[Clip]]) -> None:
    """Write the pictures that are nearly the same in two splits, and print how many; otherwise remove an old table."""
    rows = [(split, clip) for split, members in clips.items() for clip in members]
    pairs = list(similar_pairs([clip.sound for _, clip in rows], [split for split, _ in rows]))
    write_similar(data.duplicates, rows, pairs)
    if not pairs:
        return
    counts = Counter((rows[one][0], rows[other][0]) for one, other in pairs)
    found = ", ".join(f"{count} in {one} and {other}" for (one, other), count in counts.items())
    example = " and ".join(repr(rows[at][1].path) for at in pairs[0])
    print(f"pairs of nearly the same picture: {found}, such as {example}\nall of them: {data.duplicates}")


def _print_summary(
    data: ImageDataSpec,
    clips: Mapping[str, Sequence[Clip]],
    captions: Mapping[str, Sequence[Caption]],
    rejected: Mapping[str, Sequence[Rejected]],
) -> None:
    rows = [
        [split, len(clips[split]), len(captions[split])]
        + [sum(r.kind == kind for r in rejected[split]) for kind in ("clip", "caption")]
        for split in clips
    ]
    print_table(
        f"Data set {data.root}", ["split", "pictures", "captions", "rejected pictures", "rejected captions"], rows
    )
    for split in clips:
        if rejected[split]:
            print(f"{split}: the rejected ones, with reasons: {data.rejected(split)}")
