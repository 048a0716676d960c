"""Several systems' scores as one: a weighted mean of scores that are made comparable query by query."""

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

_CHUNK_SCORES = 2**20  # normalised at a time
_RANK_DECIMALS = 12  # of means of rank shares
_UNITS = 20  # weights are multiples of 1 / 20
_STEPS = (2, 1)  # first moved by 0.1, then by 0.05
# Metrics that can choose weights, by name before the @; more of each is better.
_CUTOFF_OF = {"R": "recall", "mAP": "average_precision", "hit": "hit"}


class ChosenWeights(NamedTuple):
    """What `choose_weights` found."""

    weights: Weights  # one a member, >= 0, multiples of 0.05, their sum is 1
    value: float  # of the metric, with these weights
    member_values: list[float]  # of the metric, for each member alone
    even_value: float  # of the metric, with nearly even weights: multiples of 0.1


def normalised(scores: Scores, how: Normalisation) -> NDArray[np.float64]:
    """Scores of several systems on one scale, each query by itself.

    Args:
        scores: (q, C), higher = more similar.
        how: "rank": the share of the other candidates that score less, equal ones counted half, in [0, 1];
            "zscore": less the query's mean, over its standard deviation (0 where all are equal);
            "none": as they are.
    Returns:
        (q, C) float64; the order of a query's candidates, ties included, is that of `scores` in exact arithmetic.
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
    """Make sure that `how` is one.

    Raises:
        ValueError: it is not.
    """
    if how not in get_args(Normalisation):
        raise ValueError(f"normalisation is {how!r}; choices: {', '.join(get_args(Normalisation))}")


class WeightedMean:
    """The weighted mean of several sources, as a `ScoreSource` of its own; no whole matrix is held.

    Args:
        members: K sources of one shape, whose queries and candidates are the same.
        weights: K numbers >= 0, not all 0; they are divided by their sum.
        how: as in `normalised`.
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
        kept = [(member, weight / total) for member, weight in zip(members, weights, strict=True) if weight > 0]
        self._members = [member for member, _ in kept]
        self._weights = [weight for _, weight in kept]
        self._how: Normalisation = how

    @property
    def shape(self) -> tuple[int, int]:
        """(Q, C)."""
        return self._shape

    def blocks(self) -> Iterator[tuple[int, Scores]]:
        """(first query, (q, C) float64 scores, in which small differences of members survive).

        Raises:
            NonFiniteScoreError: a member's score is NaN or infinite.
        """
        for start, parts in _normalised_blocks(self._members, self._how):
            yield start, _mean(parts, self._weights, self._how)


def weighted_mean(
    members: Sequence[ScoreSource], weights: Sequence[float], how: Normalisation = "zscore"
) -> WeightedMean:
    """The weighted mean of several sources; see `WeightedMean`."""
    return WeightedMean(members, weights, how)


def choose_weights(
    members: Sequence[ScoreSource], relevance: Relevance, metric: str = "mAP@10", how: Normalisation = "zscore"
) -> ChosenWeights:
    """Weights that make a metric highest; give it scores of validation only.

    From the best of nearly even weights and of each member alone, weight is moved from one member to another, any
    multiple of 0.1, as long as that raises the metric; then any multiple of 0.05. Two members are thus searched
    completely. Deterministic: of equal values the more even weights win. Each round reads the members once; memory does
    not grow with Q x C.

    Args:
        members: K sources of one shape.
        relevance: the relevant pairs, of the same shape.
        metric: R@k, mAP@k or hit@k.
        how: as in `normalised`.
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
        given = relevance.query_index, relevance.number_of_queries
        return [retrieval_metrics(r, *given, cutoffs)[metric] for r in ranks]

    starts = list(dict.fromkeys([_even_units(len(members)), *_single_units(len(members))]))
    first = dict(zip(starts, values(starts), strict=True))
    best = _better(first)
    value = first[best]
    for step in _STEPS:
        while moved := _moves(best, step):
            of_moved = dict(zip(moved, values(moved), strict=True))
            challenger = _better(of_moved)
            if of_moved[challenger] <= value:
                break
            best, value = challenger, of_moved[challenger]
    singles = [first[units] for units in _single_units(len(members))]
    return ChosenWeights(_weights(best), value, singles, first[_even_units(len(members))])


def cutoffs_of(metric: str) -> Cutoffs:
    """The cut-offs that give one metric.

    Raises:
        ValueError: it is none of R@k, mAP@k, hit@k.
    """
    name, _, k = metric.partition("@")
    if name not in _CUTOFF_OF or not k.isdecimal() or int(k) < 1:
        raise ValueError(f"metric is {metric!r}; choices: R@k, mAP@k, hit@k, with k from 1")
    nothing: dict[str, tuple[int, ...]] = {"recall": (), "average_precision": (), "hit": ()}
    return Cutoffs(**{**nothing, _CUTOFF_OF[name]: (int(k),)})


def _rank_shares(scores: Scores) -> NDArray[np.float64]:
    """(q, C) mean rank of each score from below, equal ones sharing theirs, scaled to [0, 1]."""
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
    """(first query, the normalised scores of each member), whatever blocks the members come in."""
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
            if first + len(block) == start:  # used up: the source may overwrite it now
                current[number] = next(iterators[number])


def _mean(parts: Sequence[NDArray[np.float64]], weights: Sequence[float], how: Normalisation) -> NDArray[np.float64]:
    total = parts[0] * weights[0]
    for part, weight in zip(parts[1:], weights[1:], strict=True):
        total += part * weight
    # Means of rank shares are often equal, such as 0.7 x 3 + 0.3 x 4 and 0.3 x 11: rounding must not tell them
    # apart, or the last bit of a weight would decide.
    return total.round(_RANK_DECIMALS) if how == "rank" else total


def _ranks_of_all(
    members: Sequence[ScoreSource], relevance: Relevance, weights: Sequence[Weights], how: Normalisation
) -> list[Indices]:
    """(R,) ranks under each of several weights, in one pass over the members."""
    ranks = [np.zeros(len(relevance.query_index), np.int64) for _ in weights]
    for start, parts in _normalised_blocks(members, how):
        pairs, _ = relevance.pairs_of(start, start + len(parts[0]))
        rows, columns = relevance.query_index[pairs] - start, relevance.item_index[pairs]
        for of_one, given in zip(ranks, weights, strict=True):
            of_one[pairs] = ranks_of_relevant(MatrixScores(_mean(parts, given, how)), rows, columns)
    return ranks


def _moves(units: tuple[int, ...], step: int) -> list[tuple[int, ...]]:
    """All weights that differ by a multiple of `step` moved from one member to another."""
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
    """The weights of the highest value; among equals the most even ones, then the first ones."""
    return min(values, key=lambda units: (-values[units], sum(u * u for u in units), [-u for u in units]))


def _weights(units: tuple[int, ...]) -> Weights:
    return tuple(unit / _UNITS for unit in units)


def _even_units(members: int) -> tuple[int, ...]:
    """Multiples of the first step, as even as can be, the first ones larger."""
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
