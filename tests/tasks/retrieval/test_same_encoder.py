"""A query or a sound that another state of an encoder would embed is refused, though the width is right."""

import shutil
from types import SimpleNamespace

import pytest

from models.frozen.audio import audio_revision
from models.sounds import SoundInput
from tasks.retrieval.same_encoder import refuse_stale
from tasks.same_sounds import refuse_changed, refuse_other_sounds
from utils.cli_utils import ArtefactError, UserError
from utils.data_utils import CaptionDataSpec
from utils.pretrained_utils import model_revision

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


def write_encoder(folder, seed):
    (folder / "encoder.json").write_text("{}")
    (folder / "encoder.pth").write_bytes(bytes([seed]))
    (folder / "texts").mkdir(exist_ok=True)
    (folder / "texts" / "model.safetensors").write_bytes(bytes([seed]))


def test_training_refuses_vectors_of_an_earlier_state_of_an_encoder_that_is_at_hand(tmp_path):
    write_encoder(tmp_path, 1)
    audio, text = str(tmp_path / "encoder.json"), str(tmp_path / "texts")
    data = CaptionDataSpec.model_validate(
        {
            "root": "root",
            "features": "features",
            "splits": {"train": "a", "val": "b", "eval": "c"},
            "audio_embeddings": {"model": audio},
            "text_embeddings": {"file": "t.pkl", "model": text},
        }
    )
    revisions = {"audio": audio_revision(audio), "text": model_revision(text)}
    splits = [split(**revisions), split()]  # of the second no file tells
    refuse_stale(splits, data)
    write_encoder(tmp_path, 2)
    with pytest.raises(ArtefactError, match=r"the audio vectors in features .*: <make audio-embeddings>"):
        refuse_stale(splits, data)
    with pytest.raises(ArtefactError, match=r"the text vectors in features .*: <make text-embeddings>"):
        refuse_stale([split(text=revisions["text"])], data)
    shutil.rmtree(tmp_path / "texts")  # training needs the vectors alone
    refuse_stale([split(text=revisions["text"])], data)
