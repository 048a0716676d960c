"""The interface of frozen text encoders: captions in, vectors out."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from models.frozen.base import FrozenEncoder

TEXT_MODEL_KEY = "data.text_embeddings.model"  # of the YAML, for messages


class FrozenTextEncoder(FrozenEncoder[str]):
    """A frozen network that maps a caption to a vector of E numbers, the same alone and in any batch.

    The vectors are not normalised here: those of a CLIP are not of length 1, those of a sentence encoder are where its
    last module normalises.

    Args:
        name: as the YAML names it.
        kind: what it is, for messages and notes: "CLIP" or "sentence encoder".
        width: E of the vectors.
        max_tokens: of a caption, start and end included; longer ones are truncated. None: no limit.
    """

    def __init__(self, name: str, kind: str, width: int, max_tokens: int | None) -> None:
        super().__init__(name, width)
        self.kind = kind
        self.max_tokens = max_tokens

    @abstractmethod
    def encode_batch(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Embed one batch of texts as (n, E)."""

    @abstractmethod
    def token_counts(self, texts: Sequence[str]) -> list[int]:
        """Count the tokens of each text before truncation, start and end included."""

    def truncated(self, texts: Sequence[str]) -> int:
        """Count the texts that are longer than `max_tokens`."""
        limit = self.max_tokens
        return 0 if limit is None else sum(count > limit for count in self.token_counts(texts))

    def vectors(self, items: Sequence[str]) -> NDArray[np.float32]:
        """Embed any number of texts as (n, E), in order."""
        return np.concatenate([np.zeros((0, self.width), np.float32), *encode_captions(self, items)])


def encode_captions(
    encoder: FrozenTextEncoder, texts: Sequence[str], batch_size: int = 64, chunk: int = 4096
) -> Iterator[NDArray[np.float32]]:
    """Embed captions in batches of equal or nearly equal numbers of tokens; equal captions are encoded once.

    Yields:
        (n, E) float32 for each chunk of `chunk` captions, in order.
    """
    for start in range(0, len(texts), chunk):
        given = texts[start : start + chunk]
        distinct = list(dict.fromkeys(given))
        # by tokens, not letters: on short captions that would pad a fifth of all tokens
        order = np.argsort([-count for count in encoder.token_counts(distinct)], kind="stable")
        batches = [[distinct[i] for i in order[n : n + batch_size]] for n in range(0, len(order), batch_size)]
        vectors = np.concatenate([encoder.encode_batch(batch) for batch in batches])
        rows = {distinct[i]: row for row, i in enumerate(order)}
        yield vectors.astype(np.float32, copy=False)[[rows[text] for text in given]]
