"""Ensembles of systems: weighted means of their scores, normalised query by query."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from utils.metric_utils.ranking import Indices, Relevance, ranks_of_relevant
from utils.metric_utils.retrieval import Cutoffs, retrieval_metrics
from utils.metric_utils.scores import MatrixScores, Scores, ScoreSource, checked_blocks

Normalisation = Literal["rank", "zscore", "none"]
Weights = tuple[float, ...]

_CHUNK_SCORES = 2**20  # scores normalised at a time
_RANK_DECIMALS = 12  # to which means of rank shares are rounded
_UNITS = 20  # weights are multiples of 1 / 20
_STEPS = (2, 1)  # the search moves weight in steps of 0.1, then of 0.05
# The metrics that weights can be chosen by, without their @k; higher is better for all of them.
_CUTOFF_OF = {"R": "recall", "mAP": "average_precision", "hit": "hit"}


class ChosenWeights(NamedTuple):
    """The result of `choose_weights`."""

    weights: Weights  # one a member: multiples of 0.05, >= 0, with sum 1
    value: float  # the metric with these weights
    member_values: list[float]  # the metric of each member alone
    even_value: float  # the metric with weights that are as even as multiples of 0.1 can be


def normalised(scores: Scores, how: Normalisation) -> NDArray[np.float64]:
    """Normalise the scores of each query, so that those of several systems can be averaged.

    Args:
        scores: (q, C), higher = more similar.
        how: "rank": the share of the other candidates with a lower score, equal ones counted half, in [0, 1];
            "zscore": minus the query's mean, divided by its standard deviation (0 where all are equal);
            "none": unchanged.
    Returns:
        (q, C) float64; in exact arithmetic the order of a query's candidates is unchanged, ties included.
    Raises:
        ValueError: an unknown `how`.
    """
    check_normalisation(how)
    if how == "rank":
        return _rank_shares(scores)
    values = scores.astype(np.float64)
    if how == "none":
        return values
    values -= values.mean(axis=1, keepdims=True)
    spread = values.std(axis=1, keepdims=True)
    constant = scores.max(axis=1, keepdims=True) == scores.min(axis=1, keepdims=True)  # the spread may be rounding
    return np.divide(values, spread, out=np.zeros_like(values), where=~constant & (spread > 0))


def check_normalisation(how: str) -> None:
    """Check the name of a normalisation.

    Raises:
        ValueError: it is unknown.
    """
    if how not in get_args(Normalisation):
        raise ValueError(f"normalisation is {how!r}; choices: {', '.join(get_args(Normalisation))}")


class WeightedMean:
    """The weighted mean of several score sources: a `ScoreSource` that holds no whole matrix.

    Args:
        members: K sources of the same queries and candidates.
        weights: K numbers >= 0, not all 0; they are divided by their sum.
        how: see `normalised`.
    Raises:
        ValueError: no member, shapes that differ, weights that do not fit, or an unknown normalisation.
    """

    def __init__(self, members: Sequence[ScoreSource], weights: Sequence[float], how: Normalisation = "zscore") -> None:
        check_normalisation(how)
        self._shape = _common_shape(members)
        if len(weights) != len(members):
            raise ValueError(f"{len(weights)} weights for {len(members)} members; expected one each")
        total = float(np.sum(weights))
        if not np.isfinite(total) or min(weights) < 0 or total <= 0:
            raise ValueError(f"weights are {list(weights)}; expected finite numbers, none below 0, not all 0")
        # A member of weight 0 is not even read.
        used = [(member, weight / total) for member, weight in zip(members, weights, strict=True) if weight > 0]
        self._members = [member for member, _ in used]
        self._weights = [weight for _, weight in used]
        self._how: Normalisation = how

    @property
    def shape(self) -> tuple[int, int]:
        """(Q, C)."""
        return self._shape

    def blocks(self) -> Iterator[tuple[int, Scores]]:
        """Yield (first query, (q, C) scores); float64, so that small differences between members are not rounded away.

        Raises:
            NonFiniteScoreError: a member's score is NaN or infinite.
        """
        for start, of_members in _normalised_blocks(self._members, self._how):
            yield start, _mean(of_members, self._weights, self._how)


def choose_weights(
    members: Sequence[ScoreSource], relevance: Relevance, metric: str = "mAP@10", how: Normalisation = "zscore"
) -> ChosenWeights:
    """Search for the weights that maximise a metric, on scores of the validation split.

    Greedy: start from nearly even weights or from a single member, whichever is best; as long as it raises the metric,
    move a multiple of 0.1 from one member to another; then a multiple of 0.05. For two members this tries all weights.
    Deterministic: of equal values the more even weights win. Each round reads the members once; memory does not grow
    with Q x C.

    Args:
        members: K sources of one shape.
        relevance: the relevant pairs, of the same shape.
        metric: R@k, mAP@k or hit@k.
        how: see `normalised`.
    Raises:
        ValueError: shapes that differ, another metric, or an unknown normalisation.
        NonFiniteScoreError: a member's score is NaN or infinite.
    """
    check_normalisation(how)
    shape = _common_shape(members)
    if shape != (relevance.number_of_queries, relevance.number_of_candidates):
        found = f"members are {shape}, the relevant pairs are of {relevance.number_of_queries, shape[1]}"
        raise ValueError(f"{found}; expected one shape")
    cutoffs = cutoffs_of(metric)

    def values(candidates: list[tuple[int, ...]]) -> list[float]:
        ranks = _ranks_of_all(members, relevance, [_weights(units) for units in candidates], how)
        queries = relevance.query_index, relevance.number_of_queries
        return [retrieval_metrics(r, *queries, cutoffs)[metric] for r in ranks]

    starts = list(dict.fromkeys([_even_units(len(members)), *_single_units(len(members))]))
    first = dict(zip(starts, values(starts), strict=True))
    best = _better(first)
    value = first[best]
    for step in _STEPS:
        while moved := _moves(best, step):
            moved_values = dict(zip(moved, values(moved), strict=True))
            challenger = _better(moved_values)
            if moved_values[challenger] <= value:
                break
            best, value = challenger, moved_values[challenger]
    singles = [first[units] for units in _single_units(len(members))]
    return ChosenWeights(_weights(best), value, singles, first[_even_units(len(members))])


def cutoffs_of(metric: str) -> Cutoffs:
    """Return the cut-offs with which `retrieval_metrics` computes one metric.

    Raises:
        ValueError: the metric is none of R@k, mAP@k, hit@k.
    """
    name, _, k = metric.partition("@")
    if name not in _CUTOFF_OF or not k.isdecimal() or int(k) < 1:
        raise ValueError(f"metric is {metric!r}; choices: R@k, mAP@k, hit@k, with k from 1")
    nothing: dict[str, tuple[int, ...]] = {"recall": (), "average_precision": (), "hit": ()}
    return Cutoffs(**{**nothing, _CUTOFF_OF[name]: (int(k),)})


def _rank_shares(scores: Scores) -> NDArray[np.float64]:
    """Return the (q, C) ranks of each query's scores, lowest first, ties at their mean rank, scaled to [0, 1].

    By hand: scipy's `rankdata` gives the same bits, but takes twice as long for 1000 candidates or more, and
    `choose_weights` calls this in each of its rounds.
    """
    width = scores.shape[1]
    order = np.argsort(scores, axis=1)
    ordered = np.take_along_axis(scores, order, axis=1)
    place = np.arange(width)
    starts = np.ones(scores.shape, np.bool_)  # of runs of equal scores
    starts[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    ends = np.ones(scores.shape, np.bool_)
    ends[:, :-1] = starts[:, 1:]
    first = np.maximum.accumulate(np.where(starts, place, 0), axis=1)
    last = np.minimum.accumulate(np.where(ends, place, width)[:, ::-1], axis=1)[:, ::-1]
    shares = np.empty(scores.shape, np.float64)
    np.put_along_axis(shares, order, (first + last) / (2 * max(width - 1, 1)), axis=1)
    return shares


def _normalised_blocks(
    members: Sequence[ScoreSource], how: Normalisation
) -> Iterator[tuple[int, list[NDArray[np.float64]]]]:
    """Yield (first query, the normalised scores of each member); members may have blocks of different sizes."""
    number_of_queries, number_of_candidates = _common_shape(members)
    most = max(1, _CHUNK_SCORES // number_of_candidates)
    iterators = [checked_blocks(member) for member in members]
    current: list[tuple[int, Scores]] = [next(blocks) for blocks in iterators]
    start = 0
    while True:
        stop = min(start + most, *(first + len(block) for first, block in current))
        yield start, [normalised(block[start - first : stop - first], how) for first, block in current]
        start = stop
        if start == number_of_queries:
            break
        for number, (first, block) in enumerate(current):
            if first + len(block) == start:  # only now: the source may overwrite a block when the next one is read
                current[number] = next(iterators[number])


def _mean(
    of_members: Sequence[NDArray[np.float64]], weights: Sequence[float], how: Normalisation
) -> NDArray[np.float64]:
    total = of_members[0] * weights[0]
    for scores, weight in zip(of_members[1:], weights[1:], strict=True):
        total += scores * weight
    # Means of rank shares are often equal, such as 0.7 x 3 + 0.3 x 4 and 0.3 x 11: without rounding, the last bit of
    # a weight would break the tie.
    return total.round(_RANK_DECIMALS) if how == "rank" else total


def _ranks_of_all(
    members: Sequence[ScoreSource], relevance: Relevance, weights: Sequence[Weights], how: Normalisation
) -> list[Indices]:
    """Return the (R,) ranks with each of several weights, in one pass over the members."""
    ranks = [np.zeros(len(relevance.query_index), np.int64) for _ in weights]
    for start, of_members in _normalised_blocks(members, how):
        pairs, _ = relevance.pairs_of(start, start + len(of_members[0]))
        rows, columns = relevance.query_index[pairs] - start, relevance.item_index[pairs]
        for found, chosen in zip(ranks, weights, strict=True):
            found[pairs] = ranks_of_relevant(MatrixScores(_mean(of_members, chosen, how)), rows, columns)
    return ranks


def _moves(units: tuple[int, ...], step: int) -> list[tuple[int, ...]]:
    """Return all weights that are reached by moving a multiple of `step` from one member to another."""
    moved: list[tuple[int, ...]] = []
    for giver, available in enumerate(units):
        for taker in range(len(units)):
            for amount in range(step, available + 1 if taker != giver else 0, step):
                changed: list[Any] = list(units)
                changed[giver] -= amount
                changed[taker] += amount
                moved.append(tuple(changed))
    return moved


def _better(values: dict[tuple[int, ...], float]) -> tuple[int, ...]:
    """Return the weights of the highest value; of equal values the most even weights, then the first ones."""
    return min(values, key=lambda units: (-values[units], sum(u * u for u in units), [-u for u in units]))


def _weights(units: tuple[int, ...]) -> Weights:
    return tuple(unit / _UNITS for unit in units)


def _even_units(members: int) -> tuple[int, ...]:
    """Return weights in multiples of the first step, as even as possible; the remainder goes to the first members."""
    whole, rest = divmod(_UNITS // _STEPS[0], members)
    return tuple(_STEPS[0] * (whole + (number < rest)) for number in range(members))


def _single_units(members: int) -> list[tuple[int, ...]]:
    return [tuple(_UNITS * (number == one) for number in range(members)) for one in range(members)]


def _common_shape(members: Sequence[ScoreSource]) -> tuple[int, int]:
    if not members:
        raise ValueError("no members; expected at least one")
    shapes = list(dict.fromkeys(member.shape for member in members))
    if len(shapes) > 1:
        raise ValueError(f"members are {', '.join(map(str, shapes))}; expected one shape (Q, C)")
    return shapes[0]
