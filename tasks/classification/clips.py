"""The recordings of a split, as a classifier takes them, with the category of each."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from utils.artefact_utils.labels import read_labels
from utils.cli_utils import ArtefactError
from utils.cli_utils.repairs import make
from utils.data_utils import AudioClips, AudioInput, Batch, WaveFeatures, WaveNeeds
from utils.data_utils.labelled_spec import LabelledDataSpec
from utils.data_utils.sampling import ClipSampler, WindowSampler
from utils.data_utils.windows import Windows

# Formats that libsndfile reads from any sample on; see `utils.audio_utils.read_window`.
_READ_BY_OFFSET = frozenset((".wav", ".flac", ".aif", ".aiff", ".au", ".caf", ".rf64", ".w64"))
_WORTH_CONVERTING_H = 100  # a minute or two of decoding


def classes_of_training(data: LabelledDataSpec) -> tuple[str, ...]:
    """Return the names of the K classes: the categories of the training split, in the order of the alphabet.

    Raises:
        ArtefactError: the table is missing or broken, or the split has fewer than two categories.
    """
    labels = read_labels(data.labels, make("tables"), data.splits.train)
    classes = tuple(sorted({recording.category for recording in labels}))
    if len(classes) < 2:
        raise ArtefactError(
            f"{data.labels}: '{data.splits.train}' has the category '{classes[0]}' alone, expected at least two; add "
            f"recordings of another, then: {make('tables')}"
        )
    return classes


class ClassifiedClips(AudioClips):
    """A split of recordings with categories.

    Attributes:
        classes: the K names.
        targets: (N,) int64, the class of each clip, in the order of `clips`.
        channels: (N) of each; empty where it is not known.
        window_overlap: of the windows of training; None: one random window of each recording.
    """

    def __init__(
        self, data: LabelledDataSpec, split: str, audio: AudioInput, waves: WaveNeeds | None, classes: Sequence[str]
    ) -> None:
        """Open the files of a split.

        Args:
            data: the `data:` block.
            split: its name.
            audio: what the classifier takes.
            waves: of audio "wave", what the network wants.
            classes: the K names.
        Raises:
            ArtefactError: a file is missing, broken or made with other settings, or a category is no class.
        """
        super().__init__(data, split, audio, waves)
        labels = {recording.fid: recording for recording in read_labels(data.labels, make("tables"), split)}
        number = {name: index for index, name in enumerate(classes)}
        found = []
        for clip in self.clips:
            if clip.fid not in labels:
                raise ArtefactError(
                    f"{data.labels}: has no recording {clip.fid} ({clip.fname}), which {data.audio_info} names; write "
                    f"both again: {make('tables')}"
                )
            found.append(labels[clip.fid])
            if found[-1].category not in number:
                raise ArtefactError(
                    f"{data.labels}: '{split}' has recordings of '{found[-1].category}', such as {clip.fname}, which "
                    f"'{data.splits.train}' lacks; add some to train on, or leave the category out, then: "
                    f"{make('tables')}"
                )
        self.classes = tuple(classes)
        self.window_overlap = data.window_overlap
        self.targets: NDArray[np.int64] = np.array([number[one.category] for one in found], np.int64)
        self.channels = [one.channel for one in found]

    def __getitem__(self, index: object) -> Batch:
        """The batch of these windows, as of `AudioClips`, with the (B,) int64 `targets`."""
        batch = super().__getitem__(index)
        return batch | {"targets": torch.from_numpy(self.targets[batch["clip_ids"].numpy()])}

    def training_batches(self, batch_size: int, seed: int) -> ClipSampler | WindowSampler:
        """Draw what an epoch goes through: see `data.window_overlap`."""
        if self.window_overlap is None:
            return self.sampler(batch_size, seed)
        return self.window_sampler(batch_size, seed, self.window_overlap)

    def recurring_windows(self) -> list[Windows]:
        """Those of evaluation, and of training where they overlap: all come in every epoch."""
        again = super().recurring_windows()
        return again if self.window_overlap is None else [*again, self.overlapping_windows(self.window_overlap)]

    def counts(self) -> NDArray[np.int64]:
        """Count the (K,) recordings of each class."""
        return np.bincount(self.targets, minlength=len(self.classes))

    def training_counts(self) -> NDArray[np.int64]:
        """Count the (K,) windows of each class that an epoch goes through: long recordings count more."""
        if self.window_overlap is None:
            return self.counts()
        clips = self.overlapping_windows(self.window_overlap).clips
        return np.bincount(self.targets[clips], minlength=len(self.classes))

    def reading_cost(self) -> str | None:
        """Advise to convert long recordings, if an epoch of training would decode most of its time what it drops."""
        if self.window_overlap is None or not isinstance(self.audio, WaveFeatures):
            return None
        slow = np.array([Path(clip.path).suffix.lower() not in _READ_BY_OFFSET for clip in self.clips])
        windows = self.overlapping_windows(self.window_overlap)
        starts = np.bincount(windows.clips, windows.starts, len(slow)) * slow  # (N,) samples before the windows of each
        seconds = np.array([clip.duration_s for clip in self.clips])
        hours = (starts / self.audio.lengths * seconds).sum() / 3600
        if hours < _WORTH_CONVERTING_H:
            return None
        worst = self.clips[starts.argmax()]
        return (
            f"{self.name}: {np.count_nonzero(starts)} recordings, such as {worst.path} of {worst.duration_s / 60:.0f} "
            f"minutes, are of a format that is decoded from its beginning for every window: {hours:.0f} hours of sound "
            "an epoch, of which most is dropped; convert long ones to FLAC, or set a smaller data.window_overlap or a "
            "larger data.max_duration_s"
        )

    def _ids(self) -> list[str]:
        """The recordings and their categories, for the digest."""
        return [f"{clip.fid}\t{self.classes[target]}\n" for clip, target in zip(self.clips, self.targets, strict=True)]

    def summary(self) -> dict[str, str]:
        """Clips, hours, categories, and how many recordings the rarest and the most frequent one have."""
        counts = self.counts()
        present = counts[counts > 0]
        spread = f"{present.min()} to {present.max()}"
        return {**super().summary(), "categories": str(len(present)), "of each": spread}
