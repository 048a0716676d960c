"""Retrieval metrics: arrays in, numbers out; no files, no names of clips.

scores      where scores come from, in blocks of queries: embeddings, or a matrix in memory or on disk
ranking     scores -> the rank of every relevant item, and each query's best candidates
pairing     scores of one caption a clip -> accuracy@k, beside chance
retrieval   ranks -> R@k, AP@k, median rank, accuracy@k, for each query and as means
graded      ranks and gains -> nDCG@k
ceiling     the most that is possible where queries share their words
chance      the same numbers for a random order, in closed form
breakdown   ranks in bins: histograms, and metrics by a property of the queries
ensembles   several systems as one
intervals   how sure a number is: jackknife and bootstrap, by clip
comparison  two systems on the same queries: difference, interval, p-value
protocols   what each year of the DCASE challenge measures
checks      what every metric asks of its ranks
"""

from utils.metric_utils.chance import chance_metrics
from utils.metric_utils.comparison import Comparison, compare_paired
from utils.metric_utils.graded import chance_ndcg, ndcg_at_k
from utils.metric_utils.intervals import (
    Interval,
    bootstrap_intervals,
    bootstrap_metrics,
    jackknife_intervals,
)
from utils.metric_utils.pairing import (
    PairingAccuracy,
    SelectedCandidates,
    first_caption_of_each_clip,
    pairing_accuracy,
)
from utils.metric_utils.protocols import DEFAULT_PROTOCOL, PROTOCOLS, Protocol
from utils.metric_utils.ranking import (
    Ranking,
    Relevance,
    rank_and_top_k,
    ranks_of_relevant,
    tie_order,
    top_k,
)
from utils.metric_utils.retrieval import (
    AUDIO_TO_TEXT,
    MEDIAN_RANK,
    TEXT_TO_AUDIO,
    Cutoffs,
    average_precision_at_k,
    best_ranks,
    hit_at_k,
    per_query_values,
    recall_at_k,
    retrieval_metrics,
    summarise,
)
from utils.metric_utils.scores import (
    EmbeddingScores,
    MatrixScores,
    NonFiniteEmbeddingError,
    NonFiniteScoreError,
    ScoreSource,
    SelectedQueries,
)

__all__ = [
    "AUDIO_TO_TEXT",
    "DEFAULT_PROTOCOL",
    "MEDIAN_RANK",
    "PROTOCOLS",
    "TEXT_TO_AUDIO",
    "Comparison",
    "Cutoffs",
    "EmbeddingScores",
    "Interval",
    "MatrixScores",
    "NonFiniteEmbeddingError",
    "NonFiniteScoreError",
    "PairingAccuracy",
    "Protocol",
    "Ranking",
    "Relevance",
    "ScoreSource",
    "SelectedCandidates",
    "SelectedQueries",
    "average_precision_at_k",
    "best_ranks",
    "bootstrap_intervals",
    "bootstrap_metrics",
    "chance_metrics",
    "chance_ndcg",
    "compare_paired",
    "first_caption_of_each_clip",
    "hit_at_k",
    "jackknife_intervals",
    "ndcg_at_k",
    "pairing_accuracy",
    "per_query_values",
    "rank_and_top_k",
    "ranks_of_relevant",
    "recall_at_k",
    "retrieval_metrics",
    "summarise",
    "tie_order",
    "top_k",
]
