"""Clips -> files in Clotho's layout: parallel, resumable, with bounded memory.

    <root>/corpus.json                     what is in the folder; `complete` once everything is there
    <root>/<split>/dev_000000.wav ...      44.1 kHz, 16 bit, mono
    <root>/clotho_captions_<split>.csv     file_name, caption_1 ... caption_5
    <root>/<split>.tsv                     uniq_id, audio, text: the same captions, as AudioCaps has them
    <root>/<split>_events.csv              file_name, kind, start_s, end_s, count

A row of the events file is one event, in order of time. `count` is the number of separate strikes, and 1
for one steady sound. A file appears under its name only when it is whole, so that a run that was stopped
at any instant goes on where it was.
"""

from __future__ import annotations

import contextlib
import itertools
import wave
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from preprocessing.synthetic_corpus.captions import CAPTIONS_PER_CLIP
from preprocessing.synthetic_corpus.clips import Plan, plan_clip, render
from preprocessing.synthetic_corpus.synthesis import SAMPLE_RATE_HZ, Wave
from utils.dataset_utils.corpus_folder import PART, CorpusKind, Record, prefixed
from utils.dataset_utils.corpus_writing import Chunk, Row, chunks_of, complete_corpus, writing_table
from utils.process_utils import ordered_map
from utils.report_utils import progress_bar

CAPTION_COLUMNS = ("file_name", *(f"caption_{number}" for number in range(1, CAPTIONS_PER_CLIP + 1)))
ROW_COLUMNS = ("uniq_id", "audio", "text")
EVENT_COLUMNS = ("file_name", "kind", "start_s", "end_s", "count")

_CHUNK = 16  # clips a task: about 0.2 s of work
_HEADER_BYTES = 44
_TABLE_BYTES = 1200  # of a clip, in all tables


def caption_file(split: str) -> str:
    """The captions of a split, named as Clotho names them."""
    return f"clotho_captions_{split}.csv"


def event_file(split: str) -> str:
    """What is heard when, in a split."""
    return f"{split}_events.csv"


def row_file(split: str) -> str:
    """The captions of a split again, one a row, as AudioCaps' TSV has them."""
    return f"{split}.tsv"


def _tables(splits: Iterable[str]) -> list[str]:
    return [table for split in splits for table in (caption_file(split), event_file(split), row_file(split))]


KIND = CorpusKind("synthetic_corpus", 3, "clips", prefixed(("dev", "val", "eval"), ".wav"), str, _tables)


class ClipRows(NamedTuple):
    """What the tables say of one clip."""

    captions: Row
    rows: list[Row]  # a caption each
    events: list[Row]


def write_corpus(root: Path, sizes: Mapping[str, int], seed: int, workers: int) -> bool:
    """Write the corpus, or what is missing of it; what it needs on the disk is printed first.

    Args:
        root: its folder; made if need be.
        sizes: clips of each split, by folder name, in the order training, validation, evaluation.
        seed: 0 or more; a clip depends on it, its split's place in `sizes` and its number alone.
        workers: processes.
    Returns:
        Whether anything was written; False when the corpus was there already.
    Raises:
        UserError: the folder holds something else, another run writes there, or the disk has no room.
    """
    wanted = Record(KIND, seed, dict(sizes))
    return complete_corpus(root, wanted, lambda: _mean_clip_bytes(wanted), lambda: _write_splits(root, wanted, workers))


def _write_splits(root: Path, record: Record, workers: int) -> None:
    """All clips of all splits, each split's tables after its clips."""
    chunks = chunks_of(root, record, _CHUNK)
    workers = min(workers, sum(map(len, chunks.values())))
    results = ordered_map(_make_clips, [chunk for those in chunks.values() for chunk in those], workers)
    for split in chunks:
        (root / split).mkdir(exist_ok=True)
    with contextlib.closing(results), progress_bar(record.count, "", "clip") as progress:
        for split, those in chunks.items():
            progress.set_description(split)
            captions = writing_table(root / caption_file(split), CAPTION_COLUMNS)
            rows = writing_table(root / row_file(split), ROW_COLUMNS, "\t")
            events = writing_table(root / event_file(split), EVENT_COLUMNS)
            with captions as write_captions, rows as write_rows, events as write_events:
                for made in itertools.islice(results, len(those)):
                    write_captions(clip.captions for clip in made)
                    write_rows(row for clip in made for row in clip.rows)
                    write_events(row for clip in made for row in clip.events)
                    progress.update(len(made))


def _make_clips(chunk: Chunk) -> list[ClipRows]:
    """Write the clips of a chunk that are not there yet, and tell the rows of all of them."""
    made = []
    for index in range(chunk.start, chunk.stop):
        plan = plan_clip(chunk.seed, chunk.split_number, index)
        path = chunk.folder / KIND.file_name(chunk.split_number, index)
        write_clip(path, plan)
        made.append(_rows(path, plan))
    return made


def _rows(path: Path, plan: Plan) -> ClipRows:
    name = path.name
    # AudioCaps' paths begin outside of the root, too
    audio = Path(path.parent.parent.absolute().name, path.parent.name, name).as_posix()
    events = sorted(plan.scene.events, key=lambda event: event.start_s)
    return ClipRows(
        (name, *plan.captions),
        [(f"{path.stem}_{number}", audio, caption) for number, caption in enumerate(plan.captions, start=1)],
        [(name, e.kind, f"{e.start_s:.3f}", f"{e.end_s:.3f}", e.count) for e in events],
    )


def write_clip(path: Path, plan: Plan) -> None:
    """Write the sound of a plan, unless it is there: a file of another length was cut short, and is written again."""
    if not path.exists() or path.stat().st_size != wav_bytes(plan):
        _write_wav(path, render(plan))


def _write_wav(path: Path, samples: Wave) -> None:
    """16-bit mono PCM, whole or not at all."""
    part = path.with_name(path.name + PART)
    with part.open("wb") as stream, wave.open(stream, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(SAMPLE_RATE_HZ)
        writer.writeframes(np.round(samples * 32767).astype("<i2").tobytes())
    part.replace(path)


def wav_bytes(plan: Plan) -> int:
    """The size of the file of a plan."""
    return _HEADER_BYTES + 2 * plan.samples


def _mean_clip_bytes(record: Record, sample: int = 200) -> float:
    """Bytes of a clip with its rows, from the plans of the first clips."""
    return float(np.mean([wav_bytes(plan_clip(record.seed, 0, index)) for index in range(sample)])) + _TABLE_BYTES
