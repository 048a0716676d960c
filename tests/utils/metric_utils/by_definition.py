"""Ranks and metrics by their definitions, and random tasks to compare them on."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from utils.metric_utils.ranking import ranks_of_relevant
from utils.metric_utils.scores import MatrixScores

AP_10_OF_ONE = sum(1 / r for r in range(1, 11))  # 2.929: times 1/N it is chance with one relevant item


def pairs(relevant: list[list[int]]) -> tuple[np.ndarray, np.ndarray]:
    """COO pairs of the relevant items of each query."""
    query = [q for q, items in enumerate(relevant) for _ in items]
    return np.array(query), np.array([item for items in relevant for item in items])


def ranks_by_definition(scores, query_index, item_index):
    """Sort each row: higher scores first, equal ones by index."""
    ranks = []
    for query, item in zip(query_index, item_index, strict=True):
        row = scores[query].tolist()
        order = sorted(range(len(row)), key=lambda c, row=row: (-row[c], c))
        ranks.append(order.index(item) + 1)
    return ranks


def metrics_by_definition(ranks, query_index, number_of_queries):
    """R@k, AP@k, hit@k and best rank, one query at a time, from a list of flags in rank order."""
    values = []
    for query in range(number_of_queries):
        mine = sorted(int(r) for r, q in zip(ranks, query_index, strict=True) if q == query)
        flags = [rank in mine for rank in range(1, mine[-1] + 20)]
        value = {"median_rank": mine[0]}
        for k in (1, 5, 10):
            value[f"R@{k}"] = sum(flags[:k]) / len(mine)
            value[f"hit@{k}"] = float(any(flags[:k]))
        for k in (10, 16):
            precisions = [sum(flags[: r + 1]) / (r + 1) for r in range(k) if flags[r]]
            value[f"mAP@{k}"] = sum(precisions) / len(mine)
        values.append(value)
    means = {key: float(np.mean([v[key] for v in values])) for key in values[0]}
    return {**means, "median_rank": float(np.median([v["median_rank"] for v in values]))}


@st.composite
def tasks(draw, ties=True):
    """A score matrix and relevant pairs in any order, one to all candidates a query."""
    queries, candidates = draw(st.integers(1, 7)), draw(st.integers(1, 9))
    if ties:
        values = st.sampled_from([-1.0, -0.0, 0.0, 0.5, 1.0])
        scores = draw(hnp.arrays(np.float32, (queries, candidates), elements=values))
    else:
        order = draw(st.permutations(range(queries * candidates)))
        scores = np.array(order, np.float32).reshape(queries, candidates)
    item = st.integers(0, candidates - 1)
    relevant = [sorted(draw(st.sets(item, min_size=1))) for _ in range(queries)]
    query_index, item_index = pairs(relevant)
    shuffle = np.array(draw(st.permutations(range(len(query_index)))))
    return scores, query_index[shuffle], item_index[shuffle]


def relevant_ranks(scores, query_index, item_index):
    return ranks_of_relevant(MatrixScores(scores), query_index, item_index)
