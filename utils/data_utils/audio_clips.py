"""The clips of a split, as batches of windows: for systems that train on sound alone, or with labels of their own."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from utils.artefact_utils import Clip, read_audio_embeddings, read_clips, read_frames, read_track_features
from utils.cli_utils import ArtefactError
from utils.cli_utils.repairs import make
from utils.data_utils.clip_features import (
    ClipFeatures,
    FrameFeatures,
    LogMelFeatures,
    VectorFeatures,
    WaveFeatures,
    WaveNeeds,
)
from utils.data_utils.duplicates import duplicates_of_others
from utils.data_utils.recordings import recordings_of
from utils.data_utils.sampling import ClipBatch, ClipSampler, Ints, WindowSampler
from utils.data_utils.spec import AudioDataSpec
from utils.data_utils.windows import Windows, overlapping_windows, windows_of

AudioInput = Literal["logmel", "wave", "vector", "frames", "features"]
Batch = dict[str, Tensor]


class AudioClips(Dataset[Batch]):
    """A split: its clips. Indexed by a `ClipBatch`, it gives a batch.

    Attributes:
        name: of the split.
        clips: N of them, in table order; those that the encoder refuses are left out.
        audio: what the encoder takes of each.
        left_out: fid -> why the encoder refuses the clip.
        revisions: audio (and text) -> which state of a frozen encoder made the vectors.
        audio_made_with: the attributes of the vectors' file: model, revision, layers, ...
        by_file_name: the file whose vectors were found by bare file names.
    """

    audio: ClipFeatures

    def __init__(
        self,
        data: AudioDataSpec,
        split: str,
        audio: AudioInput = "logmel",
        waves: WaveNeeds | None = None,
        clips: Sequence[Clip] | None = None,
    ) -> None:
        """Open the files of a split.

        Args:
            data: the `data:` block.
            split: its name.
            audio: what the run's encoder takes.
            waves: of audio "wave", what the network wants.
            clips: of the split, where they have been read; None: those of the data set's table.
        Raises:
            ArtefactError: a file is missing, broken or made with other settings.
        """
        self.name = split
        self.left_out: dict[str, str] = {}
        self.revisions: dict[str, str] = {}
        self.audio_made_with: Mapping[str, str] = {}
        self.by_file_name: Path | None = None
        self.clips = list(clips) if clips is not None else read_clips(data.audio_info, split, make("tables"))
        self.audio = self._open_audio(data, audio, waves)

    def _open_audio(self, data: AudioDataSpec, audio: AudioInput, waves: WaveNeeds | None) -> ClipFeatures:
        if data.exclude_duplicates and self.name == data.splits.train:
            self._exclude_duplicates(data)
        if audio == "vector":
            return self._vectors(data)
        if audio == "frames":
            return self._frames(data)
        if audio == "features":
            path = data.track_features(self.name)
            return VectorFeatures(read_track_features(path, self.clips, make("track-features")))
        if waves is not None:
            return self._waves(data, waves)
        return LogMelFeatures(data, self.name, self.clips)

    def _vectors(self, data: AudioDataSpec) -> VectorFeatures:
        """The vectors of the clips that have one; the others are left out."""
        source = data.audio_source(self.name)
        table = read_audio_embeddings(source, self.clips, self.name)
        if source.model is None:
            print(f"{self.name}: vectors of {source.path}, by {table.keyed_by}, {table.vectors.shape[1]} dimensions")
        self.audio_made_with = table.made_with
        if table.revision:
            self.revisions["audio"] = table.revision
        self.by_file_name = source.path if table.keyed_by == "file name" else None
        self._leave_out(table.kept, table.left_out)
        return VectorFeatures(table.vectors if table.kept.all() else table.vectors[table.kept])

    def _frames(self, data: AudioDataSpec) -> FrameFeatures:
        """The frames of the clips that have some; the others are left out."""
        source = data.frames_source(self.name)
        table = read_frames(source, [clip.fid for clip in self.clips])
        self.audio_made_with = table.made_with
        self.revisions["audio"] = table.made_with.get("revision", "")
        self._leave_out(table.held, table.left_out)
        return FrameFeatures(table, self.clips, data.max_duration_s)

    def _waves(self, data: AudioDataSpec, needs: WaveNeeds) -> WaveFeatures:
        """The waves of the clips that the network can take; shorter ones are left out."""
        least_s = needs.min_samples / needs.sample_rate_hz
        short = {
            clip.fid: f"{clip.fname} has {1000 * clip.duration_s:.1f} ms, expected at least {1000 * least_s:.1f} ms"
            for clip in self.clips
            if round(clip.duration_s * needs.sample_rate_hz) < needs.min_samples
        }
        self._leave_out(np.array([clip.fid not in short for clip in self.clips]), short)
        return WaveFeatures(data, self.clips, needs)

    def _leave_out(self, held: NDArray[np.bool_], reasons: dict[str, str]) -> None:
        """Drop the clips that the encoder refuses, and print how many.

        Raises:
            ArtefactError: none is left.
        """
        if held.all():
            return
        why = next(iter(reasons.values()))
        dropped, left = self._drop(held)
        if not left:
            raise ArtefactError(f"split '{self.name}': the encoder refuses every clip ({why}); use another encoder")
        print(f"{self.name}: {dropped} are left out, which the encoder refuses, such as: {why}")
        self.left_out = reasons

    def _exclude_duplicates(self, data: AudioDataSpec) -> None:
        """Drop the clips that are in another split too, and print how many.

        Raises:
            ArtefactError: none is left, or the tables hold no digests of the recordings.
        """
        others = duplicates_of_others(data, self.clips)
        held = np.array([clip.fid not in others for clip in self.clips])
        if held.all():
            return
        if not held.any():
            raise ArtefactError(
                f"split '{self.name}': every recording is in another split too; with data.exclude_duplicates nothing "
                "is left to train on"
            )
        dropped, _ = self._drop(held)
        splits = " and ".join(sorted({place.split for place in others.values()}))
        print(f"{self.name}: {dropped} are left out, whose recordings are in {splits} too (data.exclude_duplicates)")

    def _drop(self, held: NDArray[np.bool_]) -> tuple[str, int]:
        """Drop all clips but the `held` (N,) ones; returns how many went, in words, and how many examples are left."""
        self.clips = [clip for clip, stays in zip(self.clips, held, strict=True) if stays]
        return f"{np.sum(~held)} clips", len(self.clips)

    @property
    def fids(self) -> list[str]:
        """The id of each clip."""
        return [clip.fid for clip in self.clips]

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, index: Any) -> Batch:
        """The batch of these windows.

        Args:
            index: a `ClipBatch`.
        Returns:
            `audio` (B, T, F), (B, S) or (B, E) float32, padded; `lengths` (B,) int64, the windows' own frames or
            samples; `clip_ids` (B,) int64, the row of each clip, by which a system looks up its labels.
        Raises:
            ArtefactError: a clip cannot be read, or holds NaN or infinite values.
        """
        assert isinstance(index, ClipBatch)
        return self._audio_of(index.clips, index.starts) | {"clip_ids": torch.from_numpy(index.clips)}

    def _audio_of(self, clips: Ints, starts: Ints) -> Batch:
        lengths = np.minimum(self.audio.lengths[clips], self.audio.max_length)
        return {"audio": self.audio.batch(clips, starts, lengths), "lengths": torch.from_numpy(lengths)}

    def sampler(self, batch_size: int, seed: int, length_pool: int = 1) -> ClipSampler:
        """Every clip once an epoch, as a random window."""
        return ClipSampler(self.audio.lengths, self.audio.max_length, batch_size, seed, length_pool)

    def overlapping_windows(self, overlap: float) -> Windows:
        """Every clip in windows of `data.max_duration_s` that overlap by a share of it."""
        return overlapping_windows(self.audio.lengths, self.audio.max_length, overlap)

    def window_sampler(self, batch_size: int, seed: int, overlap: float) -> WindowSampler:
        """All `overlapping_windows` of every clip once an epoch; `batch_size` counts windows."""
        windows = self.overlapping_windows(overlap)
        return WindowSampler(windows.clips, windows.starts, batch_size, seed)

    def summary(self) -> dict[str, str]:
        """What people want to know of the split: name of a count -> the count."""
        hours = sum(clip.duration_s for clip in self.clips) / 3600
        return {"clips": str(len(self.clips)), "hours": f"{hours:.2f}"}

    def recordings(self) -> dict[str, str]:
        """What each clip is, in whatever split, -> its file name."""
        return recordings_of(self.clips)

    def digest(self) -> str:
        """Return a digest of the split: its ids, and its vectors where they are in memory."""
        digest = hashlib.blake2b("".join(self._ids()).encode(), digest_size=16)
        for table in self._tables():
            digest.update(table.contiguous().numpy().data)
        return digest.hexdigest()

    def _ids(self) -> list[str]:
        return self.fids

    def _tables(self) -> list[Tensor]:
        """The vectors that are in memory, whole."""
        return [self.audio.table] if isinstance(self.audio, VectorFeatures) else []

    def windows(self) -> Windows:
        """Every clip in windows as `window_edges` cuts them."""
        return windows_of(self.audio)

    def recurring_windows(self) -> list[Windows]:
        """Those of evaluation, which come in every epoch; a clip of a single window has the same one in training."""
        return [self.windows()]

    def check(self) -> None:
        """Read every clip once.

        Raises:
            ArtefactError: a clip cannot be read, or holds NaN or infinite values.
        """
        windows = self.windows()
        for row in range(len(windows.clips)):
            self.audio.batch(*windows.take(np.array([row])))
