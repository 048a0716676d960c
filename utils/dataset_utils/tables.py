"""Write the tables of stage 1 from the files and captions of a dataset; unchanged clips are not decoded again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from utils.artefact_utils import (
    Caption,
    Clip,
    remove_table,
    write_audio_info,
    write_rows,
    write_text_table,
    write_vocab_info,
)
from utils.artefact_utils.csv_rows import strict_rows
from utils.audio_utils import DECODING_VERSION
from utils.cli_utils import ArtefactError, UserError, printable
from utils.data_utils.duplicates import describe, same_recordings
from utils.data_utils.products import SIMILAR_COLUMNS
from utils.data_utils.spec import AudioDataSpec, CaptionDataSpec
from utils.dataset_utils.captions import RawCaption, match_captions
from utils.dataset_utils.clips import Rejected, probe_clips
from utils.dataset_utils.unchanged import notes_of, unchanged_clips
from utils.report_utils import print_table

_DUPLICATES = ["recording", "split", "path", "fid"]


class RawSplit(NamedTuple):
    """The content of a split, as a dataset's script finds it."""

    files: list[Path]
    captions: list[RawCaption]
    refused: list[Rejected]
    # path of a clip relative to data.root -> the dataset's own id; captions then name clips by path.
    # None: captions name clips by file name, which is also the id.
    source_ids: dict[str, str] | None = None
    there: Sequence[Path] | None = None  # all audio files in the folders searched; None: the same as `files`


def require_layout(data: CaptionDataSpec, repair: str) -> None:
    """Check that data.root is in the layout of a dataset.

    Args:
        data: the run's `data:` block.
        repair: the command that reads other folders, for messages.
    Raises:
        UserError: data.own_dataset is set: another script reads such a folder.
    """
    if data.own_dataset is not None:
        raise UserError(
            f"data.own_dataset: is set: {data.root} is in no data set's layout; its tables are made by {repair}"
        )


def write_tables(
    data: CaptionDataSpec, raw: Mapping[str, RawSplit], workers: int, *, strict: bool, made_by: str
) -> int:
    """Decode clips, match captions, write all tables, and print a summary.

    Args:
        data: the run's `data:` block.
        raw: the content of each split.
        workers: number of processes.
        strict: return 1 if anything was rejected.
        made_by: the command that makes these tables again.
    Returns:
        The exit code.
    Raises:
        UserError: a split has no clip with a caption.
    """
    clips: dict[str, list[Clip]] = {}
    captions: dict[str, list[Caption]] = {}
    rejected: dict[str, list[Rejected]] = {}
    for split, found in raw.items():
        clips[split], captions[split], rejected[split] = _clips_and_captions(data, split, found, workers)
        write_rejected(data.rejected(split), rejected[split])
        if not captions[split]:
            raise UserError(_why_empty(data, split, found, rejected[split]))
    write_matched_tables(data, clips, captions, rejected, made_by)
    return int(strict and any(rejected.values()))


def _why_empty(data: CaptionDataSpec, split: str, found: RawSplit, rejected: Sequence[Rejected]) -> str:
    """Return a line with the numbers of files and captions, and one of each, so that users can compare their names."""
    there = found.files if found.there is None else found.there
    given = len(found.captions) + sum(r.kind == "caption" for r in found.refused)
    file = f", such as '{printable(there[0].relative_to(data.root).as_posix())}'" if there else ""
    caption = next((f", the first {printable(r.reason)}" for r in rejected if r.kind == "caption"), "")
    return (
        f"split '{split}' of {data.root} is empty: {len(there)} audio files{file}; {given} captions{caption}; no clip "
        f"has a caption; the reasons are in {data.rejected(split)}; repair them and run again"
    )


def write_matched_tables(
    data: CaptionDataSpec,
    clips: Mapping[str, Sequence[Clip]],
    captions: Mapping[str, Sequence[Caption]],
    rejected: Mapping[str, Sequence[Rejected]],
    made_by: str,
) -> None:
    """Write the tables of matched clips and captions, and print a summary.

    audio_info.pkl is written last, so that it never lists clips whose captions are not written yet.

    Args:
        data: the run's `data:` block.
        clips: of each split.
        captions: of each split, those of its clips.
        rejected: of each split, the rejected clips and captions.
        made_by: the command that makes these tables again.
    """
    for split, rows in captions.items():
        write_text_table(data.text_table(split), rows)
    write_vocab_info(data.vocab_info, captions)
    of_all = chain.from_iterable(clips.values())
    notes = notes_of(data.root, DECODING_VERSION, of_all, data.root.joinpath)
    write_audio_info(data.audio_info, clips, notes | {"made_by": made_by})
    _print_summary(data, clips, captions, rejected)
    write_duplicates(data, clips)
    print(f"wrote {data.audio_info}, <split>_text.csv, vocab_info.pkl")


