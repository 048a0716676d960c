"""Every encoder of the matrix, held still: the same embedding alone, in any batch, and at every call."""

import itertools
import json
import shutil

import numpy as np
import pytest
import torch

from models.audio_encoders.cnn10 import CNN10Encoder
from models.audio_encoders.cnn14 import CNN14Encoder
from models.frozen.audio import load_frozen_audio
from models.frozen.panns import PANNsBackbone
from tests import tiny_models
from tests.models.exported import FRONT_END, write_panns
from tests.models.plain_dcase import plain_dcase
from tests.models.plain_panns import checkpoint, randomise
from utils.audio_utils import FrontEnd, log_mel
from utils.cli_utils import UserError
from utils.cli_utils.repairs import make
from utils.data_utils import window_edges
from utils.weight_utils import write_weights

SHORT = {"name": "custom"} | FRONT_END.model_dump(exclude={"name"}) | {"sample_rate_hz": 28_000}


WRITERS = {
    "CNN14": lambda folder: write_panns(folder, CNN14Encoder),
    "CNN10": lambda folder: write_panns(folder, CNN10Encoder, export=False),
    "wav2vec2 group norm": lambda folder: tiny_models.write_wav2vec2(folder, "group"),
    "wav2vec2 layer norm": lambda folder: tiny_models.write_wav2vec2(folder, "layer"),
    "HuBERT": lambda folder: tiny_models.write_hubert(folder, "group"),
    "Whisper": lambda folder: tiny_models.write_whisper(folder, seconds=3),
    "CLAP": lambda folder: tiny_models.write_clap(folder),
}


@pytest.fixture(scope="module")
def encoders(tmp_path_factory):
    """Each encoder of the matrix, made when it is asked for, with windows of 2 s."""
    made = {}

    def encoder(name):
        if name not in made:
            model = WRITERS[name](tmp_path_factory.mktemp("models") / "model")
            made[name] = load_frozen_audio(str(model), None, FRONT_END, 2.0)
        return made[name]

    return encoder


def waves(encoder, seconds, seed=0):
    """Noise whose loudness and colour change, so that a wrong frame shows."""
    rng = np.random.default_rng(seed)
    result = []
    for duration_s in seconds:
        wave = rng.standard_normal(round(duration_s * encoder.sample_rate_hz)).astype(np.float32)
        wave = np.convolve(wave, rng.uniform(-1, 1, 4), "same") * np.linspace(0.02, 0.3, len(wave))
        result.append(wave.astype(np.float32))
    return result


@pytest.mark.parametrize("frames", [False, True])
@pytest.mark.parametrize("name", WRITERS)
def test_an_embedding_is_the_same_alone_in_a_batch_and_at_every_call(encoders, name, frames):
    encoder = encoders(name)
    clips = waves(encoder, [0.9, 0.31, 2.7, 1.3])
    together = encoder.embed(clips, frames)
    for clip, in_batch in zip(clips, together, strict=True):
        alone = encoder.embed([clip], frames)[0]
        assert alone.dtype == np.float32
        assert alone.shape == ((encoder.frame_count(len(clip)), encoder.frame_width) if frames else (encoder.width,))
        np.testing.assert_allclose(in_batch, alone, atol=1e-4, rtol=1e-4)
    for batch_size in (1, 2, 16):
        for again, first in zip(encoder.embed(clips, frames, batch_size), together, strict=True):
            np.testing.assert_allclose(again, first, atol=1e-4, rtol=1e-4)
    for again, first in zip(encoder.embed(clips, frames), together, strict=True):
        np.testing.assert_array_equal(again, first)
    np.testing.assert_array_equal(encoder.frames(clips)[0] if frames else encoder.vectors(clips)[0], together[0])
    if not frames:  # and clips differ by far more than that
        assert np.abs(together[0] - together[1]).max() > 1e-2


