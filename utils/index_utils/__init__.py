"""Indexes of embeddings for approximate search: which kind, how it is built, how it is searched."""

from utils.index_utils.building import build_index
from utils.index_utils.plans import INDEX_KINDS, IndexKind, IndexPlan, plan_index
from utils.index_utils.searching import RECALL_TARGET, VectorSearch, tuned

__all__ = [
    "INDEX_KINDS",
    "RECALL_TARGET",
    "IndexKind",
    "IndexPlan",
    "VectorSearch",
    "build_index",
    "plan_index",
    "tuned",
]
