"""The `data:` block of a run on recordings with categories: a list of videos or files, or folders named by category."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from utils.config_utils import UserPath
from utils.data_utils.spec import AudioDataSpec, Shares


class LabelledDataSpec(AudioDataSpec):
    """The `data:` block of a run on recordings, each of one category; a recording is a clip with a label."""

    # url or path, category[, id, channel, start_s, end_s, split]; null: data.root has a folder for each category, or
    # the metadata of Hugging Face's audiofolder
    table: UserPath | None = None
    shares: Shares = (0.7, 0.15, 0.15)  # of each category, where nothing names splits: train, val, eval
    seed: int = Field(0, ge=0)  # of these splits
    # null: an epoch has one random window of each recording; else all its windows, each repeating this share of the
    # one before. Evaluation always has as few windows as possible, without overlap
    window_overlap: float | None = Field(None, ge=0, lt=1)

    @property
    def labels(self) -> Path:
        """The recordings of all splits, with their categories and channels."""
        return self.features / "labels.csv"

    @property
    def failed(self) -> Path:
        """The videos that could not be fetched, with the reasons; absent where there are none."""
        return self.features / "failed.csv"

    @property
    def similar_recordings(self) -> Path:
        """Recordings that are nearly the same, under whatever name; absent where there are none."""
        return self.features / "similar_recordings.csv"