@pytest.mark.parametrize("name", WRITERS)
def test_a_long_clip_is_the_mean_over_its_windows(encoders, name):
    encoder = encoders(name)
    clip = waves(encoder, [5.03])[0]
    edges = window_edges(len(clip), encoder.max_samples)
    assert len(edges) == 4
    parts = [clip[a:b] for a, b in itertools.pairwise(edges)]
    counts = [encoder.frame_count(len(part)) for part in parts]
    vectors = encoder.embed(parts)
    expected = sum(n * v for n, v in zip(counts, vectors, strict=True)) / sum(counts)
    np.testing.assert_allclose(encoder.embed([clip])[0], expected, atol=1e-5, rtol=1e-4)
    frames = encoder.embed([clip], frames=True)[0]
    assert len(frames) == sum(counts) == encoder.frame_count(len(clip))
    np.testing.assert_allclose(frames, np.concatenate(encoder.embed(parts, frames=True)), atol=1e-4, rtol=1e-4)
    if encoder.pooling(False) == "mean over frames":
        np.testing.assert_allclose(encoder.embed([clip])[0], frames.mean(0), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", WRITERS)
def test_nothing_of_a_frozen_network_changes(encoders, name):
    encoder = encoders(name)
    network = encoder._backbone
    before = {key: value.clone() for key, value in network.state_dict().items()}
    outputs = encoder.embed(waves(encoder, [0.5]))
    assert not torch.is_grad_enabled() or not torch.from_numpy(outputs[0]).requires_grad
    assert not any(part.training for part in network.modules())
    assert not any(parameter.requires_grad for parameter in network.parameters())
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())


@pytest.mark.parametrize(
    ("name", "pooling"),
    [
        ("CNN14", "maximum plus mean over frames, then PANNs' embedding layer"),
        ("Whisper", "mean over frames"),
        ("CLAP", "projected embedding"),
    ],
)
def test_what_an_encoder_says_of_itself(encoders, name, pooling):
    encoder = encoders(name)
    assert encoder.pooling(False) == pooling
    assert encoder.pooling(True) == "none"
    assert encoder.revision.startswith("sha256:")
    assert f"{encoder.sample_rate_hz} Hz, windows of at most 2 s" in encoder.describe_input()
    assert ("panns (32000 Hz" in encoder.describe_input()) == (name == "CNN14")
    assert encoder.precision == "fp32"


def test_windows_are_as_short_as_network_and_settings_say(tmp_path):
    model = str(tiny_models.write_whisper(tmp_path / "whisper", seconds=3))
    assert load_frozen_audio(model, None, FRONT_END, 30.0).max_samples == 3 * 16_000
    assert load_frozen_audio(model, None, FRONT_END, 1.0).max_samples == 16_000


def test_a_cpu_computes_in_fp32_whatever_the_settings_say(tmp_path):
    model = str(tiny_models.write_wav2vec2(tmp_path / "model"))
    assert load_frozen_audio(model, None, FRONT_END, 2.0, torch.device("cpu"), "bf16").precision == "fp32"


def test_layers_are_cut(tmp_path):
    model = str(tiny_models.write_wav2vec2(tmp_path / "model"))
    whole, cut = (load_frozen_audio(model, layers, FRONT_END, 2.0) for layers in (None, 1))
    clip = waves(whole, [0.5])
    assert np.abs(whole.embed(clip)[0] - cut.embed(clip)[0]).max() > 1e-3


@pytest.mark.parametrize("export", [True, False])
def test_the_project_s_own_encoder_gives_its_penultimate_layer(tmp_path, export):
    model = write_panns(tmp_path, CNN10Encoder, export)
    encoder = load_frozen_audio(str(model), None, FRONT_END, 2.0)
    torch.manual_seed(0)
    own = CNN10Encoder(5, FRONT_END.n_mels, 2)
    randomise(own, 0)
    clip = waves(encoder, [1.0])[0]
    features = torch.from_numpy(log_mel(clip, FRONT_END))[None]
    with torch.no_grad():
        expected = own.eval().embed(features, torch.tensor([features.shape[1]]))[0]
        frames, counts = own.frames(features, torch.tensor([features.shape[1]]))
    assert encoder.width == 16
    np.testing.assert_allclose(encoder.embed([clip])[0], expected, atol=1e-5, rtol=1e-5)
    np.testing.assert_allclose(encoder.embed([clip], frames=True)[0], frames[0, : counts[0]], atol=1e-5, rtol=1e-5)


