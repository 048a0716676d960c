"""Clips with captions: log-mels mapped from disk, caption vectors in memory, batches as dicts of tensors."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from utils.artefact_utils import Caption, LogMelReader, read_clips, read_text_embeddings, read_text_table
from utils.cli_utils import ArtefactError, command_for
from utils.data_utils.sampling import Ints, PairBatch, PairSampler, SamplingSpec
from utils.data_utils.spec import DataSpec

Batch = dict[str, Tensor]


class Window(NamedTuple):
    """A part of a clip, in frames."""

    clip: int
    start: int
    frames: int


def window_edges(frames: int, max_frames: int) -> list[int]:
    """Where the windows of a clip begin and end: as few as possible, of nearly equal length, nothing left out."""
    edges: list[int] = np.linspace(0, frames, -(-frames // max_frames) + 1).round().astype(int).tolist()
    return edges


class CaptionedClips(Dataset[Batch]):
    """A split: its clips' log-mels and its captions' vectors. Indexed by a `PairBatch`, it gives a batch."""

    def __init__(self, data: DataSpec, split: str) -> None:
        """Open the files of a split.

        Raises:
            ArtefactError: a file is missing, broken or made with other settings, or ids do not match.
        """
        dataset_script = command_for("preprocessing.clotho_dataset")
        self.split = split
        self.captions: list[Caption] = read_text_table(data.text_table(split), dataset_script)
        self.clips = read_clips(data.audio_info, split, dataset_script)
        self.fids = [clip.fid for clip in self.clips]
        self.floor = data.front_end.floor
        self.max_frames = data.front_end.frames(data.max_duration_s)
        self._logmels = data.logmels(split)
        reader = LogMelReader(self._logmels, data.front_end_numbers(), command_for("preprocessing.audio_logmel"))
        self._views = reader.views(self.fids)
        self.frames = np.array([view.shape[0] for view in self._views], np.int64)  # (N,)
        self.clip_of_caption = self._match(dataset_script)  # (M,)
        script = command_for("preprocessing.sbert_embeddings")
        vectors = read_text_embeddings(data.text_vectors, data.text_embeddings.model, script)
        self.text = torch.from_numpy(vectors.table([c.tid for c in self.captions], data.text_vectors, script))

    def _match(self, repair: str) -> Ints:
        rows = {fid: row for row, fid in enumerate(self.fids)}
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
            `audio` (U, T, F) float32, the distinct clips, padded with the floor; `lengths` (U,) int64 valid frames;
            `clip_index` (B,) int64, the clip of each pair among the U; `text` (B, E) float32; `clip_ids` (B,) int64.
        Raises:
            ArtefactError: a clip's features hold NaN or infinite values.
        """
        clip_ids = self.clip_of_caption[index.captions]
        clips, first, clip_index = np.unique(clip_ids, return_index=True, return_inverse=True)
        lengths = np.minimum(self.frames[clips], self.max_frames)
        windows = [Window(*row) for row in zip(clips, index.starts[first], lengths, strict=True)]
        return {
            "audio": self.audio(windows),
            "lengths": torch.from_numpy(lengths),
            "clip_index": torch.from_numpy(clip_index),
            "clip_ids": torch.from_numpy(clip_ids),
            "text": self.text[torch.from_numpy(index.captions)],
        }

    def audio(self, windows: Sequence[Window]) -> Tensor:
        """(U, T, F) float32 log-mels of the windows, padded with the floor to the longest.

        Raises:
            ArtefactError: a clip's features hold NaN or infinite values.
        """
        longest = max(window.frames for window in windows)
        batch = np.empty((len(windows), longest, self._views[0].shape[1]), np.float32)
        for row, (clip, start, frames) in zip(batch, windows, strict=True):
            row[:frames] = self._views[clip][start : start + frames]
            row[frames:] = self.floor
        if not np.isfinite(batch.sum()):
            self._name_the_broken(batch, windows)
        return torch.from_numpy(batch)

    def _name_the_broken(self, batch: NDArray[np.float32], windows: Sequence[Window]) -> None:
        for row, window in zip(batch, windows, strict=True):
            if not np.isfinite(row).all():
                clip = self.clips[window.clip]
                raise ArtefactError(
                    f"{self._logmels}: the features of clip {clip.fid} ({clip.fname}) hold NaN or infinite values; "
                    f"remove the file and write it again: {command_for('preprocessing.audio_logmel')}"
                )

    def windows(self) -> list[Window]:
        """Every clip in windows of equal length, none longer than data.max_duration_s, nothing left out."""
        rows = []
        for clip, frames in enumerate(self.frames.tolist()):
            edges = window_edges(frames, self.max_frames)
            rows += [Window(clip, a, b - a) for a, b in itertools.pairwise(edges)]
        return rows

    def check(self) -> None:
        """Read every clip once.

        Raises:
            ArtefactError: a clip's features hold NaN or infinite values.
        """
        for window in self.windows():
            self.audio([window])


class AudioBatches(Dataset[Batch]):
    """The windows of a split in batches of similar length; each clip's embedding is the mean over its windows."""

    def __init__(self, clips: CaptionedClips, batch_size: int) -> None:
        self._clips = clips
        windows = sorted(clips.windows(), key=lambda window: -window.frames)
        # as many frames a batch as `batch_size` of the longest windows have
        self._batches: list[list[Window]] = []
        budget = batch_size * windows[0].frames
        start = 0
        while start < len(windows):
            count = max(1, budget // windows[start].frames)
            self._batches.append(windows[start : start + count])
            start += count

    def __len__(self) -> int:
        return len(self._batches)

    def __getitem__(self, number: int) -> Batch:
        """`audio` (W, T, F) float32, `lengths` (W,) and `clip` (W,) int64: the clip of each window."""
        windows = self._batches[number]
        return {
            "audio": self._clips.audio(windows),
            "lengths": torch.tensor([window.frames for window in windows]),
            "clip": torch.tensor([window.clip for window in windows]),
        }


class TrainLoader:
    """Batches of a training split; iterate it once an epoch, after `set_epoch`."""

    def __init__(
        self, clips: CaptionedClips, batch_size: int, seed: int, sampling: SamplingSpec, workers: int = 0
    ) -> None:
        self._sampler = PairSampler(clips.clip_of_caption, clips.frames, clips.max_frames, batch_size, seed, sampling)
        self._loader = _loader(clips, workers, self._sampler)

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch that the next iteration draws."""
        self._sampler.set_epoch(epoch)

    def __len__(self) -> int:
        return len(self._sampler)

    def __iter__(self) -> Iterator[Batch]:
        return iter(self._loader)


def audio_loader(clips: CaptionedClips, batch_size: int, workers: int = 0) -> DataLoader[Batch]:
    """Batches of every window of a split, longest first."""
    return _loader(AudioBatches(clips, batch_size), workers, None)


def _loader(dataset: Dataset[Batch], workers: int, sampler: Any) -> DataLoader[Batch]:
    """A DataLoader whose dataset makes whole batches; pinned memory where there is a GPU to copy to."""
    return DataLoader(
        dataset,
        batch_size=None,
        sampler=sampler,
        num_workers=workers,
        pin_memory=torch.cuda.is_available(),
        persistent_workers=workers > 0,
    )
