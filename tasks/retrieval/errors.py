"""Error analysis by query: its rank, the clips ranked above the relevant one, and the hardest and easiest queries."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from tasks.retrieval.dual_encoder import DualEncoderRun
from tasks.retrieval.evaluation import Direction, Evaluation, Indices, Values
from tasks.retrieval.scores import SplitScores
from utils.metric_utils.breakdown import scores_of
from utils.metric_utils.retrieval import best_ranks
from utils.metric_utils.scores import SelectedQueries


@dataclass(frozen=True)
class Errors:
    """The ranks, scores and metrics of each query.

    Attributes:
        scores: of the split, with its captions and clips.
        root: the folder that the clips' paths start from.
        evaluation: ranks and metrics.
        top: clips to show of each query.
        sought_scores: (R,) of each relevant pair.
        best_scores: (Q, K) of each query's best clips.
    """

    scores: SplitScores
    root: Path
    evaluation: Evaluation
    top: int
    sought_scores: Values
    best_scores: Values

    @classmethod
    def of(cls, scores: SplitScores, run: DualEncoderRun, evaluation: Evaluation, top: int) -> Errors:
        """Read the scores that the page shows."""
        best, judged = evaluation.best_clips, evaluation.judgements
        queries = np.repeat(np.arange(len(best)), best.shape[1])
        source = SelectedQueries(scores.text_to_audio(), judged.rows)
        found = scores_of(
            source,
            np.concatenate([judged.query_index, queries]),
            np.concatenate([judged.item_index, best.ravel()]),
        )
        pairs = len(judged.query_index)
        top = top if scores.depth is None else min(top, scores.depth)  # the system did not rank the clips beyond it
        return cls(scores, run.data.root, evaluation, top, found[:pairs], found[pairs:].reshape(best.shape))

    @property
    def forward(self) -> Direction:
        """Captions as queries."""
        return self.evaluation.text_to_audio

    @cached_property
    def values(self) -> dict[str, Values]:
        """(Q,) of each metric."""
        return self.forward.values()

    @property
    def leading(self) -> str:
        """The metric that the protocol ranks by; where ranked lists are too short for it, the nearest one."""
        return (
            self.evaluation.protocol.leading if self.evaluation.protocol.leading in self.values else _last(self.values)
        )

    @cached_property
    def ranks(self) -> Indices:
        """(Q,) of each query's best relevant clip; of lists, their length + 1 where it is not named."""
        found = best_ranks(self.forward.ranks, self.forward.query_index, self.forward.shape[0])
        return found if self.scores.depth is None else np.minimum(found, self.scores.depth + 1)

    @cached_property
    def wrong(self) -> np.ndarray:
        """(Q, K) bool, which of the best clips are not relevant."""
        judged, clips = self.evaluation.judgements, len(self.scores.clips)
        best = self.evaluation.best_clips + clips * np.arange(len(judged.rows))[:, None]
        return ~np.isin(best, judged.item_index + clips * judged.query_index)

    @cached_property
    def margin(self) -> Values:
        """(Q,) score of the best relevant clip less that of the best wrong one; below 0: a wrong one came first."""
        sought = np.full(len(self.ranks), -np.inf)
        np.maximum.at(sought, self.forward.query_index, self.sought_scores)
        first_wrong = np.where(self.wrong.any(axis=1), self.wrong.argmax(axis=1), self.wrong.shape[1] - 1)
        return sought - self.best_scores[np.arange(len(sought)), first_wrong]

    def hardest(self, number: int) -> Indices:
        """The queries with the lowest leading metric; among equals the later rank, then the wider miss."""
        return self._once(np.lexsort((self.margin, -self.ranks, self.values[self.leading])), number)

    def easiest(self, number: int) -> Indices:
        """The queries with the highest leading metric; among equals the earlier rank, then the clearer lead."""
        return self._once(np.lexsort((-self.margin, self.ranks, -self.values[self.leading])), number)

    def _once(self, order: Indices, number: int) -> Indices:
        """Show queries of the same words once, since their rankings are equal; the first one represents them."""
        first: dict[str, int] = {}
        for query in order.tolist():
            first.setdefault(self.text(query).strip(), query)
        return np.array(list(first.values())[:number], np.int64)

    def text(self, query: int) -> str:
        """A query, as the data set spells it."""
        return self.scores.captions[self.evaluation.judgements.rows[query]].raw_text

    @cached_property
    def lengths(self) -> Indices:
        """(Q,) words of each query."""
        return np.array([len(self.scores.captions[row].tokens) for row in self.evaluation.judgements.rows])

    @cached_property
    def fids_of_text(self) -> dict[str, set[str]]:
        """The clips that have a caption of these words."""
        found: dict[str, set[str]] = {}
        for caption in self.scores.captions:
            found.setdefault(caption.raw_text.strip(), set()).add(caption.fid)
        return found

    @cached_property
    def captions_of(self) -> dict[str, list[str]]:
        """Every clip's captions, by fid."""
        found: dict[str, list[str]] = {}
        for caption in self.scores.captions:
            found.setdefault(caption.fid, []).append(caption.raw_text)
        return found


def _last(values: dict[str, Values]) -> str:
    """The last mAP@k that is there, else the last metric."""
    return next((key for key in reversed(values) if key.startswith("mAP@")), list(values)[-1])
