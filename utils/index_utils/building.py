"""Build an index of embeddings with faiss, in bounded memory."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from utils.criterion_utils import Similarity
from utils.index_utils.plans import GRAPH_LINKS, IndexPlan
from utils.metric_utils.nearest import unit_vectors

if TYPE_CHECKING:
    import faiss

Array = NDArray[np.float32]
_BLOCK = 2**14  # vectors that are added at a time


def build_index(
    plan: IndexPlan, vectors: Array, similarity: Similarity, seed: int, advance: Callable[[int], object]
) -> faiss.Index:
    """Build an index; with as many threads, faiss's version and the same vectors, it is the same bytes again.

    Lists and codes are trained on a random sample. Trained parts and lists are made by all threads; a graph is made by
    one: with several, it would depend on which of them comes first.

    Args:
        plan: what to build.
        vectors: (N, E) float32, such as an array that is mapped from disk; a block of them is in memory at a time,
            and the training sample.
        similarity: "dot", or "cosine": the vectors are then normalised.
        seed: of the sample and of the training.
        advance: called with the number of vectors that were added.
    """
    import faiss

    index = _empty(plan, seed)
    rng = np.random.default_rng(seed)
    if sample := plan.training_clips:
        rows = np.sort(rng.choice(plan.clips, sample, replace=False))
        index.train(prepared(np.asarray(vectors[rows], np.float32), plan, similarity))
    threads = faiss.omp_get_max_threads()
    with _threads(1 if plan.kind == "hnsw" else threads):
        for start in range(0, plan.clips, _BLOCK):
            block = np.array(vectors[start : start + _BLOCK], np.float32)
            index.add(prepared(block, plan, similarity))
            advance(len(block))
    return index


def prepared(vectors: Array, plan: IndexPlan, similarity: Similarity) -> Array:
    """(N, padded width): vectors or queries as the index takes them, whose products are the similarities."""
    if similarity == "cosine":
        vectors = unit_vectors(vectors)
    return np.ascontiguousarray(np.pad(vectors, ((0, 0), (0, plan.padded_width - plan.width))))


def _empty(plan: IndexPlan, seed: int) -> Any:
    """An index that is not trained. faiss's classes by name, since a factory string would hide the seeds."""
    import faiss

    width, product = plan.padded_width, faiss.METRIC_INNER_PRODUCT
    if plan.kind == "flat":
        return faiss.IndexFlatIP(width)
    if plan.kind == "hnsw":
        return faiss.IndexHNSWFlat(width, GRAPH_LINKS, product)
    quantiser = faiss.IndexFlatIP(width)
    index: Any
    if plan.kind == "ivf":
        index = faiss.IndexIVFFlat(quantiser, width, plan.lists, product)
    else:
        index = faiss.IndexIVFPQ(quantiser, width, plan.lists, plan.code_bytes, 8, product)
        index.pq.cp.seed = seed
        index.pq.cp.min_points_per_centroid = 1
    index.cp.seed = seed
    index.cp.min_points_per_centroid = 1  # few clips make few lists; the recall is measured
    index.cp.max_points_per_centroid = 2**20  # the sample is drawn here
    return index


@contextlib.contextmanager
def _threads(number: int) -> Iterator[None]:
    import faiss

    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(number)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)
