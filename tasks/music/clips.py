"""The tracks of a split, as an autoencoder takes them, with what the catalogue says of each."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from utils.artefact_utils.catalogue import read_catalogue
from utils.cli_utils import ArtefactError
from utils.cli_utils.repairs import make
from utils.data_utils import AudioClips, AudioInput, WaveNeeds
from utils.data_utils.music_spec import MusicDataSpec


class MusicClips(AudioClips):
    """A split of music.

    Attributes:
        tracks: the catalogue's row of each clip, in the order of `clips`.
    """

    def __init__(self, data: MusicDataSpec, split: str, audio: AudioInput, waves: WaveNeeds | None) -> None:
        """Open the files of a split.

        Args:
            data: the `data:` block.
            split: its name.
            audio: what the autoencoder takes.
            waves: of audio "wave", what the network wants.
        Raises:
            ArtefactError: a file is missing, broken, made with other settings, or of other tracks.
        """
        super().__init__(data, split, audio, waves)
        known = {track.fid: track for track in read_catalogue(data.catalogue, make("tables"), split)}
        for clip in self.clips:
            if clip.fid not in known:
                raise ArtefactError(
                    f"{data.catalogue}: has no track {clip.fid} ({clip.fname}), which {data.audio_info} names; write "
                    f"both again: {make('tables')}"
                )
        self.tracks = [known[clip.fid] for clip in self.clips]

    def _ids(self) -> list[str]:
        """The tracks and the labels that a run may be chosen by, for the digest."""
        return [f"{track.fid}\t{track.genre}\t{track.artist}\n" for track in self.tracks]

    def summary(self) -> dict[str, str]:
        """Clips and hours, artists and genres."""
        artists, genres = ({getattr(track, key) for track in self.tracks} - {""} for key in ("artist", "genre"))
        return {**super().summary(), "artists": str(len(artists)), "genres": str(len(genres))}


class EvenWindows:
    """Windows of a split in batches, evenly spaced where there are many; the same ones at every iteration.

    Args:
        tracks: the split.
        batch_size: windows a batch.
        limit: windows in all; None: every window.
    """

    def __init__(self, tracks: AudioClips, batch_size: int, limit: int | None) -> None:
        self._audio = tracks.audio
        windows = tracks.windows()
        count = len(windows.clips) if limit is None else min(limit, len(windows.clips))
        self.windows = windows.take(np.unique(np.linspace(0, len(windows.clips) - 1, count).astype(np.int64)))
        self._batch_size = batch_size

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield inputs, (B, T, F), (B, S) or (B, D) float32, and their (B,) int64 lengths."""
        order = np.argsort(-self.windows.lengths, kind="stable")  # little padding
        for rows in np.array_split(order, -(-len(order) // self._batch_size)):
            batch = self.windows.take(np.sort(rows))
            yield self._audio.batch(*batch), torch.from_numpy(batch.lengths)
