"""Clips that hold one kind of sound each -> a folder for each kind: parallel and resumable.

    <root>/corpus.json              what is in the folder; `complete` once everything is there
    <root>/<kind>/0000.wav ...      44.1 kHz, 16 bit, mono

The folder is the category. A file appears under its name only when it is whole, so that a run that was stopped at any
instant goes on where it was.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from preprocessing.synthetic_corpus.clips import plan_clip_of
from preprocessing.synthetic_corpus.writing import wav_bytes, write_clip
from utils.dataset_utils.corpus_folder import CorpusKind, FileNames, Record
from utils.dataset_utils.corpus_writing import Chunk, chunks_of, complete_corpus
from utils.process_utils import ordered_map
from utils.report_utils import progress_bar

_CHUNK = 16  # clips a task
_NAMES = FileNames(lambda kind_number, index: f"{index:04d}.wav", r"\d{4,}\.wav")

# A kind of sound is what a split is to other corpora. Raise the version when recipes, levels or durations change.
KIND = CorpusKind("synthetic_corpus --single-kind", 1, "clips", _NAMES, str, lambda kinds: [])


def write_single_kinds(root: Path, sizes: Mapping[str, int], seed: int, workers: int) -> bool:
    """Write the clips of some kinds, or what is missing of them; what they need on the disk is printed first.

    Args:
        root: the folder of the folders; made if need be.
        sizes: clips of each kind.
        seed: 0 or more; a clip depends on it, its kind and its number alone.
        workers: processes.
    Returns:
        Whether anything was written; False when the clips were there already.
    Raises:
        UserError: the folder holds something else, another run writes there, or the disk has no room.
    """
    wanted = Record(KIND, seed, dict(sizes))
    return complete_corpus(root, wanted, lambda: _mean_clip_bytes(wanted), lambda: _write_all(root, wanted, workers))


def _write_all(root: Path, record: Record, workers: int) -> None:
    chunks = [chunk for those in chunks_of(root, record, _CHUNK).values() for chunk in those]
    for kind in record.sizes:
        (root / kind).mkdir(exist_ok=True)
    results = ordered_map(_make_clips, chunks, min(workers, len(chunks)))
    with contextlib.closing(results), progress_bar(record.count, "clips of one kind", "clip") as progress:
        for count in results:
            progress.update(count)


def _make_clips(chunk: Chunk) -> int:
    """Write the clips of a chunk that are not there yet, and count them all."""
    for index in range(chunk.start, chunk.stop):
        plan = plan_clip_of(chunk.seed, chunk.folder.name, index)
        write_clip(chunk.folder / KIND.file_name(chunk.split_number, index), plan)
    return chunk.stop - chunk.start


def _mean_clip_bytes(record: Record, sample: int = 8) -> float:
    """Bytes of a clip, from the plans of the first clips of each kind."""
    plans = [plan_clip_of(record.seed, kind, index) for kind in record.sizes for index in range(sample)]
    return float(np.mean([wav_bytes(plan) for plan in plans]))
