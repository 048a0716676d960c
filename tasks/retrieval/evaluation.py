"""Measure the scores of a split by a protocol: what the scripts of stage 3 share."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from tasks.base import RunSpec
from tasks.retrieval.matching import MatchedQueries, match_queries
from tasks.retrieval.scores import SplitScores
from utils.artefact_utils import Caption
from utils.artefact_utils.retrieval import read_relevance
from utils.cli_utils import UserError
from utils.metric_utils.ceiling import ceiling_of_shared_queries, is_shared
from utils.metric_utils.chance import chance_metrics
from utils.metric_utils.intervals import Interval, bootstrap_intervals, jackknife_intervals
from utils.metric_utils.pairing import SelectedCandidates
from utils.metric_utils.protocols import Protocol
from utils.metric_utils.ranking import Relevance, rank_and_top_k, tie_order
from utils.metric_utils.retrieval import MEDIAN_RANK, Cutoffs, per_query_values, retrieval_metrics
from utils.metric_utils.scores import NonFiniteScoreError, ScoreSource, SelectedQueries

T = TypeVar("T")
Indices = NDArray[np.int64]
Values = NDArray[np.float64]
_NDCG = (10, 16)
RELEVANCE_FILE = "metadata_eval.csv"  # of data.root


class Judgements(NamedTuple):
    """Which clips are relevant to which captions: R pairs."""

    rows: Indices  # (Q',) the captions that are queries
    query_index: Indices  # (R,) in [0, Q')
    item_index: Indices  # (R,) in [0, C)
    gains: Values | None  # (R,); None: all alike
    matched: MatchedQueries | None  # where they come from lists, what did not match
    file: Path | None


@dataclasses.dataclass(frozen=True)
class Direction:
    """The ranks of one direction, and the metrics computed from them.

    Attributes:
        shape: (queries, candidates).
        ranks: (R,) of the relevant items.
        query_index: (R,) the query of each.
        clusters: (Q,) the clip of each query; queries of one clip are not independent.
        cutoffs: what is measured.
        gains: (R,) of graded relevance; None: all alike.
        knows_ranks: False where nothing is known beyond the cut-offs, so that there is no median rank.
    """

    shape: tuple[int, int]
    ranks: Indices
    query_index: Indices
    clusters: Indices
    cutoffs: Cutoffs
    gains: Values | None = None
    knows_ranks: bool = True

    def metrics(self) -> dict[str, float]:
        """By name, with `queries` and `candidates`."""
        found = retrieval_metrics(self.ranks, self.query_index, self.shape[0], self.cutoffs, self.gains)
        return self._known(found) | {"queries": self.shape[0], "candidates": self.shape[1]}

    def chance(self) -> dict[str, float]:
        """The same metrics of a random order, in closed form."""
        counts = np.bincount(self.query_index, minlength=self.shape[0])
        return self._known(chance_metrics(counts, self.shape[1], self.cutoffs, self.gains, self.query_index))

    def values(self) -> dict[str, Values]:
        """(Q,) of each metric, one a query."""
        found = per_query_values(self.ranks, self.query_index, self.shape[0], self.cutoffs, self.gains)
        return self._known(found)

    def intervals(self) -> dict[str, dict[str, Interval]]:
        """95 % intervals by `bootstrap` and by `jackknife`: clips drawn, or left out, with all their captions.

        Without any where all queries are of one clip: there is nothing to draw from.
        """
        if (self.clusters == self.clusters[0]).all():
            return {"bootstrap": {}, "jackknife": {}}
        values = self.values()
        return {
            "bootstrap": bootstrap_intervals(values, self.clusters),
            "jackknife": jackknife_intervals(values, self.clusters),
        }

    def _known(self, numbers: dict[str, T]) -> dict[str, T]:
        return {key: value for key, value in numbers.items() if self.knows_ranks or key != MEDIAN_RANK}


class SharedCaptions(NamedTuple):
    """Captions that several clips have word for word, of which each query wants its own clip alone."""

    texts: Indices  # (Q',) a number for the words of each query
    is_shared: NDArray[np.bool_]  # (Q',) whether another clip has the same words
    ceiling: dict[str, float]  # R@k and mAP@k of text to audio that no system can exceed

    def describe(self, items: str = "audio") -> str:
        """One line: how many, and what they cost.

        Args:
            items: what the clips are, such as audio.
        """
        reached = ", ".join(f"{key} {value:.4f}" for key, value in self.ceiling.items())
        return (
            f"{self.is_shared.sum()} of {len(self.texts)} captions are also, word for word, those of another clip; "
            f"at most {reached} can be reached, text to {items}"
        )


class Evaluation(NamedTuple):
    """A split's scores, measured by a protocol."""

    protocol: Protocol
    judgements: Judgements
    text_to_audio: Direction
    audio_to_text: Direction | None  # None: not all scores are known
    best_clips: Indices  # (Q', top) columns of each query's best clips, best first
    shared: SharedCaptions | None = None  # None: every caption is of one clip alone, or relevance lists decide


