"""A query or a sound that another state of an encoder would embed is refused, though the width is right."""

from types import SimpleNamespace

import pytest

from tasks.same_encoder import refuse_changed, refuse_other_sounds
from tasks.sounds import SoundInput
from utils.cli_utils import UserError

ENCODER = {"model": "m", "revision": "sha256:2", "pooling": "mean over frames", "input": "16000 Hz"}


def split(**revisions):
    return SimpleNamespace(revisions=revisions, audio_made_with=dict(ENCODER))


def test_another_state_is_refused():
    with pytest.raises(UserError, match="m: is now sha256:2, but sha256:1 made the run's text vectors"):
        refuse_changed([split(text="sha256:1")], "text", "m", "sha256:2")
    refuse_changed([split(text="sha256:2"), split(audio="sha256:9"), split()], "text", "m", "sha256:2")


def test_sounds_are_embedded_as_the_clips_were():
    refuse_other_sounds([split(audio="sha256:1")], SoundInput(16_000))  # log-mels and waves have no encoder of vectors
    refuse_other_sounds([split(audio="sha256:2")], SoundInput(16_000, encoder=ENCODER))
    with pytest.raises(UserError, match="m: is now sha256:2, but sha256:1 made the run's audio vectors"):
        refuse_other_sounds([split(audio="sha256:1")], SoundInput(16_000, encoder=ENCODER))
    for key in ("pooling", "input", "model"):
        with pytest.raises(UserError, match=f"{key} of the run's audio vectors is .*, sounds would be embedded with x"):
            refuse_other_sounds([split()], SoundInput(16_000, encoder=ENCODER | {key: "x"}))
