"""Check that the vectors in the features come from the encoders that `data:` names."""

from __future__ import annotations

from collections.abc import Iterable

from models.frozen.changes import refuse_stale as refuse_stale_encoder
from tasks.base import SplitData
from tasks.same_sounds import PRODUCTS, refuse_stale_audio
from utils.cli_utils.repairs import make
from utils.data_utils import CaptionDataSpec
from utils.pretrained_utils import model_revision


def refuse_stale(splits: Iterable[SplitData], data: CaptionDataSpec) -> None:
    """Compare the encoders that `data:` names with those that made the vectors, where they are files on this machine.

    Raises:
        ArtefactError: one has changed since.
    """
    splits = list(splits)
    refuse_stale_audio(splits, data)
    if (model := data.text_embeddings.model) is not None:
        made = {split.revisions["text"] for split in splits if "text" in split.revisions}
        what = f"text vectors in {data.features}"
        refuse_stale_encoder(model, made, model_revision, what, make(PRODUCTS["text"]))
