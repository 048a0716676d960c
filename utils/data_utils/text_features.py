"""The captions of a split as encoders take them: vectors of a frozen text model, or tokens."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

if TYPE_CHECKING:
    from utils.text_utils import Tokenizer


class TextFeatures(Protocol):
    """The M captions of a split, or the texts of some queries."""

    width: int  # E of the vectors; 0 for tokens

    def __len__(self) -> int:
        """M."""
        ...

    def batch(self, rows: Tensor) -> dict[str, Tensor]:
        """The captions of `rows` (B,) int64: `text` (B, E), or `text_ids` and `text_mask` (B, L)."""

    def batches(self, size: int) -> Iterable[dict[str, Tensor]]:
        """All captions in order, so many at a time."""


class VectorTexts:
    """One vector a caption, in memory."""

    def __init__(self, vectors: NDArray[np.float32]) -> None:
        """Hold the (M, E) float32 vectors."""
        self.table = torch.from_numpy(vectors)  # shares the memory
        self.width = vectors.shape[1]

    def __len__(self) -> int:
        return len(self.table)

    def batch(self, rows: Tensor) -> dict[str, Tensor]:
        """`text` (B, E) float32."""
        return {"text": self.table.index_select(0, rows)}

    def batches(self, size: int) -> Iterable[dict[str, Tensor]]:
        """`text`, so many captions at a time."""
        return ({"text": part} for part in self.table.split(size))


class TokenTexts:
    """The tokens of every caption, cut once; a batch is as wide as its longest caption."""

    width = 0

    def __init__(self, tokenizer: Tokenizer, texts: Sequence[str]) -> None:
        tokens = tokenizer(texts)
        self._ids = tokens.ids.to(torch.int32)  # (M, L)
        self._mask = tokens.mask.bool()
        self._lengths = self._mask.sum(dim=1)

    def __len__(self) -> int:
        return len(self._ids)

    def batch(self, rows: Tensor) -> dict[str, Tensor]:
        """`text_ids` (B, L) int64 and `text_mask` (B, L) bool."""
        longest = int(self._lengths[rows].max())
        return {
            "text_ids": self._ids[rows, :longest].long(),
            "text_mask": self._mask[rows, :longest],
        }

    def batches(self, size: int) -> Iterable[dict[str, Tensor]]:
        """The same, so many captions at a time."""
        return (self.batch(rows) for rows in torch.arange(len(self)).split(size))
