"""Break a metric down: bin the queries by their rank, by length or by their number of relevant items."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from utils.metric_utils.chance import chance_metrics
from utils.metric_utils.checks import Indices, Values
from utils.metric_utils.retrieval import Cutoffs
from utils.metric_utils.scores import ScoreSource


class Bin(NamedTuple):
    """The integers from `low` to `high`, both included."""

    low: int
    high: int

    @property
    def label(self) -> str:
        """The label on an axis: `7`, `2–5`."""
        return str(self.low) if self.low == self.high else f"{self.low}–{self.high}"

    def holds(self, values: Indices) -> NDArray[np.bool_]:
        """Return a mask of the values that are in the bin."""
        return (self.low <= values) & (values <= self.high)


def rank_bins(last_rank: int) -> list[Bin]:
    """Return the bins 1, 2–5, 6–10, 11–20, 21–50, 51–100, ... up to `last_rank`: finer where ranks are better."""
    powers = [10**n for n in range(1, len(str(last_rank)) + 1)]
    edges = [1, 5, 10, *(m * power for power in powers for m in (2, 5, 10))]
    highs = [edge for edge in edges if edge < last_rank] + [last_rank]
    return [Bin(low + 1, high) for low, high in zip([0, *highs], highs, strict=False)]


def even_bins(values: Indices, most: int) -> list[Bin]:
    """Split values into quantile bins: ascending, about equally full, none empty.

    Where there are at most `most` distinct values, each gets a bin of its own.

    Args:
        values: integers, at least one.
        most: the largest number of bins, at least 1.
    """
    distinct = np.unique(values)
    if len(distinct) <= most:
        return [Bin(value, value) for value in distinct.tolist()]
    cuts = np.quantile(values, np.arange(1, most + 1) / most, method="inverted_cdf").astype(np.int64)
    highs = np.unique(cuts)
    lows = np.concatenate([[values.min()], highs[:-1] + 1])
    # Labels show only values that occur: 8–9, not 8–12, where there is nothing between 9 and 13.
    lows = distinct[np.searchsorted(distinct, lows)]
    return [Bin(low, high) for low, high in zip(lows.tolist(), highs.tolist(), strict=True)]


def chance_by_rank(bins: list[Bin], relevant_counts: Indices, number_of_candidates: int) -> list[float]:
    """Return the expected number of queries whose best rank is in each bin, if every order is equally likely.

    Args:
        bins: from `rank_bins`.
        relevant_counts: (Q,) number of relevant items of each query.
        number_of_candidates: N.
    """
    cutoffs = Cutoffs(recall=(), average_precision=(), hit=tuple(b.high for b in bins))
    hits = chance_metrics(relevant_counts, number_of_candidates, cutoffs)
    within = np.array([0.0, *(hits[f"hit@{b.high}"] for b in bins)])
    shares: list[float] = (np.diff(within) * len(relevant_counts)).tolist()
    return shares


def scores_of(source: ScoreSource, query_index: Indices, item_index: Indices) -> Values:
    """Return the (P,) scores of some pairs, in one pass over the source; memory does not grow with Q x C.

    Args:
        source: the scores.
        query_index: (P,) rows, in any order.
        item_index: (P,) columns.
    """
    # Blocks come in the order of the queries: sorting the pairs once finds those of a block by bisection.
    found = np.full(len(query_index), np.nan)
    order = np.argsort(query_index, kind="stable")
    ascending = query_index[order]
    for start, block in source.blocks():
        first, last = np.searchsorted(ascending, [start, start + len(block)])
        pairs = order[first:last]
        found[pairs] = block[query_index[pairs] - start, item_index[pairs]]
    return found
