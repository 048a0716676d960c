"""The highest values that R@k and mAP@k can take where several queries have the same words."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from utils.metric_utils.checks import Indices
from utils.metric_utils.retrieval import Cutoffs


def is_shared(texts: Indices, items: Indices) -> NDArray[np.bool_]:
    """Return (Q,) bool: whether a query has the same words as a query for another item.

    Args:
        texts: (Q,) a number for the words of each query; equal words have equal numbers.
        items: (Q,) the one relevant item of each query.
    """
    pairs, words, _ = _pairs_of(texts, items)
    items_of_words = np.bincount(pairs[:, 0])
    return items_of_words[words] > 1


def ceiling_of_shared_queries(texts: Indices, items: Indices, cutoffs: Cutoffs) -> dict[str, float]:
    """Return the best metrics of any system that ranks items by the words of the query.

    Queries of the same words get the same order of items. If n of them seek n different items, only one of these can
    be first, one second, and so on: R@1 is at best 1 / n of them, R@k min(k, n) / n, AP@k the mean of 1 / 1, 1 / 2,
    ..., 1 / min(k, n), and 0 for the others. If several of them seek the same item, the best order has
    the most sought item first.

    Args:
        texts: (Q,) a number for the words of each query; equal words have equal numbers.
        items: (Q,) the one relevant item of each query.
        cutoffs: which R@k and mAP@k.
    Returns:
        `R@k` and `mAP@k`; all 1 where no words are shared between items.
    """
    pairs, _, queries = _pairs_of(texts, items)
    # the items that the same words seek, the most sought first: their places are the ranks of the best order
    order = np.lexsort((-queries, pairs[:, 0]))
    queries, words = queries[order], pairs[order, 0]
    rank = 1 + np.arange(len(words)) - np.searchsorted(words, words)
    total = len(texts)
    return {
        **{f"R@{k}": float(queries[rank <= k].sum() / total) for k in cutoffs.recall},
        **{f"mAP@{k}": float((queries / rank)[rank <= k].sum() / total) for k in cutoffs.average_precision},
    }


def _pairs_of(texts: Indices, items: Indices) -> tuple[Indices, Indices, Indices]:
    """(P, 2) each pair of words and item once; (Q,) the words of each query, from 0; (P,) the queries of each pair."""
    _, words = np.unique(texts, return_inverse=True)
    pairs, queries = np.unique(np.stack([words, items], axis=1), axis=0, return_counts=True)
    return pairs, words, queries
