import pytest
import torch

from models.core import DualEncoderSpec
from utils.cli_utils import ConfigError
from utils.config_utils import parse

SPEC = {
    "name": "DualEncoderModel",
    "out_dim": 7,
    "audio_encoder": {"name": "CNN10Encoder", "base_channels": 2, "dropout": 0.0, "fc_dropout": 0.0},
    "text_encoder": {"name": "SentBERTBaseEncoder"},
}


def _model(**changes):
    torch.manual_seed(0)
    return parse(SPEC | changes, DualEncoderSpec, "conf.yaml").build(audio_dim=16, text_dim=5)


def _batch(pairs: int = 5, clips: int = 3) -> dict[str, torch.Tensor]:
    torch.manual_seed(1)
    return {
        "audio": torch.randn(clips, 40, 16),
        "lengths": torch.tensor([40, 17, 3])[:clips],
        "clip_index": torch.tensor([2, 0, 0, 1, 2])[:pairs],
        "text": torch.randn(pairs, 5),
    }


def test_pairs_share_their_clips_embedding():
    model, batch = _model().eval(), _batch()
    audio, text = model(batch)
    assert audio.shape == text.shape == (5, 7)
    assert torch.equal(audio[0], audio[4])
    assert torch.equal(audio[1], audio[2])
    assert torch.equal(audio, model.embed_audio(batch["audio"], batch["lengths"])[batch["clip_index"]])
    assert torch.equal(text, model.embed_text(batch["text"]))


def test_a_shared_clip_gets_the_gradients_of_all_its_pairs():
    gradients = []
    for index in ([0, 0], [0, 1]):
        model, batch = _model().eval(), _batch(pairs=2, clips=2)
        batch["audio"][1], batch["lengths"][1] = batch["audio"][0], batch["lengths"][0]
        batch["clip_index"] = torch.tensor(index)
        audio, text = model(batch)
        (audio * text).sum().backward()
        gradients.append(model.audio_encoder.fc_out.weight.grad)
    torch.testing.assert_close(*gradients)


def test_out_norm_is_the_length_of_the_embeddings():
    batch = _batch()
    unit, free = _model().eval(), _model(out_norm="none").eval()
    for left, right in zip(unit(batch), free(batch), strict=True):
        torch.testing.assert_close(left.norm(dim=1), torch.ones(5))
        torch.testing.assert_close(left, right / right.norm(dim=1, keepdim=True))
        assert right.norm(dim=1).sub(1).abs().min() > 1e-3


def test_normalise_takes_means_over_windows():
    windows = torch.nn.functional.normalize(torch.randn(4, 7), dim=1)
    assert _model().normalise(windows.mean(0)).norm().item() == pytest.approx(1)
    assert torch.equal(_model(out_norm="none").normalise(windows.mean(0)), windows.mean(0))


def test_embeddings_are_float32_under_autocast():
    model = _model().eval()
    with torch.autocast("cpu", torch.bfloat16):
        outputs = model(_batch())
    assert [output.dtype for output in outputs] == [torch.float32, torch.float32]
    for output, exact in zip(outputs, model(_batch()), strict=True):
        torch.testing.assert_close(output, exact, atol=0.05, rtol=0)


def test_the_checkpoint_holds_two_networks_and_no_text_table():
    model = _model()
    assert {key.split(".")[0] for key in model.state_dict()} == {"audio_encoder", "text_encoder"}
    text = {key: tuple(value.shape) for key, value in model.state_dict().items() if key.startswith("text_encoder")}
    assert sorted(text.values()) == [(7,), (7, 5)]


def test_bad_keys_are_named_with_the_choices():
    audio = {"name": "CNN15Encoder"}
    with pytest.raises(ConfigError, match=r"audio_encoder.name: unknown name 'CNN15Encoder'; .*'CNN14Encoder'"):
        _model(audio_encoder=audio, out_dim=3)
    with pytest.raises(ConfigError, match=r"out_dim: Input should be greater than 0 \(got 0\)"):
        _model(out_dim=0)
    with pytest.raises(ConfigError, match=r"out_norm: .*'L2' or 'none' \(got 'l2'\)"):
        _model(out_norm="l2")
    with pytest.raises(ConfigError, match=r"audio_encoder.trainabel: unknown key; did you mean 'trainable'\?"):
        _model(audio_encoder={"name": "CNN6Encoder", "trainabel": True})
