"""Which index a number of embeddings gets.

The rule follows faiss's guidelines: exact while a scan is fast; inverted lists where the vectors fit in memory; product
quantisation where they do not.

Source: https://github.com/facebookresearch/faiss/wiki/Guidelines-to-choose-an-index
"""

from __future__ import annotations

import math
from typing import Literal, NamedTuple, get_args

from utils.cli_utils import UserError

IndexKind = Literal["flat", "ivf", "hnsw", "pq"]
INDEX_KINDS: tuple[IndexKind, ...] = get_args(IndexKind)

FLAT_CLIPS = 50_000  # a scan of them takes milliseconds, and training lists would gain nothing
GRAPH_LINKS = 32  # of a clip in the graph; twice as many on its lowest level. The guidelines: 4 to 64
_LISTS_FACTOR = 4  # the guidelines: 4 to 16 times the root of the number of vectors
_TRAINING_PER_LIST = 40  # faiss warns below 39
_CENTROIDS = 256  # of a sub-vector: its number is one byte
_TRAINING_PER_CENTROID = 256
_LEAST_NODES, _MOST_NODES = 64, 4096  # of a graph, open at a time
_LEAST_LISTS = 8
_SUB_WIDTHS = (4, 8, 16, 32)  # numbers that one byte stands for; the smallest that fits in memory is the most accurate


class IndexPlan(NamedTuple):
    """An index of N vectors.

    Attributes:
        kind: flat: all vectors, scanned whole; ivf: vectors in lists, of which the nearest are scanned; hnsw: a graph
            of neighbours; pq: lists of compressed vectors.
        clips: N.
        width: E, of the embeddings.
        lists: of ivf and pq.
        sub_width: of pq, numbers that one byte stands for.
    """

    kind: IndexKind
    clips: int
    width: int
    lists: int = 0
    sub_width: int = 0

    @property
    def padded_width(self) -> int:
        """Width of the vectors in the index: zeros at their end change no product."""
        return -(-self.width // self.sub_width) * self.sub_width if self.sub_width else self.width

    @property
    def code_bytes(self) -> int:
        """Bytes of a vector in the index."""
        return self.padded_width // self.sub_width if self.sub_width else 4 * self.width

    @property
    def nbytes(self) -> int:
        """Bytes of the index, to within a few per cent."""
        # numbers of the list's vectors are 8 bytes, those of neighbours 4; a graph's upper levels hold a few per cent
        extra = {"flat": 0, "ivf": 8, "hnsw": 8 * GRAPH_LINKS + 16, "pq": 8}[self.kind]
        tables = 4 * self.lists * self.padded_width + (4 * _CENTROIDS * self.padded_width if self.sub_width else 0)
        return self.clips * (self.code_bytes + extra) + tables

    @property
    def training_clips(self) -> int:
        """How many of the vectors train the lists and codes; 0: there is nothing to train."""
        wanted = _TRAINING_PER_LIST * self.lists
        if self.sub_width:
            wanted = max(wanted, _CENTROIDS * _TRAINING_PER_CENTROID)
        return min(self.clips, wanted)

    @property
    def efforts(self) -> list[int]:
        """How hard the index can search, in doubling steps: lists that are scanned, or open nodes; flat has one."""
        if self.kind == "flat":
            return [0]
        first, last = (_LEAST_NODES, _MOST_NODES) if self.kind == "hnsw" else (_LEAST_LISTS, self.lists)
        steps = [min(first, last)]
        while steps[-1] < last:
            steps.append(min(2 * steps[-1], last))
        return steps


def plan_index(kind: IndexKind | None, clips: int, width: int, memory_bytes: float) -> IndexPlan:
    """Choose an index.

    Args:
        kind: None: by the number of clips and the memory.
        clips: N.
        width: E.
        memory_bytes: the index may take; what is mapped must stay in memory to be fast.
    Raises:
        UserError: an index of this kind is larger, or there are too few clips to train one.
    """
    if kind == "pq" and clips < _CENTROIDS:
        raise UserError(
            f"--index pq: there are {clips} clips, expected at least {_CENTROIDS} to learn the codes from; use "
            "--index flat"
        )
    fitting = [plan for plan in _plans(kind, clips, width) if plan.nbytes <= memory_bytes]
    if not fitting:
        smallest = min(_plans(kind, clips, width), key=lambda plan: plan.nbytes)
        other = "" if kind in (None, "pq") else ", or take --index pq"
        raise UserError(
            f"--index-memory {memory_bytes / 1e9:g}: an index of kind {smallest.kind} of {clips} clips takes "
            f"{smallest.nbytes / 1e9:.2g} GB; give that much{other}"
        )
    return fitting[0]


def _plans(kind: IndexKind | None, clips: int, width: int) -> list[IndexPlan]:
    """The indexes in question, the best first."""
    lists = _lists_of(clips)
    compressed = [IndexPlan("pq", clips, width, lists, sub_width) for sub_width in _SUB_WIDTHS]
    if kind == "pq":
        return compressed
    if kind is not None:
        return [IndexPlan(kind, clips, width, lists if kind == "ivf" else 0)]
    if clips <= FLAT_CLIPS:
        return [IndexPlan("flat", clips, width), *(compressed if clips >= _CENTROIDS else [])]
    return [IndexPlan("ivf", clips, width, lists), *compressed]


def _lists_of(clips: int) -> int:
    """The power of two that is nearest to 4 times the root, as far as there are clips to train so many lists."""
    return max(1, min(2 ** round(math.log2(_LISTS_FACTOR * math.sqrt(clips))), clips // _TRAINING_PER_LIST))
