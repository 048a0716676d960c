"""Write the tables of stage 1 of recordings with categories: decoded once, shared out, what fails is named."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from utils.artefact_utils import Clip, load_pickle, remove_table, write_audio_info, write_rows
from utils.artefact_utils.labels import LabelledRecording, read_labels, write_labels
from utils.artefact_utils.similar_tracks import read_similar_tracks
from utils.audio_utils import DECODING_VERSION, AudioError
from utils.audio_utils.fingerprints import similar_pairs
from utils.cli_utils import ArtefactError, UserError, printable
from utils.data_utils.labelled_spec import LabelledDataSpec
from utils.data_utils.products import UNFETCHED_COLUMNS
from utils.dataset_utils.clips import Rejected, content_id, decode_clips
from utils.dataset_utils.download_failures import Failure, reason_of
from utils.dataset_utils.labelled_splits import Assigned, check_splits, groups_of, named_splits, shared_out
from utils.dataset_utils.similar_music import BeginningPrint, read_prints
from utils.dataset_utils.tables import known_clips, write_duplicates, write_similar
from utils.dataset_utils.unchanged import notes_of
from utils.dataset_utils.video_list import ListedRecording, check_categories
from utils.report_utils import print_table

_DECODED = "recordings"  # in place of a split, which is known only when all of them are decoded


class Usable(NamedTuple):
    """A recording whose file is there and sound."""

    listed: ListedRecording
    clip: Clip  # its fid is that of an earlier run, or none of a split


class Found(NamedTuple):
    """What a list came to.

    Attributes:
        recordings: that can be used.
        pairs: two rows each, of near-duplicates.
        failures: the others.
    """

    recordings: list[Usable]
    pairs: list[tuple[int, int]]
    failures: list[Failure]


def decode_recordings(
    data: LabelledDataSpec,
    files: Sequence[tuple[ListedRecording, str]],
    workers: int,
    max_duration_s: float | None = None,
) -> Found:
    """Decode what is new, and compare all recordings by their sound.

    Args:
        data: the run's `data:` block.
        files: recordings and the paths of their files, relative to data.root.
        workers: number of processes.
        max_duration_s: longer ones are left out; None: none is.
    """
    known = {path: clip for split in data.splits.names() for path, clip in known_clips(data, split).items()}
    fresh = [path for _, path in files if path not in known]
    decoded = decode_clips(fresh, data.root, _DECODED, workers, BeginningPrint)
    usable, failures = [], []
    for listed, path in files:
        clip = known.get(path) or decoded[path].clip
        source = listed.url or listed.path
        if isinstance(clip, Rejected):
            reason = reason_of(AudioError(clip.reason))
            failures.append(Failure(listed.id, listed.category, source, reason, clip.reason))
        elif max_duration_s is not None and clip.duration_s > max_duration_s:
            detail = f"{clip.duration_s:.1f} s, more than {max_duration_s:g} s"
            failures.append(Failure(listed.id, listed.category, source, "too long", detail))
        else:
            usable.append(Usable(listed, clip._replace(source_id=listed.id)))
    paths = [each.clip.path for each in usable]
    pairs = None if fresh or set(paths) != set(known) else _earlier_pairs(data, usable)
    if pairs is None:
        prints = {path: of.heard for path, of in decoded.items() if of.heard is not None}
        prints |= read_prints({path: data.root / path for path in paths if path not in prints}, workers)
        pairs = [(pair.first, pair.second) for pair in similar_pairs([prints[path] for path in paths])]
    return Found(usable, pairs, failures)


def _earlier_pairs(data: LabelledDataSpec, usable: Sequence[Usable]) -> list[tuple[int, int]] | None:
    """The near-duplicates that an earlier run found among the same recordings; None if its table cannot be read."""
    if not data.similar_recordings.is_file():
        return []
    rows = {each.clip.fid: row for row, each in enumerate(usable)}
    try:
        return [(rows[first], rows[second]) for first, second in read_similar_tracks(data.similar_recordings, "")]
    except (ArtefactError, KeyError):  # broken, or of other recordings: they are compared again
        return None


def write_labelled_tables(data: LabelledDataSpec, found: Found, made_by: str) -> None:
    """Share recordings out, write all tables, and print a summary.

    Args:
        data: the run's `data:` block.
        found: from `decode_recordings`, with all failures.
        made_by: the command that makes these tables again.
    Raises:
        UserError: no recording can be used, a split is empty, training lacks a category, or one has a single one left.
    """
    _write_failed(data, found.failures)
    listed = [each.listed for each in found.recordings]
    if found.failures and not listed:
        why = found.failures[0]
        raise UserError(
            f"none of the {len(found.failures)} recordings can be used, such as {printable(why.url)}: {why.reason} "
            f"({why.detail}); all reasons: {data.failed}; repair them, then run again"
        )
    check_categories(listed, " that can be used")
    assigned = _assigned(data, found)
    lines = [*assigned.lines, *check_splits(listed, assigned.splits, data.splits.names())]
    clips: dict[str, list[Clip]] = {split: [] for split in data.splits.names()}
    labels, rows = [], []
    for (recording, clip), split in zip(found.recordings, assigned.splits, strict=True):
        clip = clip._replace(fid=_fid(data.root, split, clip.path))
        clips[split].append(clip)
        rows.append((split, clip))
        cut_from = recording.url or (recording.path if recording.is_section else "")
        described = (recording.category, recording.channel, cut_from, recording.start_s, recording.end_s)
        labels.append(LabelledRecording(clip.fid, recording.id, split, clip.path, *described, clip.duration_s))
    write_similar(data.similar_recordings, rows, found.pairs)
    write_labels(data.labels, labels)
    notes = notes_of(data.root, DECODING_VERSION, (clip for _, clip in rows), data.root.joinpath)
    # last, so that it never lists recordings that the labels do not
    write_audio_info(data.audio_info, clips, notes | {"made_by": made_by, "shared_out": _rule(data)})
    if found.pairs:
        lines.append(
            f"pairs of nearly the same recording, each in one split: {len(found.pairs)}; all of them: "
            f"{data.similar_recordings}"
        )
    print("\n".join(lines))
    _print_summary(data, labels)
    write_duplicates(data, clips)
    print(f"wrote {data.labels}, {data.audio_info}")


def _assigned(data: LabelledDataSpec, found: Found) -> Assigned:
    listed = [each.listed for each in found.recordings]
    sounds = [each.clip.sound for each in found.recordings]
    if len(data.splits.names()) != 3:
        raise UserError(f"data.splits: expected three different splits, found {', '.join(data.splits.names())}")
    if any(recording.split for recording in listed):
        return named_splits(listed, data.splits, groups_of(listed, sounds, found.pairs, by_channel=False))
    groups = groups_of(listed, sounds, found.pairs, by_channel=True)
    shares = dict(zip(data.splits.names(), data.shares, strict=True))
    return shared_out(listed, shares, data.seed, groups, _earlier_splits(data))


def _rule(data: LabelledDataSpec) -> str:
    """What decides the splits; with another rule, earlier ones do not count."""
    return f"{data.splits.names()} {data.shares} {data.seed}"


def _earlier_splits(data: LabelledDataSpec) -> Mapping[str, str]:
    """The split of each id in the tables of an earlier run of the same rule."""
    try:
        notes = load_pickle(data.audio_info, "")[1]
        if notes.get("shared_out") != _rule(data):
            return {}
        return {row.source_id: row.split for row in read_labels(data.labels, "")}
    except ArtefactError:  # there are none
        return {}


def _fid(root: Path, split: str, path: str) -> str:
    with (root / path).open("rb") as stream:
        return content_id(split, path, hashlib.file_digest(stream, "blake2b").digest())


def _write_failed(data: LabelledDataSpec, failures: Sequence[Failure]) -> None:
    if failures:
        write_rows(data.failed, UNFETCHED_COLUMNS, failures)
    else:
        remove_table(data.failed, UNFETCHED_COLUMNS)


def _print_summary(data: LabelledDataSpec, labels: Sequence[LabelledRecording]) -> None:
    counts = Counter((row.category, row.split) for row in labels)
    names = data.splits.names()
    seconds: Counter[str] = Counter()
    for row in labels:
        seconds[row.category] += row.duration_s  # type: ignore[assignment]
    table = [
        [category, *(counts[category, split] for split in names), f"{seconds[category] / 60:.1f}"]
        for category in sorted(seconds)
    ]
    print_table(f"Recordings of {data.root}", ["category", *names, "minutes"], table)
