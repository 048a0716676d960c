"""Pictures and embeddings of a checkpoint for TensorBoard, in a folder of their own beside the curves of training."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from utils.cli_utils import printable


@dataclass(frozen=True)
class Projector:
    """Points of the embedding projector.

    Attributes:
        embeddings: (N, E).
        columns: what is known of a point; the projector colours by those of up to 50 values.
        rows: N rows of texts, one for each column.

    Raises:
        ValueError: another number of rows, or of texts in one.
    """

    embeddings: NDArray[np.float32]
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]

    def __post_init__(self) -> None:
        widths = {len(row) for row in self.rows}
        if len(self.rows) != len(self.embeddings) or widths - {len(self.columns)}:
            found = f"{len(self.rows)} rows of {sorted(widths)} texts"
            raise ValueError(f"{found}; expected {len(self.embeddings)} of {len(self.columns)}")


def write_tensorboard(folder: Path, epoch: int, images: Mapping[str, Path], projector: Projector) -> None:
    """Write what TensorBoard's tabs Images and Projector show; what was in the folder goes.

    Args:
        folder: inside of the trial's folder: a run of its own in TensorBoard.
        epoch: of the checkpoint.
        images: tag -> PNG.
        projector: embeddings with their texts.
    """
    from PIL import Image
    from torch.utils.tensorboard import SummaryWriter

    beside = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(beside, ignore_errors=True)
    with SummaryWriter(str(beside)) as writer:
        for tag, path in images.items():
            with Image.open(path) as image:
                writer.add_image(tag, np.asarray(image.convert("RGB")), epoch, dataformats="HWC")
        # a tab or the end of a line in a title would begin another cell
        rows = [[" ".join(printable(text).split()) for text in row] for row in projector.rows]
        writer.add_embedding(projector.embeddings, rows, metadata_header=list(projector.columns), global_step=epoch)
    shutil.rmtree(folder, ignore_errors=True)
    beside.rename(folder)
