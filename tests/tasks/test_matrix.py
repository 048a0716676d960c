"""Every audio encoder with every text encoder: two steps, a checkpoint, the same outputs from it, scores, search."""

import json

import numpy as np
import pytest
import torch

from postprocessing import search, xmodal_retrieval, xmodal_scores
from tests import tiny, tiny_models
from tests.training import fit_of, run_of, write_trial
from utils.model_utils import load_weights, read_checkpoint, weights_of

PANNS = {"base_channels": 2}
AUDIO = {
    "cnn14": {"name": "CNN14Encoder", **PANNS},
    "cnn10": {"name": "CNN10Encoder", **PANNS},
    "wav2vec2": {"name": "Wav2Vec2Encoder", "model": "wav2vec2"},
    "wav2vec2-frozen": {"name": "Wav2Vec2Encoder", "model": "wav2vec2", "trainable": False, "pooling": "attention"},
    "hubert": {"name": "HubertEncoder", "model": "hubert", "freeze_feature_encoder": False},
    "whisper": {"name": "WhisperEncoder", "model": "whisper"},
    "clap": {"name": "ClapAudioEncoder", "model": "clap"},
    "cached": {"name": "AudioProjection", "standardise": True},
}
TEXT = {
    "sbert": {"name": "SentBERTBaseEncoder"},
    "clip": {"name": "CLIPTextEncoder", "model": "clip"},
    "clip-frozen": {"name": "CLIPTextEncoder", "model": "clip", "trainable": False},
    "bert": {"name": "TransformerTextEncoder", "model": "bert", "pooling": "cls"},
}


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """A folder of tiny pretrained models."""
    folder = tmp_path_factory.mktemp("models")
    tiny_models.write_wav2vec2(folder / "wav2vec2")
    tiny_models.write_hubert(folder / "hubert", norm="layer")
    tiny_models.write_whisper(folder / "whisper", seconds=2)
    tiny_models.write_clap(folder / "clap")
    tiny_models.write_clip(folder / "clip")
    tiny_models.write_bert(folder / "bert")
    return folder


def with_folder(block, models):
    return block | ({"model": str(models / block["model"])} if "model" in block else {})


@pytest.fixture
def run(prepared, models, request):
    """The run of one pair: two steps of all 8 clips."""
    audio, text = request.param
    settings = tiny.conf(prepared)
    settings["training"] |= {"batch_size": 16, "epochs": 2}
    settings["model"] |= {
        "audio_encoder": with_folder(AUDIO[audio], models),
        "text_encoder": with_folder(TEXT[text], models),
    }
    if audio == "cached":
        tiny.write_vectors(prepared / "vectors.npz")
        settings["data"]["audio_embeddings"] = str(prepared / "vectors.npz")
    tiny.write_conf(prepared, settings)
    return run_of(prepared)


def outputs_of(task, split):
    task.model().eval()
    with torch.inference_mode():
        return task.outputs(split)


@pytest.mark.parametrize("run", [(a, t) for a in AUDIO for t in TEXT], indirect=True, ids=lambda pair: "-".join(pair))
def test_a_pair_trains_restores_and_scores(run, prepared, capsys):
    trial = write_trial(run)
    folder = trial / "checkpoint_000001"
    saved = weights_of(read_checkpoint(folder), folder)
    state = saved.weights
    assert all(torch.isfinite(value).all() for value in state.values())
    fit = fit_of(run)
    moved = {
        key for key, value in fit.model.state_dict().items() if key in state and not torch.equal(value, state[key])
    }
    assert any("audio_encoder" in key for key in moved)
    assert any("text_encoder" in key for key in moved)
    frozen = {
        f"dual_encoder.{side}.{part}."
        for side, part in (("audio_encoder", "backbone"), ("text_encoder", "network"))
        if getattr(run.model, side).model_dump().get("trainable") is False
    }
    assert not any(key.startswith(tuple(frozen)) for key in state if frozen)  # they are not saved at all
    fit.run(lambda metrics, save: None, {})

    conf = ["--conf", str(prepared / "conf.yaml")]
    xmodal_scores.main(conf)
    xmodal_retrieval.main(conf)
    report = json.loads((run.folder / "evaluation_retrieval_metrics.json").read_text())
    assert (report["text_to_audio"]["queries"], report["text_to_audio"]["candidates"]) == (8, 4)

    restored = run.build("eval")
    load_weights(restored.model(), saved, folder)
    one = outputs_of(restored, "eval")
    two = outputs_of(fit._task, "eval")
    np.testing.assert_allclose(one.audio, two.audio, atol=1e-5)
    np.testing.assert_allclose(one.text, two.text, atol=1e-5)
    # a batch of another size gives the same embeddings
    again = run_of(prepared, "training.batch_size=1").build("eval")
    load_weights(again.model(), saved, folder)
    np.testing.assert_allclose(outputs_of(again, "eval").audio, one.audio, atol=1e-4)


@pytest.mark.parametrize("run", [("wav2vec2", "clip"), ("cnn10", "bert")], indirect=True, ids="-".join)
def test_free_text_and_sounds_find_the_clips_themselves(run, prepared, capsys):
    write_trial(run)
    task = run.build("eval")
    outputs = outputs_of(task, "eval")
    data = task.data("eval")
    with torch.inference_mode():
        queries = task.embedder.texts([caption.raw_text for caption in data.captions])
        found = task.embedder.sounds([prepared / "corpus" / data.clips[2].path], 1, lambda done: None)
    np.testing.assert_allclose(queries, outputs.text, atol=1e-5)
    np.testing.assert_allclose(found.embeddings[0], outputs.audio[2], atol=1e-4)
    wav = prepared / "corpus" / data.clips[2].path
    search.main(["--conf", str(prepared / "conf.yaml"), "--top", "1", "--audio", str(wav), "a dog barks"])
    printed = capsys.readouterr().out
    assert f"\"{wav.name}\" in 4 clips of 'evaluation'" in printed
    assert data.clips[2].fname in printed.split(f'"{wav.name}"')[1]
