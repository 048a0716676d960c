"""Language-based audio retrieval: a dual encoder trained with InfoNCE, measured as retrieval both ways."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

from tasks.retrieval.dual_encoder import RETRIEVAL_METRICS, DualEncoderRun
from utils.model_utils import TrainingSpec


class RetrievalTrainingSpec(TrainingSpec):
    """The `training:` block."""

    select_on: str = "mAP@10"

    higher_is_better: ClassVar[Mapping[str, bool]] = RETRIEVAL_METRICS


class RetrievalRun(DualEncoderRun):
    """conf.yaml."""

    task: Literal["retrieval"]
    training: RetrievalTrainingSpec = RetrievalTrainingSpec()
