"""Clips as the frames of a frozen encoder, one dataset (T, D) by id.

They are <split>_audio_frames.hdf5, and of pictures <split>_image_frames.hdf5.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from utils.artefact_utils.audio_embeddings import EmbeddingSource, found_embeddings, reasons_left_out, why_other
from utils.artefact_utils.clip_views import ClipArrayReader, ClipViews
from utils.artefact_utils.hdf5_arrays import ArrayPlace, check_shape
from utils.cli_utils import ArtefactError


class FrameTable(NamedTuple):
    """The frames of a split, mapped from disk: only what is sliced is read."""

    path: Path
    views: ClipViews  # of those that have frames, in the order that was wanted; each (T, D) float16 or float32
    held: NDArray[np.bool_]  # (N,) False: the encoder refused the clip
    left_out: dict[str, str]  # id -> reason
    made_with: Mapping[str, str]  # attributes of the file: model, revision, layers, input, ...
    repair: str  # what writes the file again, for messages

    @property
    def lengths(self) -> NDArray[np.int64]:
        """T of each view."""
        return np.array([place.shape[0] for place in self.views.places], np.int64)

    @property
    def width(self) -> int:
        """D."""
        return self.views.places[0].shape[1]


class _FrameReader(ClipArrayReader):
    what = "frames"

    def check(self, place: ArrayPlace) -> None:
        check_shape(place, 2)


def read_frames(source: EmbeddingSource, fids: Sequence[str]) -> FrameTable:
    """Open the frames of a split.

    Args:
        source: the file, and what must have made it.
        fids: of its clips.
    Raises:
        ArtefactError: the file is missing or broken, was made with another model, lacks a clip, holds frames of
            several dimensions, or the encoder refused every clip.
    """
    reader = _FrameReader(found_embeddings(source, "frames"), source.repair)
    if problem := why_other(reader.attributes, source, "frames"):
        raise ArtefactError(f"{reader.path}: {problem}; write it again: {source.repair}")
    left_out = reasons_left_out(reader.attributes.get("left_out", ""), source)
    held = np.array([fid not in left_out for fid in fids])
    if not held.any():
        raise ArtefactError(f"{reader.path}: the encoder refused every clip; name another one: {source.key}")
    views = reader.views([fid for fid in fids if fid not in left_out])
    first = views.places[0]
    for place in views.places:
        if place.shape[1] != first.shape[1]:
            raise ArtefactError(
                f"{reader.path}: the frames of {place.name!r} have {place.shape[1]} dimensions, those of "
                f"{first.name!r} {first.shape[1]}, expected one dimension for all; write it again: {source.repair}"
            )
    reasons = {fid: left_out[fid] for fid in fids if fid in left_out}
    return FrameTable(reader.path, views, held, reasons, reader.attributes, source.repair)
