"""The files that only retrieval has: scores, relevance lists, submissions, and scores of other systems."""

from utils.artefact_utils.retrieval.foreign_scores import ForeignScores, read_foreign_scores
from utils.artefact_utils.retrieval.id_names import IdNames, read_id_names
from utils.artefact_utils.retrieval.relevance import RelevanceList, read_relevance
from utils.artefact_utils.retrieval.scores import ScoreReader, write_scores
from utils.artefact_utils.retrieval.shelves import shelf_of
from utils.artefact_utils.retrieval.submissions import (
    SUBMISSION_YEARS,
    CheckedSubmission,
    check_submission,
    write_matrix_submission,
    write_ranked_submission,
)

__all__ = [
    "SUBMISSION_YEARS",
    "CheckedSubmission",
    "ForeignScores",
    "IdNames",
    "RelevanceList",
    "ScoreReader",
    "check_submission",
    "read_foreign_scores",
    "read_id_names",
    "read_relevance",
    "shelf_of",
    "write_matrix_submission",
    "write_ranked_submission",
    "write_scores",
]
