"""Check that vectors come from the encoder that is named; its name and its width are no proof.

Training and `--check` compare an encoder that is on this machine with the vectors in the features; stage 3 compares
the encoder of a query with that of the run's vectors.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from models.frozen.audio import audio_revision
from models.frozen.changes import refuse_stale as refuse_stale_encoder
from models.sounds import SoundInput
from tasks.base import SplitData
from utils.cli_utils import UserError
from utils.cli_utils.repairs import Product, make
from utils.data_utils import CaptionDataSpec, CaptionedClips
from utils.pretrained_utils import model_revision

_PRODUCTS: dict[str, Product] = {"audio": "audio-embeddings", "text": "text-embeddings"}


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
            refuse_stale_encoder(model, made[kind], revision_of, what, make(_PRODUCTS[kind]))


def refuse_changed(splits: Iterable[SplitData], kind: Literal["audio", "text"], model: str, revision: str) -> None:
    """Compare the digest of an encoder with that of the one that made the vectors, where their file notes it.

    Args:
        splits: of the run.
        kind: audio or text.
        model: as the YAML names it.
        revision: of the model that is loaded now.

    Raises:
        UserError: they differ.
    """
    made = {split.revisions[kind] for split in splits if kind in split.revisions} - {revision}
    if made:
        raise UserError(
            f"{model}: is now {revision}, but {min(made)} made the run's {kind} vectors, and what has their width need "
            "not be of their space; name the model that made them, or make the vectors again: "
            f"{make(_PRODUCTS[kind])}, then train again: {make('training', '--fresh')}"
        )


def refuse_other_sounds(splits: Iterable[CaptionedClips], sound: SoundInput) -> None:
    """Compare how a sound would be embedded with how the run's clips were: model, digest, pooling and input.

    Raises:
        UserError: they differ.
    """
    if sound.encoder is None:
        return
    splits = list(splits)
    refuse_changed(splits, "audio", sound.encoder["model"], sound.encoder["revision"])
    for split in splits:
        for key, now in sound.encoder.items():
            found = split.audio_made_with.get(key, now)
            if found != now:
                raise UserError(
                    f"{key} of the run's audio vectors is {found}, sounds would be embedded with {now}; correct "
                    f"data, or make the vectors again: {make('audio-embeddings')}, then train again: "
                    f"{make('training', '--fresh')}"
                )