def evaluate_split(
    scores: SplitScores, run: RunSpec, protocol: Protocol, relevance: Path | None = None, top: int = 10
) -> Evaluation:
    """Rank both directions, in one pass each.

    Args:
        scores: of a split.
        run: its data.root contains the relevance lists.
        protocol: what to measure.
        relevance: another file of relevance lists than data.root's.
        top: clips to keep for each query.
    Raises:
        UserError: a score is not finite, or the protocol needs relevance lists that are missing or match nothing.
    """
    judgements = judge(scores, run, protocol, relevance)
    rows, own = judgements.rows, scores.clip_of_caption
    source: ScoreSource = scores.text_to_audio()
    if len(rows) < len(scores.captions):
        source = SelectedQueries(source, rows)
    pairs = Relevance(judgements.query_index, judgements.item_index, len(rows), len(scores.clips))
    try:
        ranking = rank_and_top_k(source, pairs, top)
    except NonFiniteScoreError as error:
        raise scores.not_finite(_of_caption(error, rows)) from error
    depth = scores.depth if scores.depth != len(scores.clips) else None  # a list of all clips gives every rank
    forward = Direction(
        (len(rows), len(scores.clips)),
        ranking.ranks,
        judgements.query_index,
        own[rows],
        _within(_graded(protocol.text_to_audio, judgements.gains), depth),
        judgements.gains,
        knows_ranks=depth is None,
    )
    backward = _audio_to_text(scores, protocol.audio_to_text) if scores.is_whole else None
    shared = _shared_captions(scores, judgements, forward)
    return Evaluation(protocol, judgements, forward, backward, ranking.top_index, shared)


def _shared_captions(scores: SplitScores, judgements: Judgements, forward: Direction) -> SharedCaptions | None:
    """Find captions of several clips; None with relevance lists, which name all relevant clips and set no ceiling."""
    if judgements.matched is not None:
        return None
    spelled = [scores.captions[row].raw_text.strip() for row in judgements.rows.tolist()]
    texts = np.unique(np.array(spelled, object), return_inverse=True)[1]
    shared = is_shared(texts, judgements.item_index)
    if not shared.any():
        return None
    return SharedCaptions(texts, shared, ceiling_of_shared_queries(texts, judgements.item_index, forward.cutoffs))


def judge(scores: SplitScores, run: RunSpec, protocol: Protocol, relevance: Path | None) -> Judgements:
    """Which clips are relevant to which captions: each caption's own, or those of the relevance lists.

    Raises:
        UserError: the lists are missing, broken, or match no caption.
    """
    if not protocol.several_relevant and relevance is None:
        _refuse_missing(scores, scores.captions_to_score, f"{protocol.name} needs every caption")
        rows = np.arange(len(scores.captions))
        return Judgements(rows, rows, scores.clip_of_caption, None, None, None)
    file = relevance or run.data.root / RELEVANCE_FILE
    if not file.is_file():
        raise UserError(
            f"{file}: no such file; expected the relevant clips of every query (query, audio_filenames) that "
            f"{protocol.name} is measured by: name the file with --relevance"
        )
    wanted = scores.captions_to_score
    matched = match_queries(read_relevance(file, scores.ids), wanted, scores.clips)
    if not len(matched.rows):
        if not matched.unmatched:
            found = f"none of its files is a clip of '{scores.split}', such as {matched.unknown_files[:1]}"
            raise UserError(f"{file}: {found}; name the split that it belongs to with --split")
        raise UserError(
            f"{file}: none of its queries is a caption of '{scores.split}', such as '{matched.unmatched[0]}'; "
            "name the split that it belongs to with --split, or, of ids, the tables that they are from with --ids FILE"
        )
    queries = [wanted[row] for row in matched.rows.tolist()]
    _refuse_missing(scores, queries, f"{file.name} needs {len(queries)} captions")
    gains = None if (matched.gains == 1).all() else matched.gains
    row_of = {caption.tid: row for row, caption in enumerate(scores.captions)}
    rows = np.array([row_of[caption.tid] for caption in queries])
    order = np.argsort(rows)  # as the blocks of the scores come
    place = np.argsort(order)  # of each query in that order
    return Judgements(rows[order], place[matched.query_index], matched.item_index, gains, matched, file)


def _refuse_missing(scores: SplitScores, wanted: Sequence[Caption], why: str) -> None:
    """Refuse scores that lack some of the queries."""
    there = {caption.tid for caption in scores.captions}
    missing = [caption for caption in wanted if caption.tid not in there]
    if missing:
        raise UserError(
            f"{scores.path}: {len(missing)} captions have no scores, the first is '{missing[0].raw_text}', and {why}; "
            "add their rows"
        )


def _of_caption(error: NonFiniteScoreError, rows: Indices) -> NonFiniteScoreError:
    """The same error, of the caption that the query is."""
    return NonFiniteScoreError(int(rows[error.query]), error.candidate, error.value)


def _audio_to_text(scores: SplitScores, cutoffs: Cutoffs) -> Direction:
    order = tie_order(len(scores.captions))
    clips, captions = scores.clip_of_caption[order], np.arange(len(order))
    shape = (len(scores.clips), len(scores.captions))
    source = SelectedCandidates(scores.audio_to_text(), order)
    ranks = rank_and_top_k(source, Relevance(clips, captions, *shape), 0).ranks
    return Direction(shape, ranks, clips, np.arange(shape[0]), cutoffs)


def _graded(cutoffs: Cutoffs, gains: Values | None) -> Cutoffs:
    """Add nDCG where relevance is graded: R@k and mAP@k ignore the grades."""
    return cutoffs if gains is None or cutoffs.ndcg else dataclasses.replace(cutoffs, ndcg=_NDCG)


def _within(cutoffs: Cutoffs, depth: int | None) -> Cutoffs:
    """The cut-offs at which lists of `depth` names are known."""
    if depth is None:
        return cutoffs
    given = dataclasses.asdict(cutoffs)
    return Cutoffs(**{name: tuple(k for k in ks if k <= depth) for name, ks in given.items()})
