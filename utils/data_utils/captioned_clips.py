"""Clips with captions: a split of a data set, as batches of the pairs that a sampler draws."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from utils.artefact_utils import (
    Caption,
    Clip,
    read_audio_embeddings,
    read_clips,
    read_pairs,
    read_text_embeddings,
    read_text_table,
)
from utils.cli_utils import ArtefactError, command_for
from utils.data_utils.audio_stores import AudioStore, LogMelStore, VectorStore, WaveNeeds, WaveStore
from utils.data_utils.duplicates import duplicates_of_others
from utils.data_utils.sampling import Ints, PairBatch
from utils.data_utils.spec import DataSpec
from utils.data_utils.text_stores import TextStore, TokenTexts, VectorTexts

if TYPE_CHECKING:
    from utils.text_utils import Tokenizer

AudioInput = Literal["logmel", "wave", "vector"]
Batch = dict[str, Tensor]


class Inputs(NamedTuple):
    """What the encoders of a run take."""

    audio: AudioInput = "logmel"
    waves: WaveNeeds | None = None  # of audio "wave"
    tokenizer: Tokenizer | None = None  # None: vectors of captions, from a file


class Windows(NamedTuple):
    """Parts of clips, in the unit of their store; W of them."""

    clips: Ints  # (W,)
    starts: Ints  # (W,)
    lengths: Ints  # (W,)

    def take(self, rows: Ints) -> Windows:
        """Some of them."""
        return Windows(self.clips[rows], self.starts[rows], self.lengths[rows])


class Tables(NamedTuple):
    """Which clips a split has, and which captions."""

    clips: list[Clip]
    captions: list[Caption]


def window_edges(length: int, max_length: int) -> list[int]:
    """Where the windows of a clip begin and end: as few as possible, of nearly equal length, nothing left out."""
    edges: list[int] = np.linspace(0, length, -(-length // max_length) + 1).round().astype(int).tolist()
    return edges


def windows_of(audio: AudioStore) -> Windows:
    """Every clip of a store in windows as `window_edges` cuts them."""
    lengths, limit = audio.lengths, audio.max_length
    count = -(-lengths // limit)  # (N,)
    clips = np.repeat(np.arange(len(lengths)), count)  # (W,)
    number = np.arange(len(clips)) - np.repeat(np.cumsum(count) - count, count)
    step = (lengths / count)[clips]
    starts = np.round(number * step).astype(np.int64)
    stops = np.round((number + 1) * step).astype(np.int64)
    return Windows(clips, starts, stops - starts)


def read_tables(data: DataSpec, split: str) -> Tables:
    """The clips and captions of a split, of its tables or of its list of pairs.

    Raises:
        ArtefactError: a file is missing or broken.
    """
    if data.pairs is not None:
        pairs = read_pairs(data.pairs_file(split))
        return Tables(pairs.clips, pairs.captions)
    script = command_for(data.dataset_script)
    captions = read_text_table(data.text_table(split), script)
    return Tables(read_clips(data.audio_info, split, script), captions)


class CaptionedClips(Dataset[Batch]):
    """A split: its clips and its captions. Indexed by a `PairBatch`, it gives a batch."""

    def __init__(self, data: DataSpec, split: str, inputs: Inputs = Inputs()) -> None:  # noqa: B008 - immutable
        """Open the files of a split.

        Args:
            data: the `data:` block.
            split: its name.
            inputs: what the run's encoders take.
        Raises:
            ArtefactError: a file is missing, broken or made with other settings, or ids do not match.
        """
        self.split = split
        self.left_out: dict[str, str] = {}  # fid -> why a frozen encoder gave no vector
        self.revisions: dict[str, str] = {}  # audio, text -> which state of a frozen encoder made the vectors
        self.audio_made_with: Mapping[str, str] = {}  # what the file of vectors says of the encoder that made it
        self.by_file_name: Path | None = None  # the file whose vectors were found by bare file names
        self.clips: list[Clip]
        self.captions: list[Caption]
        self.audio: AudioStore
        self.texts: TextStore
        if data.pairs is None:
            self._open_files(data, inputs)
        else:
            self._open_pairs(data, inputs)
        self.fids = [clip.fid for clip in self.clips]

    def _open_pairs(self, data: DataSpec, inputs: Inputs) -> None:
        pairs = read_pairs(data.pairs_file(self.split))
        self.clips, self.captions = pairs.clips, pairs.captions
        self.clip_of_caption = self._match(command_for("preprocessing.audio_embeddings", "--pickle"))
        self.audio = VectorStore(pairs.audio)
        if inputs.tokenizer is None:
            self.texts = VectorTexts(pairs.text)
        else:
            self.texts = TokenTexts(inputs.tokenizer, [caption.raw_text for caption in self.captions])

    def _open_files(self, data: DataSpec, inputs: Inputs) -> None:
        self.clips, self.captions = read_tables(data, self.split)
        self.clip_of_caption = self._match(command_for(data.dataset_script))  # (M,)
        if data.exclude_duplicates and self.split == data.splits.train:
            self._exclude_duplicates(data)
        if inputs.audio == "vector":
            self.audio = self._vectors(data)
        elif inputs.waves is not None:
            self.audio = self._waves(data, inputs.waves)
        else:
            self.audio = LogMelStore(data, self.split, self.clips)
        self.texts = self._texts(data, inputs.tokenizer)

    def _vectors(self, data: DataSpec) -> VectorStore:
        """The vectors of the clips that have one; the others, and their captions, are left out."""
        source = data.audio_source(self.split)
        table = read_audio_embeddings(source, self.clips, self.split)
        if source.model is None:
            print(f"{self.split}: vectors of {source.path}, by {table.keyed_by}, {table.vectors.shape[1]} dimensions")
        self.audio_made_with = table.made_with
        if table.revision:
            self.revisions["audio"] = table.revision
        self.by_file_name = source.path if table.keyed_by == "file name" else None
        self._leave_out(table.kept, table.left_out)
        return VectorStore(table.vectors if table.kept.all() else table.vectors[table.kept])

    def _waves(self, data: DataSpec, needs: WaveNeeds) -> WaveStore:
        """The waves of the clips that the network can take; shorter ones, and their captions, are left out."""
        least_s = needs.min_samples / needs.sample_rate_hz
        short = {
            clip.fid: f"{clip.fname} has {1000 * clip.duration_s:.1f} ms, expected at least {1000 * least_s:.1f} ms"
            for clip in self.clips
            if round(clip.duration_s * needs.sample_rate_hz) < needs.min_samples
        }
        self._leave_out(np.array([clip.fid not in short for clip in self.clips]), short)
        return WaveStore(data, self.clips, needs)

    def _leave_out(self, kept: NDArray[np.bool_], reasons: dict[str, str]) -> None:
        """Drop the clips that the encoder refuses, and their captions; says so.

        Raises:
            ArtefactError: none is left.
        """
        if kept.all():
            return
        captioned = kept[self.clip_of_caption]
        why = next(iter(reasons.values()))
        if not captioned.any():
            raise ArtefactError(f"split '{self.split}': the encoder refuses every clip ({why}); use another encoder")
        print(
            f"{self.split}: {np.sum(~kept)} clips and {np.sum(~captioned)} captions are left out, which the encoder "
            f"refuses, such as: {why}"
        )
        self.left_out = reasons
        self._keep(kept)

    def _exclude_duplicates(self, data: DataSpec) -> None:
        """Drop the clips that are in another split too, and their captions; says so.

        Raises:
            ArtefactError: none is left, or the tables do not tell.
        """
        others = duplicates_of_others(data, self.clips)
        kept = np.array([clip.fid not in others for clip in self.clips])
        if kept.all():
            return
        if not kept.any():
            raise ArtefactError(
                f"split '{self.split}': every recording is in another split too; with data.exclude_duplicates nothing "
                "is left to train on"
            )
        before = len(self.captions)
        self._keep(kept)
        splits = " and ".join(sorted({place.split for place in others.values()}))
        print(
            f"{self.split}: {np.sum(~kept)} clips and {before - len(self.captions)} captions are left out, whose "
            f"recordings are in {splits} too (data.exclude_duplicates)"
        )

    def _keep(self, kept: NDArray[np.bool_]) -> None:
        """Drop the other clips and their captions."""
        captioned = kept[self.clip_of_caption]
        row = np.cumsum(kept) - 1
        self.clips = [clip for clip, stays in zip(self.clips, kept, strict=True) if stays]
        self.captions = [caption for caption, stays in zip(self.captions, captioned, strict=True) if stays]
        self.clip_of_caption = row[self.clip_of_caption[captioned]]

    def _texts(self, data: DataSpec, tokenizer: Tokenizer | None) -> TextStore:
        if tokenizer is not None:
            return TokenTexts(tokenizer, [caption.raw_text for caption in self.captions])
        script = command_for(data.text_script)
        vectors = read_text_embeddings(data.text_vectors, data.text_embeddings.model, script)
        if vectors.notes.get("revision"):
            self.revisions["text"] = str(vectors.notes["revision"])
        return VectorTexts(vectors.table([c.tid for c in self.captions], data.text_vectors, script))

    def _match(self, repair: str) -> Ints:
        rows = {clip.fid: row for row, clip in enumerate(self.clips)}
        strange = [caption for caption in self.captions if caption.fid not in rows]
        if strange:
            raise ArtefactError(
                f"split '{self.split}': caption {strange[0].tid} names clip {strange[0].fid}, which audio_info.pkl "
                f"does not hold; write both again: {repair}"
            )
        return np.array([rows[caption.fid] for caption in self.captions], np.int64)

    def __len__(self) -> int:
        return len(self.captions)

    def __getitem__(self, index: PairBatch) -> Batch:
        """The batch of these pairs.

        Returns:
            `audio` (U, T, F), (U, S) or (U, E) float32, the distinct clips, padded; `lengths` (U,) int64, their own
            frames or samples; `clip_index` (B,) int64, the clip of each pair among the U; `clip_ids` (B,) int64;
            and `text` (B, E) float32, or `text_ids` and `text_mask` (B, L).
        Raises:
            ArtefactError: a clip cannot be read, or holds NaN or infinite values.
        """
        clip_ids = self.clip_of_caption[index.captions]
        clips, first, clip_index = np.unique(clip_ids, return_index=True, return_inverse=True)
        lengths = np.minimum(self.audio.lengths[clips], self.audio.max_length)
        return {
            "audio": self.audio.batch(clips, index.starts[first], lengths),
            "lengths": torch.from_numpy(lengths),
            "clip_index": torch.from_numpy(clip_index),
            "clip_ids": torch.from_numpy(clip_ids),
            **self.texts.batch(torch.from_numpy(index.captions)),
        }

    def digest(self) -> str:
        """What tells two states of the split apart: its clips and captions by their ids, vectors by their content."""
        digest = hashlib.blake2b(digest_size=16)
        digest.update("".join([*self.fids, *(caption.tid for caption in self.captions)]).encode())
        for store in (self.audio, self.texts):
            if isinstance(store, VectorStore | VectorTexts):
                digest.update(store.table.contiguous().numpy().data)
        return digest.hexdigest()

    def windows(self) -> Windows:
        """Every clip in windows as `window_edges` cuts them."""
        return windows_of(self.audio)

    def check(self) -> None:
        """Read every clip once.

        Raises:
            ArtefactError: a clip cannot be read, or holds NaN or infinite values.
        """
        windows = self.windows()
        for row in range(len(windows.clips)):
            self.audio.batch(*windows.take(np.array([row])))
