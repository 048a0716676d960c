"""Check that the vectors in the features come from the encoders that `data:` names."""

from __future__ import annotations

from collections.abc import Iterable

from models.frozen.audio import audio_revision
from models.frozen.changes import refuse_stale as refuse_stale_encoder
from tasks.base import SplitData
from tasks.same_sounds import PRODUCTS
from utils.cli_utils.repairs import make
from utils.data_utils import CaptionDataSpec
from utils.pretrained_utils import model_revision


def refuse_stale(splits: Iterable[SplitData], data: CaptionDataSpec) -> None:
    """Compare the encoders that `data:` names with those that made the vectors, where they are files on this machine.

    Raises:
        ArtefactError: one has changed since.
    """
    splits = list(splits)
    made = {kind: {split.revisions[kind] for split in splits if kind in split.revisions} for kind in ("audio", "text")}
    audio = None if data.audio_embeddings is None else data.audio_embeddings.model
    for kind, model, revision_of in (
        ("audio", audio, audio_revision),
        ("text", data.text_embeddings.model, model_revision),
    ):
        if model is not None:
            what = f"{kind} vectors in {data.features}"
            refuse_stale_encoder(model, made[kind], revision_of, what, make(PRODUCTS[kind]))