def test_an_export_brings_its_own_front_end_and_a_pth_takes_the_run_s(tmp_path):
    other = FrontEnd.model_validate(SHORT)
    run = FrontEnd.model_validate({"name": "dcase2023"})
    exported = write_panns(tmp_path / "a", CNN10Encoder, front_end=other)
    alone = write_panns(tmp_path / "b", CNN10Encoder, export=False)
    assert load_frozen_audio(str(exported), None, run, 2.0).sample_rate_hz == 28_000
    assert load_frozen_audio(str(alone), None, run, 2.0).sample_rate_hz == 44_100


def test_another_state_has_another_revision(tmp_path):
    model = write_panns(tmp_path, CNN10Encoder)
    before = load_frozen_audio(str(model), None, FRONT_END, 2.0).revision
    assert load_frozen_audio(str(model), None, FRONT_END, 2.0).revision == before
    encoder = CNN10Encoder(5, FRONT_END.n_mels, 2)
    write_weights(model.with_suffix(".pth"), encoder.state_dict(), {"encoder": "CNN10Encoder"})
    assert load_frozen_audio(str(model), None, FRONT_END, 2.0).revision != before


def test_a_clip_shorter_than_the_receptive_field_is_refused(encoders):
    encoder = encoders("wav2vec2 group norm")
    clip = np.ones(encoder.min_samples, np.float32)
    assert encoder.embed([clip], frames=True)[0].shape == (1, 16)
    with pytest.raises(ValueError, match="shorter than the network's receptive field"):
        encoder.embed([clip[:-1]])


def test_models_that_cannot_be_used(tmp_path):
    def refused(model, layers=None, front_end=FRONT_END):
        with pytest.raises(UserError) as error:
            load_frozen_audio(str(model), layers, front_end, 2.0)
        text = str(error.value)
        assert "\n" not in text
        return text

    good = write_panns(tmp_path / "good", CNN10Encoder)
    assert "data.audio_embeddings.layers: 3, but" in refused(good, layers=3)
    assert f"no such file; write it again: {make('exported-encoder')}" in refused(tmp_path / "no.json")
    assert f"no.pth: no such file; write one: {make('initial-weights')}" in refused(tmp_path / "no.pth")
    (tmp_path / "odd.json").write_text("[1]")
    assert "odd.json: is no exported audio encoder: " in refused(tmp_path / "odd.json")
    (tmp_path / "cut.json").write_text('{"audio_encoder"')
    assert "cut.json: is no exported audio encoder: " in refused(tmp_path / "cut.json")
    facts = json.loads(good.read_text())
    (tmp_path / "wave.json").write_text(json.dumps(facts | {"audio_encoder": {"name": "Wav2Vec2Encoder"}}))
    assert "wave.json: holds a network named Wav2Vec2Encoder, expected CNN14Encoder or" in refused(
        tmp_path / "wave.json"
    )
    wide = facts | {"audio_encoder": {"name": "CNN14Encoder", "base_channels": 512}, "out_dim": 8192}  # 19 GB
    (tmp_path / "wide.json").write_text(json.dumps(wide))
    shutil.copy(good.with_suffix(".pth"), tmp_path / "wide.pth")
    assert "wide.pth: does not fit the CNN14Encoder of wide.json: 24 missing: conv_block5" in refused(
        tmp_path / "wide.json"
    )
    good.with_suffix(".pth").unlink()
    assert f"audio_encoder.pth: no such file; write it again: {make('exported-encoder')}" in refused(good)
    write_weights(tmp_path / "plain.pth", {"x": torch.zeros(1)}, {})
    assert "plain.pth: holds no CNN6, CNN10 or CNN14 of PANNs: it holds x; write" in refused(tmp_path / "plain.pth")
    write_weights(tmp_path / "part.pth", {"bn0.weight": torch.zeros(32), "cnn.0.weight": torch.zeros(2)}, {})
    assert "part.pth: not a PANNs checkpoint of CNN14Encoder: " in refused(tmp_path / "part.pth")
    alone = write_panns(tmp_path / "alone", CNN10Encoder, export=False)
    bands = FrontEnd.model_validate(SHORT | {"n_mels": 48})
    assert "made for 64 mel bands, data.front_end has 48; set data.front_end" in refused(alone, front_end=bands)
    (tmp_path / "empty").mkdir()
    assert refused(tmp_path / "empty").startswith("data.audio_embeddings.model: ")
    assert "the model's type is bert" in refused(tiny_models.write_bert(tmp_path / "bert"))


