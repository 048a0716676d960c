"""Check that sounds are embedded as the vectors that a run was trained on; a name and a width are no proof."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal, Protocol

from models.frozen.audio import audio_revision
from models.frozen.changes import refuse_stale
from models.sounds import SoundInput
from utils.cli_utils import UserError
from utils.cli_utils.repairs import Product, make
from utils.data_utils import AudioDataSpec

PRODUCTS: dict[str, Product] = {"audio": "audio-embeddings", "text": "text-embeddings"}


class MadeByEncoders(Protocol):
    """A split whose vectors say which encoders made them."""

    @property
    def revisions(self) -> Mapping[str, str]:
        """Kind of features -> digest of the frozen encoder that made them."""


class VectorSplit(MadeByEncoders, Protocol):
    """A split whose audio vectors say how they were made."""

    @property
    def audio_made_with(self) -> Mapping[str, str]:
        """The attributes of the vectors' file: model, revision, layers, ..."""


def refuse_stale_audio(splits: Iterable[MadeByEncoders], data: AudioDataSpec) -> None:
    """Compare the audio encoder that `data:` names with the one that made the vectors, where it is on this machine.

    Raises:
        ArtefactError: it has changed since.
    """
    wanted = data.audio_embeddings
    if wanted is not None and wanted.model is not None:
        made = {split.revisions["audio"] for split in splits if "audio" in split.revisions}
        what = f"audio vectors in {data.features}"
        refuse_stale(wanted.model, made, audio_revision, what, make(PRODUCTS["audio"]))


def refuse_changed(splits: Iterable[MadeByEncoders], kind: Literal["audio", "text"], model: str, revision: str) -> None:
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
            f"{make(PRODUCTS[kind])}, then train again: {make('training', '--fresh')}"
        )


def refuse_other_sounds(splits: Iterable[VectorSplit], sound: SoundInput) -> None:
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
