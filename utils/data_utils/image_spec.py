"""The `data:` block of a run on pictures: their folders, captions, and the frozen encoder that sees them."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from utils.artefact_utils import EmbeddingSource
from utils.artefact_utils.audio_embeddings import ImagePooling
from utils.cli_utils.repairs import make
from utils.config_utils import Spec
from utils.data_utils.spec import DataSpec

_EXTRACTED = "extracted_images"
IMAGE_EMBEDDINGS_KEY = "data.image_embeddings"  # of the YAML, for messages


class ImageEmbeddingsSpec(Spec):
    """Pictures as the output of a frozen encoder."""

    model: str = Field(min_length=1)  # name at a hub, folder, or package:efficientnet-lite0
    pooling: ImagePooling = "patches"  # a frame for each patch, or one for the picture
    layers: int | None = Field(None, ge=1, le=1000)  # number of transformer layers in use, from the first; null: all
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"  # of the model's arithmetic on a GPU; a CPU computes in fp32

    @model_validator(mode="after")
    def _layers_are_of_patches(self) -> Self:
        if self.layers is not None and self.pooling == "pooled":
            raise ValueError("layers belongs to pooling: patches; the pooled vector is of all layers; remove layers")
        return self


class ImageDataSpec(DataSpec):
    """The `data:` block of a run on pictures and captions; a picture is a clip without a duration."""

    image_embeddings: ImageEmbeddingsSpec

    @property
    def clip_info(self) -> Path:
        """Which pictures there are."""
        return self.features / "image_info.pkl"

    @property
    def duplicates(self) -> Path:
        """The pictures that are, or nearly are, in more than one split; absent where there are none."""
        return self.features / "similar_images.csv"

    @property
    def extracted(self) -> Path:
        """The pictures of a data set that comes in parquet files."""
        return self.features / _EXTRACTED

    def picture(self, path: str) -> Path:
        """The file of a picture.

        Args:
            path: as the tables spell it: below data.root, or below data.features where it was extracted.
        """
        return (self.features if path.startswith(f"{_EXTRACTED}/") else self.root) / path

    def picture_path(self, file: Path) -> str:
        """The path of a picture as the tables spell it, so that `picture` finds it again."""
        home = self.features if self.extracted in file.parents else self.root
        return file.relative_to(home).as_posix()

    def text_table(self, split: str) -> Path:
        """The captions of a split."""
        return self.features / f"{split}_text.csv"

    def image_frames(self, split: str) -> Path:
        """The pictures of a split as frames of a frozen encoder."""
        return self.features / f"{split}_image_frames.hdf5"

    def image_failed(self, split: str) -> Path:
        """The pictures of a split that have no frames; absent where there are none."""
        return self.features / f"{split}_image_frames_failed.csv"

    def frames_source(self, split: str) -> EmbeddingSource:
        """Where the frames of a split's pictures come from.

        Args:
            split: its name.
        """
        wanted = self.image_embeddings
        return EmbeddingSource(
            self.image_frames(split),
            wanted.model,
            wanted.layers,
            make("image-embeddings"),
            self.features,
            precision=wanted.precision,
            pooling=wanted.pooling,
            key=IMAGE_EMBEDDINGS_KEY,
        )
