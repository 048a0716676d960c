"""Many sound files at once: as one by one, whatever the run takes; what it cannot take is told."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from models import sounds
from tests import tiny, tiny_models
from tests.training import run_of
from utils.cli_utils import UserError


@pytest.fixture(scope="module")
def wav2vec2(tmp_path_factory):
    return tiny_models.write_wav2vec2(tmp_path_factory.mktemp("models") / "wav2vec2")


@pytest.fixture(params=["logmel", "wave", "vector"])
def task(request, prepared, wav2vec2):
    """An untrained task of each kind of input; windows are shorter than most clips."""
    settings = tiny.conf(prepared)
    settings["data"]["max_duration_s"] = 0.25
    if request.param == "wave":
        settings["model"]["audio_encoder"] = {"name": "Wav2Vec2Encoder", "model": str(wav2vec2)}
    if request.param == "vector":
        from preprocessing import audio_embeddings

        settings["data"]["audio_embeddings"] = {"model": str(wav2vec2)}
        settings["model"]["audio_encoder"] = {"name": "AudioProjection"}
        audio_embeddings.main(["--conf", str(tiny.write_conf(prepared, settings))])
    tiny.write_conf(prepared, settings)
    made = run_of(prepared).build("eval")
    made.model().eval()
    return made


def clips_of(prepared):
    return sorted((prepared / "corpus" / "development").glob("*.wav"))


@pytest.mark.parametrize("together", [1, 3, 64])
def test_many_sounds_are_embedded_as_one(together, task, prepared, monkeypatch):
    monkeypatch.setattr(sounds, "_BATCH_CLIPS", together)
    paths = clips_of(prepared)
    told = []
    with torch.inference_mode():
        found = task.embedder.sounds(paths, 2, told.append)
        alone = np.concatenate([task.embedder.sounds([path], 1, told.append).embeddings for path in paths])
    assert found.embeddings.tobytes() == alone.tobytes()
    assert found.refused == {}
    assert sum(told) == 2 * len(paths)


def test_sounds_of_a_split_are_its_clips(task, prepared):
    data = task.data("eval")
    with torch.inference_mode():
        found = task.embedder.sounds([prepared / "corpus" / clip.path for clip in data.clips], 1, lambda done: None)
        np.testing.assert_allclose(found.embeddings, task.outputs("eval").audio, atol=1e-4)


def test_what_cannot_be_embedded_is_told_with_its_row(task, prepared, tmp_path):
    text, short = tmp_path / "text.wav", tmp_path / "short.wav"
    text.write_text("no sound")
    soundfile.write(short, np.full(20, 0.1), 16_000)
    soundfile.write(tmp_path / "silent.wav", np.zeros(16_000), 16_000)
    paths = [text, clips_of(prepared)[0], short, Path("none.wav"), tmp_path / "silent.wav"]
    with torch.inference_mode():
        found = task.embedder.sounds(paths, 2, lambda done: None)
    assert "cannot be decoded" in found.refused[0]
    assert "cannot be decoded" in found.refused[3]
    assert found.refused[4] == "silent: every sample is 0"
    assert not found.embeddings[[0, 3]].any()
    assert found.embeddings[1].any()
    if task._inputs.audio == "logmel":  # any length will do
        assert set(found.refused) == {0, 3, 4}
    else:
        assert found.refused[2] == "too short: 1.2 ms, the network's receptive field is 5.3 ms"


def test_vectors_of_another_program_cannot_be_made(prepared):
    tiny.write_vectors(prepared / "vectors.npz")
    tiny.write_conf(prepared, tiny.clap_conf(prepared))
    task = run_of(prepared).build("eval")
    with pytest.raises(UserError, match=r"sounds cannot be embedded: .*vectors\.npz, and the encoder .* not known"):
        task.embedder.sounds([], 1, lambda done: None)


def test_vectors_are_projected(prepared):
    tiny.write_vectors(prepared / "vectors.npz")
    tiny.write_conf(prepared, tiny.clap_conf(prepared))
    task = run_of(prepared).build("eval")
    task.model().eval()
    data = task.data("eval")
    with torch.inference_mode():
        np.testing.assert_allclose(
            task.embedder.vectors(data.audio.table.numpy()), task.outputs("eval").audio, atol=1e-6
        )
