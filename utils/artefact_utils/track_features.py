"""FMA's features of tracks: <split>_audio_features.hdf5, one dataset (518,) a track, by fid."""

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

    def __init__(self, path: Path) -> None:
        """Open the parts beside `path`."""
        made_with = {"features_version": str(TRACK_FEATURES_VERSION), "librosa": version("librosa")}
        super().__init__(path, made_with | {"dtype": "float32"})

    def assemble(self, fids: Sequence[str], command: str, notes: Mapping[str, str] | None = None) -> None:
        """Write the file, with the names of the columns."""
        super().assemble(fids, command, {"columns": json.dumps(COLUMNS), **(notes or {})})


class _TrackFeatureReader(ClipArrayReader):
    def check(self, place: ArrayPlace) -> None:
        check_shape(place, 1, len(COLUMNS))


def read_track_features(path: Path, clips: Sequence[Clip], repair: str) -> NDArray[np.float32]:
    """The features of the tracks of a split.

    Args:
        path: <split>_audio_features.hdf5.
        clips: the tracks.
        repair: the command that writes the file, for messages.
    Returns:
        (N, 518) float32, a row a clip, in the order of `clips`; the columns are
        `utils.audio_utils.track_features.COLUMNS`.
    Raises:
        ArtefactError: the file is missing, broken, of other features, lacks a clip, or holds NaN or infinite values.
    """
    reader = _TrackFeatureReader(path, repair)
    found = reader.attributes.get("features_version")
    if found != str(TRACK_FEATURES_VERSION) or reader.attributes.get("columns") != json.dumps(COLUMNS):
        raise ArtefactError(
            f"{path}: holds features of version {found}, expected {TRACK_FEATURES_VERSION}, FMA's {len(COLUMNS)} "
            f"columns in their order; write it again: {repair}"
        )
    table = np.empty((len(clips), len(COLUMNS)), np.float32)
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
