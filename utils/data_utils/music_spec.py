"""The `data:` block of a run on tracks of music: an archive in FMA's layout, a table, or a folder of tagged files."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from utils.config_utils import UserPath
from utils.data_utils.spec import AudioDataSpec, Shares, SplitsSpec


class MusicDataSpec(AudioDataSpec):
    """The `data:` block of a run on tracks of music; a track is a clip with an artist, an album and genres."""

    splits: SplitsSpec = SplitsSpec(train="training", val="validation", eval="test")  # as FMA calls them
    subset: Literal["small", "medium", "large"] | None = None  # of FMA; null: that of the largest folder fma_*
    table: UserPath | None = None  # path, genre, artist, title[, album, split]; null: FMA's tables, or tags of files
    min_duration_s: float = Field(0.1, ge=0, le=86_400)  # shorter tracks are rejected
    shares: Shares = (0.8, 0.1, 0.1)  # of the tracks, where nothing names their splits: train, val, eval
    seed: int = Field(0, ge=0)  # of these splits

    @model_validator(mode="after")
    def _subset_is_of_fma(self) -> Self:
        if self.subset is not None and self.table is not None:
            raise ValueError("subset belongs to FMA's tables, found it beside a table; remove subset")
        return self

    @property
    def catalogue(self) -> Path:
        """The tracks of all splits, with titles, artists, albums and genres."""
        return self.features / "catalogue.csv"

    @property
    def genre_tree(self) -> Path:
        """The genres, each with its parent; absent where the data set has no tree."""
        return self.features / "genres.csv"

    @property
    def similar_tracks(self) -> Path:
        """Recordings that are nearly the same, under whatever name; absent where there are none."""
        return self.features / "similar_tracks.csv"
