"""The steps of `benchmarks.scale_corpus`: a corpus of N clips from its tables to the batches of an epoch.

All of it is the project's own code but the decoder, which returns one small array for every clip: no sound is read.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tasks import parse_run
from tasks.retrieval.retrieval import RetrievalRun
from utils.artefact_utils import (
    Caption,
    Clip,
    LogMelParts,
    LogMelSettings,
    read_clips,
    write_audio_info,
    write_text_embeddings,
    write_text_table,
    write_vocab_info,
)
from utils.config_utils import override, read_settings
from utils.data_utils import CaptionedClips, TrainLoader, audio_loader
from utils.data_utils.captioned_clips import read_tables
from utils.data_utils.clip_writing import ClipWork, groups_of
from utils.data_utils.duplicates import describe_tables
from utils.executors import Processes, run_chunks

# A clip says that it is 10 s long, so that a part holds as many clips as it does of real ones; it has 10 frames.
DURATION_S = 10.0
FRAMES = 10
PART_S = 600.0
TEXT_DIM = 8
BATCH_SIZE = 32
_HELD_OUT = 100  # as many clips as one in so many are in each of the other splits


class Corpus:
    """A corpus of `clips` clips with a caption each, in a folder; held-out splits have a hundredth of that each."""

    def __init__(self, folder: Path, clips: int) -> None:
        """Name its files; none is read or written."""
        settings = [f"data.features={folder}", "training.sampling.captions_per_clip=1"]
        run = parse_run(override(read_settings(Path("conf.yaml")), settings), "conf.yaml")
        assert isinstance(run, RetrievalRun)
        self.clips = clips
        self.data = run.data
        self.sampling = run.training.sampling
        self.split = run.data.splits.train

    @property
    def parts(self) -> LogMelParts:
        """The feature file while it is written."""
        settings = LogMelSettings(self.data.front_end_numbers(), "float16")
        return LogMelParts(self.data.logmels(self.split), settings)

    @cached_property
    def opened(self) -> CaptionedClips:
        """The split, as a run opens it."""
        return CaptionedClips(self.data, self.split)

    @cached_property
    def rows(self) -> list[Clip]:
        """The clips of the table."""
        return read_clips(self.data.audio_info, self.split, "")


def _rows(split: str, clips: int) -> list[Clip]:
    return [
        Clip(_id(split, n), f"{n}.wav", f"{split}/{n}.wav", DURATION_S, 44_100, 1, f"{n}", _id("samples of", split, n))
        for n in range(clips)
    ]


def _id(*parts: object) -> str:
    # as random as the digests of real files: names in order would be found faster than any corpus has them
    return hashlib.blake2b("\0".join(map(str, parts)).encode(), digest_size=8).hexdigest()


def _captions(split: str, clips: list[Clip]) -> list[Caption]:
    texts = (f"sound number {row} of a large corpus" for row in range(len(clips)))
    return [
        Caption(_id("caption", split, row), clip.fid, clip.fname, text.capitalize(), text, clip.source_id)
        for row, (clip, text) in enumerate(zip(clips, texts, strict=True))
    ]


def write_tables(corpus: Corpus) -> None:
    """Write the tables of clips, captions and words, of all splits."""
    data = corpus.data
    held_out = max(2, corpus.clips // _HELD_OUT)
    clips = {s: _rows(s, corpus.clips if s == corpus.split else held_out) for s in data.splits.names()}
    captions = {split: _captions(split, rows) for split, rows in clips.items()}
    write_audio_info(data.audio_info, clips, {})
    for split, rows in captions.items():
        write_text_table(data.text_table(split), rows)
    write_vocab_info(data.vocab_info, captions)


def write_vectors(corpus: Corpus) -> None:
    """Write a vector of each caption, as a frozen text model would."""
    _, captions = read_tables(corpus.data, corpus.split)
    vectors = np.random.default_rng(0).standard_normal((len(captions), TEXT_DIM), dtype=np.float32)
    table = {caption.tid: vector for caption, vector in zip(captions, vectors, strict=True)}
    write_text_embeddings(corpus.data.text_vectors, table, {"model": corpus.data.text_embeddings.model})


def compare_recordings(corpus: Corpus) -> None:
    """Look for recordings that are in two places."""
    assert not describe_tables(corpus.data)


def _blocks(clip: Clip) -> Iterator[NDArray[np.float32]]:
    yield np.full((FRAMES, 64), int(clip.source_id) % 50, np.float32)


def write_parts(corpus: Corpus) -> None:
    """Write the parts of the feature file, 60 clips each, in this process."""
    work = ClipWork(corpus.parts, _blocks)
    assert not run_chunks(Processes(1), work, groups_of(corpus.rows, PART_S), "parts", quiet=True)


def resume(corpus: Corpus) -> None:
    """Find out what a killed run has left to do: nothing."""
    finished = corpus.parts.finished()
    assert all(clip.fid in finished for clip in corpus.rows)


def assemble(corpus: Corpus) -> None:
    """Assemble the feature file."""
    corpus.parts.assemble([clip.fid for clip in corpus.rows], "benchmark")


def reuse(corpus: Corpus) -> None:
    """Find out that the feature file is complete."""
    assert corpus.parts.is_complete([clip.fid for clip in corpus.rows])


def open_split(corpus: Corpus) -> None:
    """Open the split: tables, places of all clips in the feature file, caption vectors."""
    assert len(corpus.opened) == corpus.clips


def draw_epoch(corpus: Corpus) -> None:
    """Draw the batches of an epoch."""
    _exhaust(corpus.opened.pair_sampler(BATCH_SIZE, 0, corpus.sampling))


def load_epoch(corpus: Corpus) -> None:
    """Draw and load the batches of an epoch."""
    split = corpus.opened
    _exhaust(TrainLoader(split, split.pair_sampler(BATCH_SIZE, 0, corpus.sampling)))


def load_all(corpus: Corpus) -> None:
    """Load every window of the split, as validation does."""
    _exhaust(audio_loader(corpus.opened.audio, BATCH_SIZE))


def check(corpus: Corpus) -> None:
    """Read every clip once, as `main.py --check`, and name what the split is made of."""
    corpus.opened.check()
    corpus.opened.digest()
    corpus.opened.recordings()


def _exhaust(things: Iterable[object]) -> None:
    for _ in things:
        pass


# In the order in which they run.
STEPS: dict[str, Callable[[Corpus], None]] = {
    "write tables": write_tables,
    "write parts": write_parts,
    "find what is left to do": resume,
    "assemble": assemble,
    "write caption vectors": write_vectors,
    "open": open_split,
    "draw an epoch": draw_epoch,
    "load an epoch": load_epoch,
    "load for validation": load_all,
    "check": check,
    "find that it is complete": reuse,
    "look for recordings in two places": compare_recordings,
}
# What is done before the clock starts: the table of clips is read, or the whole split is opened.
WITH_ROWS = ("write parts", "find what is left to do", "assemble", "find that it is complete")
AFTER_OPENING = ("draw an epoch", "load an epoch", "load for validation", "check")
