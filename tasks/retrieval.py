"""Language-based audio retrieval: a dual encoder trained with InfoNCE, measured as retrieval both ways."""

from __future__ import annotations

from typing import Literal

from tasks.dual_encoder import DualEncoderRun
from utils.model_utils import TrainingSpec


class RetrievalTrainingSpec(TrainingSpec):
    """The `training:` block."""

    select_on: Literal["mAP@10", "mAP@16", "R@1", "R@5", "R@10", "val_loss"] = "mAP@10"


class RetrievalRun(DualEncoderRun):
    """conf.yaml."""

    task: Literal["retrieval"]
    training: RetrievalTrainingSpec = RetrievalTrainingSpec()
