"""Tracks -> files in FMA's layout: parallel and resumable.

    <root>/corpus.json                      what is in the folder; `complete` once everything is there
    <root>/fma_small/000/000002.mp3 ...     22.05 kHz, mono, 56 to 112 kbit/s
    <root>/fma_small/checksums              SHA-1 and path of each file, as `sha1sum -c` reads them
    <root>/fma_metadata/tracks.csv          FMA's columns of album, artist, set and track, below two header rows
    <root>/fma_metadata/genres.csv          genre_id, #tracks, parent, title, top_level

A file appears under its name only when it is whole, so that a run that was stopped at any instant goes on where it was.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile

from preprocessing.synthetic_music.discography import TrackPlan, plan_track, track_id_of
from preprocessing.synthetic_music.instruments import SAMPLE_RATE_HZ
from preprocessing.synthetic_music.recordings import render, take_of
from preprocessing.synthetic_music.tables import GENRE_COLUMNS, genre_rows, genres_of, header_rows, track_row
from utils.audio_utils import AudioError, probe
from utils.dataset_utils.corpus_folder import PART, CorpusKind, FileNames, Record
from utils.dataset_utils.corpus_writing import Chunk, Row, chunks_of, complete_corpus, writing_table
from utils.process_utils import ordered_map
from utils.report_utils import progress_bar

SPLITS = ("training", "validation", "test")  # as FMA's column set.split spells them
TRACK_FILE, GENRE_FILE = "fma_metadata/tracks.csv", "fma_metadata/genres.csv"
TRACK_FOLDER = "fma_small"
CHECKSUM_FILE = f"{TRACK_FOLDER}/checksums"

_CHUNK = 4  # tracks a task: about 0.6 s of work
_MEAN_BYTES = 82_000  # of a track of 7 to 8.5 s, with its rows
# libsndfile's scale of compression: 112, 80 and 56 kbit/s
_COMPRESSIONS = (0.3, 0.5, 0.7)


def _track_file(split_number: int, index: int) -> str:
    track_id = track_id_of(split_number, index)
    return f"{track_id // 1000:03d}/{track_id:06d}.mp3"


def _tables(splits: Iterable[str]) -> list[str]:
    return [TRACK_FILE, GENRE_FILE, CHECKSUM_FILE]


# Raise the version when styles, artists, songs, instruments or recordings change.
KIND = CorpusKind(
    "synthetic_music",
    1,
    "tracks",
    FileNames(_track_file, r"\d{3,}/\d{6,}\.mp3"),
    lambda split: TRACK_FOLDER,
    _tables,
)


class TrackRows(NamedTuple):
    """What the tables say of one track."""

    track: Row
    genres: list[int]
    checksum: str  # a line of `checksums`


def write_corpus(root: Path, sizes: Mapping[str, int], seed: int, workers: int) -> bool:
    """Write the corpus, or what is missing of it; what it needs on the disk is printed first.

    Args:
        root: its folder; made if need be.
        sizes: tracks of each of `SPLITS`, in that order.
        seed: 0 or more; a track depends on it, its split and its number alone.
        workers: processes.

    Returns:
        Whether anything was written; False when the corpus was there already.

    Raises:
        UserError: the folder holds something else, another run writes there, or the disk has no room.
    """
    wanted = Record(KIND, seed, dict(sizes))
    return complete_corpus(root, wanted, lambda: _MEAN_BYTES, lambda: _write_all(root, wanted, workers))


def _write_all(root: Path, record: Record, workers: int) -> None:
    """All tracks, then the tables, whose rows are in the order of the ids."""
    for table in KIND.tables(SPLITS):
        (root / table).parent.mkdir(exist_ok=True)
    of_splits = chunks_of(root, record, _CHUNK)
    chunks = list(itertools.chain.from_iterable(of_splits.values()))
    results = ordered_map(_make_tracks, chunks, min(workers, len(chunks)))
    made: list[TrackRows] = []
    with contextlib.closing(results), progress_bar(record.count, "tracks", "track") as progress:
        for those in results:
            made += those
            progress.update(len(those))
    made.sort(key=lambda rows: int(rows.track[0]))
    with writing_table(root / TRACK_FILE, ()) as write:
        write([*header_rows(), *(rows.track for rows in made)])
    with writing_table(root / GENRE_FILE, GENRE_COLUMNS) as write:
        write(genre_rows(rows.genres for rows in made))
    with writing_table(root / CHECKSUM_FILE, ()) as write:
        write([rows.checksum] for rows in made)


def _make_tracks(chunk: Chunk) -> list[TrackRows]:
    """Write the tracks of a chunk that are not there yet, and return the rows of all of them."""
    made = []
    for index in range(chunk.start, chunk.stop):
        plan = plan_track(chunk.seed, chunk.split_number, index)
        name = KIND.file_name(chunk.split_number, index)
        path = chunk.folder / name
        if not _is_whole(path):
            _write_mp3(path, plan)
        digest = hashlib.sha1(path.read_bytes(), usedforsecurity=False).hexdigest()
        row = track_row(plan, SPLITS[chunk.split_number], take_of(plan).duration_s)
        made.append(TrackRows(row, genres_of(plan), f"{digest}  {name}"))
    return made


def _write_mp3(path: Path, plan: TrackPlan) -> None:
    """Write an MP3, whole or not at all."""
    path.parent.mkdir(exist_ok=True)
    part = path.with_name(path.name + PART)
    compression = _COMPRESSIONS[np.random.default_rng((*plan.recording, 3)).integers(len(_COMPRESSIONS))]
    soundfile.write(
        part,
        render(plan),
        SAMPLE_RATE_HZ,
        format="MP3",
        subtype="MPEG_LAYER_III",
        compression_level=compression,
        bitrate_mode="CONSTANT",
    )
    part.replace(path)


def _is_whole(path: Path) -> bool:
    """Whether a file is there and can be decoded to its end: a power cut may leave a file of zeros."""
    try:
        return path.is_file() and probe(path).duration_s > 0
    except AudioError:
        return False
