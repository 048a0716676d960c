"""Clips with captions: a split of a data set, as batches of the pairs that a sampler draws."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from utils.artefact_utils import Caption, Clip, read_clips, read_pairs, read_text_embeddings, read_text_table
from utils.cli_utils import ArtefactError
from utils.cli_utils.repairs import make
from utils.data_utils.audio_clips import AudioClips, AudioInput, Batch
from utils.data_utils.clip_features import ClipFeatures, VectorFeatures, WaveNeeds
from utils.data_utils.sampling import Ints, PairBatch, PairSampler, SamplingSpec
from utils.data_utils.spec import AudioDataSpec, CaptionDataSpec
from utils.data_utils.text_features import TextFeatures, TokenTexts, VectorTexts

if TYPE_CHECKING:
    from utils.text_utils import Tokenizer


class Inputs(NamedTuple):
    """What the encoders of a run take."""

    audio: AudioInput = "logmel"
    waves: WaveNeeds | None = None  # of audio "wave"
    tokenizer: Tokenizer | None = None  # None: vectors of captions, from a file


class Tables(NamedTuple):
    """Which clips a split has, and which captions."""

    clips: list[Clip]
    captions: list[Caption]


def read_tables(data: CaptionDataSpec, split: str) -> Tables:
    """The clips and captions of a split, of its tables or of its list of pairs.

    Args:
        data: the `data:` block.
        split: its name.
    Raises:
        ArtefactError: a file is missing or broken.
    """
    if data.pairs is not None:
        pairs = read_pairs(data.pairs_file(split))
        return Tables(pairs.clips, pairs.captions)
    captions = read_text_table(data.text_table(split), make("tables"))
    return Tables(read_clips(data.audio_info, split, make("tables")), captions)


class CaptionedClips(AudioClips):
    """A split: its clips and its captions. Indexed by a `PairBatch`, it gives a batch.

    Attributes:
        captions: M of them, in table order, without those of clips that are left out.
        clip_of_caption: (M,) the row of the clip of each caption.
        texts: what the encoder takes of each caption.
    """

    texts: TextFeatures

    def __init__(
        self,
        data: CaptionDataSpec,
        split: str,
        inputs: Inputs = Inputs(),  # noqa: B008 - immutable
    ) -> None:
        """Open the files of a split.

        Args:
            data: the `data:` block.
            split: its name.
            inputs: what the run's encoders take.
        Raises:
            ArtefactError: a file is missing, broken or made with other settings, or ids do not match.
        """
        self._pairs = None if data.pairs is None else read_pairs(data.pairs_file(split))
        clips, self.captions = read_tables(data, split) if self._pairs is None else self._pairs[:2]
        repair = make("tables") if self._pairs is None else make("audio-embeddings", "--pickle")
        self.clip_of_caption = rows_of_clips(self.captions, clips, split, repair)
        super().__init__(data, split, inputs.audio, inputs.waves, clips)
        self.texts = self._open_texts(data, inputs.tokenizer)
        self._pairs = None  # the features hold its vectors

    def _open_audio(self, data: AudioDataSpec, audio: AudioInput, waves: WaveNeeds | None) -> ClipFeatures:
        return super()._open_audio(data, audio, waves) if self._pairs is None else VectorFeatures(self._pairs.audio)

    def _open_texts(self, data: CaptionDataSpec, tokenizer: Tokenizer | None) -> TextFeatures:
        if tokenizer is not None:
            return TokenTexts(tokenizer, [caption.raw_text for caption in self.captions])
        if self._pairs is not None:
            return VectorTexts(self._pairs.text)
        repair = make("text-embeddings")
        vectors = read_text_embeddings(data.text_vectors, data.text_embeddings.model, repair)
        if vectors.notes.get("revision"):
            self.revisions["text"] = str(vectors.notes["revision"])
        return VectorTexts(vectors.table([c.tid for c in self.captions], repair))

    def _drop(self, held: NDArray[np.bool_]) -> tuple[str, int]:
        """Drop the captions of the other clips too; what is left counts captions: a clip without one trains nothing."""
        words, _ = super()._drop(held)
        captioned = held[self.clip_of_caption]
        row = np.cumsum(held) - 1
        self.captions = [caption for caption, stays in zip(self.captions, captioned, strict=True) if stays]
        self.clip_of_caption = row[self.clip_of_caption[captioned]]
        return f"{words} and {np.sum(~captioned)} captions", len(self.captions)

    def __len__(self) -> int:
        return len(self.captions)

    def __getitem__(self, index: Any) -> Batch:
        """The batch of these pairs.

        Args:
            index: a `PairBatch`.
        Returns:
            `audio` (U, T, F), (U, S) or (U, E) float32, the distinct clips, padded; `lengths` (U,) int64, their own
            frames or samples; `clip_index` (B,) int64, the clip of each pair among the U; `clip_ids` (B,) int64;
            and `text` (B, E) float32, or `text_ids` and `text_mask` (B, L).
        Raises:
            ArtefactError: a clip cannot be read, or holds NaN or infinite values.
        """
        assert isinstance(index, PairBatch)
        clip_ids = self.clip_of_caption[index.captions]
        clips, first, clip_index = np.unique(clip_ids, return_index=True, return_inverse=True)
        return {
            **self._audio_of(clips, index.starts[first]),
            "clip_index": torch.from_numpy(clip_index),
            "clip_ids": torch.from_numpy(clip_ids),
            **self.texts.batch(torch.from_numpy(index.captions)),
        }

    def pair_sampler(self, batch_size: int, seed: int, sampling: SamplingSpec) -> PairSampler:
        """Pairs of captions and clips, as `training.sampling` wants them."""
        audio = self.audio
        return PairSampler(self.clip_of_caption, audio.lengths, audio.max_length, batch_size, seed, sampling)

    def summary(self) -> dict[str, str]:
        """What people want to know of the split: name of a count -> the count."""
        counts = super().summary()
        return {"clips": counts["clips"], "captions": str(len(self.captions)), "hours": counts["hours"]}

    def _ids(self) -> list[str]:
        return [*super()._ids(), *(caption.tid for caption in self.captions)]

    def _tables(self) -> list[Tensor]:
        return [*super()._tables(), *([self.texts.table] if isinstance(self.texts, VectorTexts) else [])]


def rows_of_clips(captions: Sequence[Caption], clips: Sequence[Clip], split: str, repair: str) -> Ints:
    """(M,) the row of the clip of each caption.

    Raises:
        ArtefactError: a caption names a clip that is not among them.
    """
    rows = {clip.fid: row for row, clip in enumerate(clips)}
    strange = [caption for caption in captions if caption.fid not in rows]
    if strange:
        raise ArtefactError(
            f"split '{split}': caption {strange[0].tid} names clip {strange[0].fid}, which audio_info.pkl "
            f"does not hold; write both again: {repair}"
        )
    return np.array([rows[caption.fid] for caption in captions], np.int64)
