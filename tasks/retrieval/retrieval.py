"""Language-based audio retrieval: a dual encoder trained with InfoNCE, measured as retrieval both ways."""

from __future__ import annotations

from typing import Literal

from tasks.retrieval.dual_encoder import DualEncoderRun


class RetrievalRun(DualEncoderRun):
    """conf.yaml."""

    task: Literal["retrieval"]
