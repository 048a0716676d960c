"""Sounds or pictures as the frames of a frozen encoder, with captions as the tokens of a language model."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from utils.artefact_utils import Clip, EmbeddingSource, read_clips, read_frames, read_text_table
from utils.cli_utils import ArtefactError
from utils.cli_utils.repairs import make
from utils.data_utils.audio_clips import Batch
from utils.data_utils.caption_rows import one_line
from utils.data_utils.captioned_clips import rows_of_clips
from utils.data_utils.clip_features import FrameFeatures
from utils.data_utils.duplicates import duplicates_of_others
from utils.data_utils.recordings import recordings_of
from utils.data_utils.sampling import Ints, PairBatch, PairSampler, SamplingSpec
from utils.data_utils.spec import AudioDataSpec
from utils.model_utils.ranks import of_this_rank

Bools = NDArray[np.bool_]

# Clips whose frames a digest reads: all of them would be gigabytes at every start.
_IN_DIGEST = 1024


class FramesData(Protocol):
    """What a `data:` block says of frames and captions, whether they are of sounds or of pictures."""

    @property
    def clip_info(self) -> Path:
        """Which clips there are."""

    def text_table(self, split: str) -> Path:
        """The captions of a split."""

    def frames_source(self, split: str) -> EmbeddingSource:
        """Where the frames of a split come from."""


class FramesBatch(NamedTuple):
    """Clips alone, without captions."""

    clips: Ints  # (B,) rows of the clip table
    frames: Tensor  # (B, T, D) float32
    lengths: Tensor  # (B,) int64


class CaptionSampler(PairSampler):
    """Pairs of a caption and its clip; whole clips, and a batch of one pair will do."""

    least = 1


class CaptionedFrames(Dataset[Batch]):
    """A split: clips (or pictures) with frames, and their captions. Indexed by a `PairBatch`, it gives a batch.

    Attributes:
        name: of the split.
        clips: N of them, in table order, each with frames and at least one caption.
        captions: M of them, in table order.
        clip_of_caption: (M,) the row of the clip of each caption.
        frames: of each clip, whole.
        left_out: fid -> why the encoder refuses the clip.
        empty: how many captions were left out because they have no words.
        revisions: frames -> which state of the frozen encoder made them.
        made_with: the attributes of the frames' file: model, revision, layers, ...
        repair: what makes the frames again, for messages.
    """

    def __init__(
        self, data: FramesData, split: str, caption_ids: Callable[[str], list[int]], unknown: int | None = None
    ) -> None:
        """Open the files of a split, and cut its captions into tokens.

        Args:
            data: the `data:` block.
            split: its name.
            caption_ids: text -> the tokens that a language model has to predict, end of sequence included.
            unknown: the token of words that the language model does not know; None: it can write every word.
        Raises:
            ArtefactError: a file is missing, broken or made with other settings, ids do not match, or nothing is left.
        """
        self.name = split
        clips = read_clips(data.clip_info, split, make("tables"))
        captions = read_text_table(data.text_table(split), make("tables"))
        rows = rows_of_clips(captions, clips, split, make("tables"))
        source = data.frames_source(split)
        table = read_frames(source, [clip.fid for clip in clips])
        self.left_out = table.left_out
        self.made_with = table.made_with
        self.repair = source.repair
        self.revisions = {"frames": table.made_with.get("revision", "")}
        worded = np.array([bool(caption.raw_text.strip()) for caption in captions])
        self.empty = int(np.sum(~worded))
        alone = _not_elsewhere(data, split, clips)
        used = worded & (table.held & alone)[rows]
        captioned = np.isin(np.arange(len(clips)), rows[used])
        self._say_what_is_left_out(table.held, alone, worded, captioned)
        self.clips = [clip for clip, has in zip(clips, captioned, strict=True) if has]
        self.captions = [caption for caption, has in zip(captions, used, strict=True) if has]
        self.clip_of_caption: Ints = (np.cumsum(captioned) - 1)[rows[used]]
        views = read_frames(source, [clip.fid for clip in self.clips]) if len(self.clips) < len(clips) else table
        self.frames = FrameFeatures(views, self.clips, math.inf)
        self._unknown = unknown
        self._tokens = _Tokens([caption_ids(one_line(caption)) for caption in self.captions])

    def _say_what_is_left_out(self, held: Bools, alone: Bools, worded: Bools, captioned: Bools) -> None:
        """Print how many clips and captions are left out, and why.

        Args:
            held: (N,) False: the encoder refuses the clip.
            alone: (N,) False: the recording is in another split too, and data.exclude_duplicates is set.
            worded: (M,) False: the caption has no words.
            captioned: (N,) the clips that stay.
        Raises:
            ArtefactError: none does.
        """
        if not captioned.any():
            raise ArtefactError(
                f"split '{self.name}': no clip has both frames and a caption with words ({self.empty} of {len(worded)} "
                f"captions are empty, the encoder refuses {np.sum(~held)} of {len(held)} clips, {np.sum(~alone)} are "
                f"in another split too); write the tables again: {make('tables')}"
            )
        if self.left_out:
            why = next(iter(self.left_out.values()))
            print(f"{self.name}: {len(self.left_out)} clips are left out, which the encoder refuses, such as: {why}")
        if self.empty:
            print(f"{self.name}: {self.empty} captions are left out, which have no words")
        if shared := int(np.sum(~alone)):
            print(f"{self.name}: {shared} clips are left out, whose recordings are in another split too")
        if mute := int(np.sum(held & alone & ~captioned)):
            print(f"{self.name}: {mute} clips are left out, which have no caption")

    @property
    def references(self) -> list[list[str]]:
        """The captions of each clip."""
        found: list[list[str]] = [[] for _ in self.clips]
        for caption, clip in zip(self.captions, self.clip_of_caption, strict=True):
            found[clip].append(one_line(caption))
        return found

    @property
    def longest_caption(self) -> int:
        """Tokens of the longest caption, end of sequence included."""
        return int(self._tokens.lengths.max())

    @property
    def tokens(self) -> int:
        """Tokens of all captions."""
        return int(self._tokens.lengths.sum())

    @property
    def unknown_share(self) -> float:
        """The share of tokens that stand for words which the language model does not know; ends do not count."""
        unknown = 0 if self._unknown is None else int((self._tokens.flat == self._unknown).sum())
        return unknown / max(1, self.tokens - len(self))

    def tokens_of_clips(self) -> tuple[Tensor, Tensor]:
        """The clip (K,) int64 and the id (K,) int64 of every token of all captions, without ends of sequences."""
        clips = np.repeat(self.clip_of_caption, self._tokens.lengths)
        inner = np.ones(len(clips), np.bool_)
        inner[np.cumsum(self._tokens.lengths) - 1] = False
        return torch.from_numpy(clips[inner]), self._tokens.flat[torch.from_numpy(inner)].long()

    def __len__(self) -> int:
        return len(self.captions)

    def __getitem__(self, index: Any) -> Batch:
        """The batch of these pairs.

        Args:
            index: a `PairBatch`.
        Returns:
            `frames` (B, T, D) float32, padded with zeros; `lengths` (B,) int64; `ids` (B, L) int64, padded with 0;
            `id_lengths` (B,) int64; `clip_ids` (B,) int64, the row of each pair's clip.
        Raises:
            ArtefactError: frames cannot be read, or hold NaN or infinite values.
        """
        assert isinstance(index, PairBatch)
        clips = self.clip_of_caption[index.captions]
        return {
            **self._frames_of(clips),
            **self._tokens.batch(index.captions),
            "clip_ids": torch.from_numpy(clips),
        }

    def _frames_of(self, clips: Ints) -> Batch:
        lengths = self.frames.lengths[clips]
        batch = self.frames.batch(clips, np.zeros_like(clips), lengths)
        return {"frames": batch, "lengths": torch.from_numpy(lengths)}

    def sampler(self, batch_size: int, seed: int, sampling: SamplingSpec) -> CaptionSampler:
        """Pairs of captions and clips, as `training.sampling` wants them."""
        frames = self.frames
        return CaptionSampler(self.clip_of_caption, frames.lengths, frames.max_length, batch_size, seed, sampling)

    def pairs(self, batch_size: int) -> Iterator[Batch]:
        """Every caption once with its clip, in batches of similar length; of several ranks, this one's batches."""
        order = np.lexsort((self._tokens.lengths, self.frames.lengths[self.clip_of_caption]))
        for captions in of_this_rank(np.array_split(order, -(-len(order) // batch_size))):
            yield self[PairBatch(captions, np.zeros_like(captions))]

    def without_captions(self, clips: Ints, batch_size: int) -> Iterator[FramesBatch]:
        """These clips once, in batches of similar length.

        Args:
            clips: rows of the clip table.
            batch_size: clips a batch.
        """
        order = clips[np.argsort(self.frames.lengths[clips], kind="stable")]
        for rows in np.array_split(order, -(-len(order) // batch_size)):
            batch = self._frames_of(rows)
            yield FramesBatch(rows, batch["frames"], batch["lengths"])

    def evenly_spaced(self, count: int) -> Ints:
        """Rows of `count` clips, or of all where there are fewer, evenly spaced in the clip table and ascending."""
        return np.linspace(0, len(self.clips) - 1, min(count, len(self.clips))).astype(np.int64)

    def summary(self) -> dict[str, str]:
        """What people want to know of the split: name of a count -> the count."""
        frames = self.frames.lengths
        return {
            "clips": str(len(self.clips)),
            "captions": str(len(self.captions)),
            "frames a clip": f"{frames.min()}-{frames.max()} x {self.frames.width}",
            "tokens": str(self.tokens),
        }

    def recordings(self) -> dict[str, str]:
        """What each clip or picture is, in whatever split, -> its file name."""
        return recordings_of(self.clips)

    def digest(self) -> str:
        """Changes with ids, captions or their tokens, the encoder and its settings, and the frames themselves.

        Of the frames, the number of every clip and the values of a thousand clips count.
        """
        digest = hashlib.blake2b(digest_size=16)
        ids = [clip.fid for clip in self.clips] + [caption.tid for caption in self.captions]
        made_with = [f"{key}={value}" for key, value in sorted(self.made_with.items()) if key != "made_by"]
        digest.update("\n".join([*ids, *made_with]).encode())
        digest.update(self.frames.lengths.tobytes())
        digest.update(self._tokens.flat.numpy().tobytes())
        for row in self.evenly_spaced(_IN_DIGEST):
            digest.update(np.ascontiguousarray(self.frames.views[row][:]).tobytes())
        return digest.hexdigest()

    def check(self) -> None:
        """Read the frames of every clip once.

        Raises:
            ArtefactError: they cannot be read, or hold NaN or infinite values.
        """
        for row in range(len(self.clips)):
            self._frames_of(np.array([row]))


class _Tokens:
    """The tokens of every caption, end to end; a batch is as wide as its longest caption."""

    def __init__(self, ids: Sequence[Sequence[int]]) -> None:
        self.lengths: Ints = np.array([len(caption) for caption in ids], np.int64)  # (M,)
        self.flat = torch.tensor([token for caption in ids for token in caption], dtype=torch.int32)
        self._starts: Ints = np.concatenate([[0], np.cumsum(self.lengths)[:-1]])

    def batch(self, rows: Ints) -> Batch:
        """`ids` (B, L) int64, padded with 0, and `id_lengths` (B,) int64."""
        lengths = torch.from_numpy(self.lengths[rows])
        steps = torch.arange(int(lengths.max()))
        inside = steps < lengths[:, None]
        places = torch.where(inside, torch.from_numpy(self._starts[rows])[:, None] + steps, 0)
        return {"ids": torch.where(inside, self.flat[places].long(), 0), "id_lengths": lengths}


def _not_elsewhere(data: FramesData, split: str, clips: Sequence[Clip]) -> Bools:
    """(N,) False: the clip is of training, is in another split too, and data.exclude_duplicates is set."""
    if not isinstance(data, AudioDataSpec) or not data.exclude_duplicates or split != data.splits.train:
        return np.ones(len(clips), np.bool_)
    others = duplicates_of_others(data, clips)
    return np.array([clip.fid not in others for clip in clips])
