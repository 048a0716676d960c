"""Retrieval metrics: arrays in, numbers out; no files, no names of clips.

scores      where scores come from, in blocks of queries: embeddings, or a matrix in memory or on disk
ranking     scores -> the rank of every relevant item, and each query's best candidates
pairing     scores of one caption a clip -> accuracy@k, beside chance
retrieval   ranks -> R@k, AP@k, median rank, accuracy@k
chance      the same numbers for a random order, in closed form
"""

from utils.metric_utils.chance import chance_metrics
from utils.metric_utils.pairing import (
    PairingAccuracy,
    SelectedCandidates,
    first_caption_of_each_clip,
    pairing_accuracy,
)
from utils.metric_utils.ranking import (
    Ranking,
    Relevance,
    evaluate,
    rank_and_top_k,
    relevant_ranks,
    top_k,
)
from utils.metric_utils.retrieval import (
    AUDIO_TO_TEXT,
    TEXT_TO_AUDIO,
    Cutoffs,
    accuracy_at_k,
    average_precision_at_k,
    best_ranks,
    hit_at_k,
    median_rank,
    recall_at_k,
    retrieval_metrics,
)
from utils.metric_utils.scores import (
    EmbeddingScores,
    MatrixScores,
    NonFiniteEmbeddingError,
    NonFiniteScoreError,
    ScoreSource,
)

__all__ = [
    "AUDIO_TO_TEXT",
    "TEXT_TO_AUDIO",
    "Cutoffs",
    "EmbeddingScores",
    "MatrixScores",
    "NonFiniteEmbeddingError",
    "NonFiniteScoreError",
    "PairingAccuracy",
    "Ranking",
    "Relevance",
    "ScoreSource",
    "SelectedCandidates",
    "accuracy_at_k",
    "average_precision_at_k",
    "best_ranks",
    "chance_metrics",
    "evaluate",
    "first_caption_of_each_clip",
    "hit_at_k",
    "median_rank",
    "pairing_accuracy",
    "rank_and_top_k",
    "recall_at_k",
    "relevant_ranks",
    "retrieval_metrics",
    "top_k",
]
