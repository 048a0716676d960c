"""Queries of stage 3 must come from the very encoder that made a run's vectors: its name and its width do not tell."""

from __future__ import annotations

from collections.abc import Iterable

from tasks.sounds import SoundInput
from utils.cli_utils import UserError
from utils.data_utils import CaptionedClips


def refuse_changed(splits: Iterable[CaptionedClips], kind: str, model: str, revision: str) -> None:
    """Compare the state of an encoder as it is now with that which made the vectors, where their file tells.

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
            "not be of their space; name the model that made them, or make the vectors again and train again"
        )


def refuse_other_sounds(splits: Iterable[CaptionedClips], sound: SoundInput) -> None:
    """Compare how a sound would be embedded with how the run's clips were: model, state, pooling and input.

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
                    "data, or make the vectors again and train again"
                )
