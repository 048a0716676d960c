"""FMA's features of tracks by fid: <split>_audio_features.hdf5, (518,) each, or <split>_mfcc.hdf5, (140,) of these."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from utils.artefact_utils.clip_arrays import ClipArrayParts
from utils.artefact_utils.clip_views import ClipArrayReader
from utils.artefact_utils.hdf5_arrays import ArrayPlace, check_shape
from utils.artefact_utils.tables import Clip
from utils.audio_utils.track_features import COLUMNS, TRACK_FEATURES_VERSION
from utils.cli_utils import ArtefactError


class TrackFeatureParts(ClipArrayParts):
    """The features of a split while they are written; those of another librosa are computed again."""

    def __init__(self, path: Path, columns: Sequence[str] = COLUMNS) -> None:
        """Open the parts beside `path`; a file of another name has other columns."""
        self._columns = columns
        made_with = {"features_version": str(TRACK_FEATURES_VERSION), "librosa": version("librosa")}
        super().__init__(path, made_with | {"dtype": "float32"})

    def assemble(self, fids: Sequence[str], command: str, notes: Mapping[str, str] | None = None) -> None:
        """Write the file, with the names of the columns."""
        super().assemble(fids, command, {"columns": json.dumps(self._columns), **(notes or {})})


class _TrackFeatureReader(ClipArrayReader):
    columns: Sequence[str] = COLUMNS

    def check(self, place: ArrayPlace) -> None:
        check_shape(place, 1, len(self.columns))


def read_track_features(
    path: Path, clips: Sequence[Clip], repair: str, columns: Sequence[str] = COLUMNS
) -> NDArray[np.float32]:
    """The features of the tracks of a split.

    Args:
        path: <split>_audio_features.hdf5, or <split>_mfcc.hdf5.
        clips: the tracks.
        repair: the command that writes the file, for messages.
        columns: D names, all of `utils.audio_utils.track_features.COLUMNS` or those of the MFCC.
    Returns:
        (N, D) float32, a row a clip, in the order of `clips`.
    Raises:
        ArtefactError: the file is missing, broken, of other features, lacks a clip, or holds NaN or infinite values.
    """
    reader = _TrackFeatureReader(path, repair)
    reader.columns = columns
    found = reader.attributes.get("features_version")
    if found != str(TRACK_FEATURES_VERSION) or reader.attributes.get("columns") != json.dumps(columns):
        raise ArtefactError(
            f"{path}: holds features of version {found}, expected {TRACK_FEATURES_VERSION}, FMA's {len(columns)} "
            f"columns in their order; write it again: {repair}"
        )
    table = np.empty((len(clips), len(columns)), np.float32)
    for row, view in zip(table, reader.views([clip.fid for clip in clips]), strict=True):
        row[:] = view[:]
    broken = np.flatnonzero(~np.isfinite(table).all(axis=1))
    if len(broken):
        clip = clips[broken[0]]
        raise ArtefactError(
            f"{path}: the features of clip {clip.fid} ({clip.fname}) hold NaN or infinite values; remove the file and "
            f"write it again: {repair}"
        )
    return table
