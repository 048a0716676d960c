"""Which pictures are nearly the same: a fingerprint that encoding and scaling hardly change (dHash, 256 bits)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from utils.image_utils.decoding import Picture

# Bits, of 256, by which two files of one picture may differ. 51 photographs encoded again at quality 20 differed by at
# most 12, at half the size by 15, at both by 23; two photographs by 84 or more. Of 450 000 pairs of drawings of the
# embedded corpus, across its splits, one was nearer: small shapes on equal checks, in other colours. A picture that is
# mirrored (69 or more) or whose edges are cut off by 2 percent (up to 51) is not recognised.
MAX_DISTANCE = 24
_SIDE = 16
_BLOCK = 512  # rows of the comparison at a time: 512 x 100 000 pictures take 50 MB


def fingerprint(picture: Picture) -> str:
    """Whether each cell of a 16 x 16 raster is brighter than its left neighbour.

    Args:
        picture: (H, W, 3) uint8, upright.
    Returns:
        64 hexadecimal digits.

    Source: N. Krawetz, "Kind of Like That" (dHash), hackerfactor.com, 2013; with 256 bits in place of 64, since
        drawings on one ground share most of 64.
    """
    grey = Image.fromarray(picture).convert("L").resize((_SIDE + 1, _SIDE), Image.Resampling.BOX)
    cells = np.asarray(grey, np.int16)
    return np.packbits(cells[:, 1:] > cells[:, :-1]).tobytes().hex()


def similar_pairs(fingerprints: Sequence[str], groups: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Yield the pairs of nearly the same pictures that are of two groups, such as splits.

    Args:
        fingerprints: of each picture.
        groups: of each picture.
    """
    words = np.frombuffer(bytes.fromhex("".join(fingerprints)), np.uint64).reshape(-1, _SIDE * _SIDE // 64)
    numbers = np.unique(np.array(groups), return_inverse=True)[1]
    for start in range(0, len(words), _BLOCK):
        block = words[start : start + _BLOCK]
        distances: NDArray[np.uint16] = np.zeros((len(block), len(words) - start), np.uint16)
        for column in range(words.shape[1]):
            distances += np.bitwise_count(block[:, column, None] ^ words[None, start:, column])
        near = (distances <= MAX_DISTANCE) & (numbers[start : start + _BLOCK, None] != numbers[None, start:])
        for first, second in np.argwhere(np.triu(near)).tolist():
            yield start + first, start + second