def test_frames_are_counted_before_they_are_computed():
    encoder = CNN10Encoder(5, FRONT_END.n_mels, 2)
    with pytest.raises(ValueError, match="made for 64 mel bands, the front-end has 48"):
        PANNsBackbone(encoder, FrontEnd.model_validate(SHORT | {"n_mels": 48}))
    made = PANNsBackbone(encoder, FRONT_END).eval()
    for samples in (1, 319, 320, 5119, 5120, 5440, 32_000):
        frames, counts = made.frames(torch.zeros(1, samples), torch.tensor([samples]))
        assert made.frame_count(samples) == int(counts[0]) == frames.shape[1]


def test_published_weights_are_taken_as_they_are(tmp_path):
    clip = 0.1 * np.random.default_rng(0).standard_normal(44_100).astype(np.float32)
    dcase = FrontEnd.model_validate({"name": "dcase2023"})
    network = plain_dcase().eval()
    torch.save(network.state_dict(), tmp_path / "audio_encoder.pth")
    encoder = load_frozen_audio(str(tmp_path / "audio_encoder.pth"), None, dcase, 2.0)
    assert encoder.frame_count(len(clip)) == 1  # 51 frames, where PANNs' network would give 1 for each 32
    features = torch.from_numpy(log_mel(clip, dcase))
    with torch.no_grad():
        expected = network.embed(features[None])[0]
    np.testing.assert_allclose(encoder.embed([clip])[0], expected, atol=1e-5)
    torch.save(checkpoint("CNN10Encoder", 2), tmp_path / "Cnn10.pt")
    assert load_frozen_audio(str(tmp_path / "Cnn10.pt"), None, FRONT_END, 2.0).width == 16
    sixteen = FrontEnd.model_validate(SHORT)
    with pytest.raises(UserError, match=r"Cnn10\.pt: a CNN10 of PANNs, trained on panns .* or name other weights$"):
        load_frozen_audio(str(tmp_path / "Cnn10.pt"), None, sixteen, 2.0)


@pytest.mark.parametrize(
    ("key", "answer"),
    [
        (
            "module.audio_branch.layers.0.blocks.0.attn.qkv.weight",
            "a CLAP of LAION; name it as a hub does, such as",
        ),
        ("encoder.blocks.0.attn.query.weight", "a Whisper of OpenAI's package; name it as a hub does"),
        ("w2v_encoder.feature_extractor.conv_layers.0.0.weight", "a wav2vec 2.0 or HuBERT; name a folder with config"),
        ("model.encoder.layers.0.self_attn.k_proj.weight", "a transformer; name the folder that holds it with"),
    ],
)
def test_a_file_of_weights_in_place_of_a_folder_says_what_it_is(tmp_path, key, answer):
    torch.save({"state_dict": {key: torch.zeros(1)}, "epoch": 1}, tmp_path / "model.pt")
    with pytest.raises(UserError) as caught:
        load_frozen_audio(str(tmp_path / "model.pt"), None, FRONT_END, 2.0)
    assert f"model.pt: holds no CNN6, CNN10 or CNN14 of PANNs: it holds {answer}" in str(caught.value)
    assert str(caught.value).startswith("data.audio_embeddings.model: ")
