"""The `training:` block of the systems of clips and captions: how pairs are drawn, and the metrics of retrieval."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from utils.data_utils import SamplingSpec
from utils.model_utils import TrainingSpec

# Metrics of validation that a run can be chosen by, text to audio -> whether higher is better.
RETRIEVAL_METRICS = {"mAP@10": True, "mAP@16": True, "R@1": True, "R@5": True, "R@10": True, "val_loss": False}


class CaptionTrainingSpec(TrainingSpec):
    """The `training:` block; `batch_size` counts pairs, or clips with `sampling.by: clip`."""

    sampling: SamplingSpec = SamplingSpec()
    select_on: str = "mAP@10"

    higher_is_better: ClassVar[Mapping[str, bool]] = RETRIEVAL_METRICS