def write_similar(path: Path, rows: Sequence[tuple[str, Clip]], pairs: Sequence[Sequence[int]]) -> None:
    """Write the pairs of clips that are nearly the same; without any, remove an old table.

    Args:
        path: of the table.
        rows: split and clip.
        pairs: two numbers of rows each.
    """
    if not pairs:
        remove_table(path, SIMILAR_COLUMNS)
        return
    table = [
        (number, rows[at][0], rows[at][1].path, rows[at][1].fid) for number, pair in enumerate(pairs) for at in pair
    ]
    write_rows(path, SIMILAR_COLUMNS, table)


def write_duplicates(data: AudioDataSpec, clips: Mapping[str, Sequence[Clip]]) -> None:
    """Write same_recordings.csv and report it, if a recording occurs more than once; otherwise remove an old one."""
    groups = same_recordings(clips)
    if not groups:
        remove_table(data.duplicates, _DUPLICATES)
        return
    rows = [(number, split, clip.path, clip.fid) for number, group in enumerate(groups) for split, clip in group]
    write_rows(data.duplicates, _DUPLICATES, rows)
    print(f"{describe(data, groups)}\nall of them: {data.duplicates}")


def write_rejected(path: Path, rejected: Sequence[Rejected]) -> None:
    """Write <split>_rejected.csv: kind, name, reason; also if nothing was rejected."""
    write_rows(path, Rejected._fields, rejected)


def _clips_and_captions(
    data: CaptionDataSpec, split: str, found: RawSplit, workers: int
) -> tuple[list[Clip], list[Caption], list[Rejected]]:
    known = known_clips(data, split)
    probed, broken = probe_clips(found.files, data.root, split, known, workers, found.source_ids)
    reasons = {r.name: r.reason for r in [*found.refused, *broken] if r.kind == "clip"}
    by_path = found.source_ids is not None
    clips, captions, unmatched = match_captions(probed, found.captions, split, reasons, by_path=by_path)
    return clips, captions, [*found.refused, *broken, *unmatched]


def known_clips(data: AudioDataSpec, split: str) -> dict[str, Clip]:
    """Return the clips in an existing audio_info.pkl that need not be decoded again, by path.

    Those whose files are unchanged, and that the next stage could decode.
    """
    failed = _failed_since(data, split)
    unchanged = unchanged_clips(data.audio_info, split, data.root, DECODING_VERSION, data.root.joinpath)
    # a rate of 0 is in a table of another program: that clip was never decoded here
    return {path: clip for path, clip in unchanged.items() if clip.fid not in failed and clip.sample_rate_hz}


def _failed_since(data: AudioDataSpec, split: str) -> set[str]:
    """Return the fids of clips that the next stage could not decode, whose message advises users to run this again."""
    try:
        return {cells[0] for _, cells in strict_rows(data.logmels_failed(split)) if cells}
    except ArtefactError:  # there is none
        return set()


def _print_summary(
    data: CaptionDataSpec,
    clips: Mapping[str, Sequence[Clip]],
    captions: Mapping[str, Sequence[Caption]],
    rejected: Mapping[str, Sequence[Rejected]],
) -> None:
    rows = [
        [
            split,
            len(clips[split]),
            len(captions[split]),
            f"{sum(clip.duration_s for clip in clips[split]) / 60:.1f}",
            sum(r.kind == "clip" for r in rejected[split]),
            sum(r.kind == "caption" for r in rejected[split]),
        ]
        for split in clips
    ]
    print_table(
        f"Data set {data.root}",
        ["split", "clips", "captions", "minutes", "rejected clips", "rejected captions"],
        rows,
    )
    for split in clips:
        if rejected[split]:
            print(f"{split}: the rejected ones, with reasons: {data.rejected(split)}")
