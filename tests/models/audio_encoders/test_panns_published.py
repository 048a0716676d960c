"""Weights of the networks of PANNs in the layouts that others publish, small; and files that are something else."""

from collections import OrderedDict

import pytest
import torch
from safetensors.torch import save_file

from models.audio_encoders.cnn10 import CNN10Encoder
from models.audio_encoders.cnn14 import CNN14Encoder
from models.audio_encoders.panns_front_ends import DCASE, PANNS, check_front_end, front_end_of
from models.audio_encoders.panns_published import read_published
from tests.models.plain_dcase import panns_names, plain_dcase
from tests.models.plain_panns import checkpoint, front_end_weights, network_of
from utils.audio_utils import FrontEnd
from utils.cli_utils import ArtefactError

REPAIR = "get another"


def _read(tmp_path, content, name=None):
    torch.save(content, tmp_path / "w.pth")
    return read_published(tmp_path / "w.pth", name, REPAIR)


def _error(tmp_path, content, name=None) -> str:
    with pytest.raises(ArtefactError) as caught:
        _read(tmp_path, content, name)
    return str(caught.value).removeprefix(f"{tmp_path / 'w.pth'}: ").removesuffix(f"; {REPAIR}")


def _same(found: dict, expected: dict) -> bool:
    return found.keys() == expected.keys() and all(torch.equal(found[key], value) for key, value in expected.items())


def training_checkpoint(network: torch.nn.Module) -> tuple[dict, dict]:
    """What a trial of the baseline saves: the dual encoder's state and the optimizer's."""
    optimizer = torch.optim.Adam(network.parameters())
    sum(parameter.sum() for parameter in network.parameters()).backward()
    optimizer.step()
    network.zero_grad()
    state = OrderedDict((f"audio_enc.{key}", value) for key, value in network.state_dict().items())
    state["text_enc.embedding.weight"] = torch.randn(4, 6)
    state["text_enc.fc.weight"] = torch.randn(5, 6)
    state["text_enc.fc.bias"] = torch.randn(5)
    return state, optimizer.state_dict()


def test_the_baselines_encoder_gives_its_own_embeddings(tmp_path):
    network = plain_dcase().eval()
    published = _read(tmp_path, network.state_dict())
    assert (published.kind, published.last_pool, published.out_dim, published.base_channels) == (
        CNN14Encoder,
        "dcase2023",
        5,
        2,
    )
    assert published.drawn(5) == ()
    assert front_end_of(published, PANNS) == DCASE
    clips = 3 * torch.randn(2, 200, 64) - 6
    with torch.no_grad():
        found = published.build(5).eval()(clips, torch.tensor([200, 200]))
        torch.testing.assert_close(found, network(clips), atol=1e-5, rtol=1e-5)
    assert published.drawn(7) == ("fc_out",)
    assert published.build(7).state_dict()["fc_out.weight"].shape == (7, 64)


def test_the_baselines_training_checkpoint_holds_the_same(tmp_path):
    content = training_checkpoint(plain_dcase())
    published = _read(tmp_path, content)
    audio = {key.removeprefix("audio_enc."): value for key, value in content[0].items() if key.startswith("audio")}
    assert _same(published.state, panns_names(audio))
    assert published.left_out == ("text_enc",)


@pytest.mark.parametrize("prefix", ["", "module.", "audio_enc.", "model.module.audio_encoder."])
@pytest.mark.parametrize("wrapper", [None, "model", "state_dict"])
def test_prefixes_and_wrappers(tmp_path, prefix, wrapper):
    content = checkpoint("CNN10Encoder", 2)
    state = {f"{prefix}{key}": value for key, value in content["model"].items()}
    published = _read(tmp_path, state if wrapper is None else {wrapper: state, "epoch": 3})
    assert published.kind is CNN10Encoder
    assert _same(published.state, network_of(content))
    assert published.left_out == ("fc_audioset", "logmel_extractor", "spectrogram_extractor")
    assert published.out_dim is None


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions_become_float32(tmp_path, dtype):
    state = network_of(checkpoint("CNN10Encoder", 2))
    changed = {key: value.to(dtype) if value.is_floating_point() else value for key, value in state.items()}
    published = _read(tmp_path, changed)
    assert {value.dtype for value in published.state.values()} == {torch.float32, torch.int64}
    assert torch.equal(published.state["fc1.weight"], state["fc1.weight"].to(dtype).float())


def test_safetensors_and_files_without_counters(tmp_path):
    state = network_of(checkpoint("CNN10Encoder", 2))
    fewer = {key: value.contiguous() for key, value in state.items() if not key.endswith("num_batches_tracked")}
    assert len(fewer) == len(state) - 9
    save_file(fewer, tmp_path / "w.safetensors")
    published = read_published(tmp_path / "w.safetensors", None, REPAIR)
    assert published.state.keys() == state.keys()
    assert all(torch.equal(published.state[key], value) for key, value in fewer.items())


def test_views_and_tied_tensors(tmp_path):
    state = network_of(checkpoint("CNN10Encoder", 2))
    state["fc1.weight"] = state["fc1.weight"].t().contiguous().t()
    state["conv_block1.bn2.bias"] = state["conv_block1.bn1.bias"]
    assert _same(_read(tmp_path, state).state, state)


def test_the_audio_branch_of_ms_clap(tmp_path):
    content = checkpoint("CNN14Encoder", 2)["model"] | front_end_weights(_custom(44_100, 1024, 14_000))
    state = {f"audio_encoder.base.{key}": value for key, value in content.items()}
    state |= {"audio_encoder.projection.linear1.weight": torch.ones(4, 64), "logit_scale": torch.tensor(1.0)}
    state |= {"caption_encoder.base.embeddings.word_embeddings.weight": torch.ones(3, 3)}
    published = _read(tmp_path, {"model": state})
    assert (published.kind, published.last_pool) == (CNN14Encoder, "panns")
    assert {"audio_encoder", "caption_encoder", "logit_scale", "fc_audioset"} < set(published.left_out)
    found = front_end_of(published, DCASE)
    assert (found.sample_rate_hz, found.hop_samples, found.fmax_hz) == (44_100, 320, 14_000)


def test_the_audio_branch_of_wavcaps_has_no_embedding_layer(tmp_path):
    content = checkpoint("CNN14Encoder", 2)
    state = {key: value for key, value in network_of(content).items() if not key.startswith("fc1.")}
    front = {
        "audio_feats_extractor.mel_trans.stft.conv_real.weight": torch.hann_window(1024)[None, None].clone(),
        "audio_feats_extractor.log_trans.melW": content["model"]["logmel_extractor.melW"],
    }
    state = {f"audio_encoder.audio_enc.{key}": value for key, value in (state | front).items()}
    state |= {"audio_proj.0.weight": torch.ones(4, 64), "temp": torch.tensor(0.07)}
    published = _read(tmp_path, {"model": state, "config": {"seed": 20}, "epoch": 2})
    assert (published.kind, published.last_pool) == (CNN14Encoder, "dcase2023")
    assert published.drawn(5) == ("fc1", "fc_out")
    assert front_end_of(published, DCASE) == PANNS
    built = published.build(5).state_dict()
    assert torch.equal(built["conv_block6.conv2.weight"], network_of(content)["conv_block6.conv2.weight"])


def test_a_file_of_this_project_keeps_its_last_pool(tmp_path):
    encoder = _read(tmp_path, plain_dcase().state_dict()).build(5)
    notes = {"format_version": 1, "encoder": "CNN14Encoder", "last_pool": "dcase2023"}
    published = _read(tmp_path, {**notes, "model": encoder.state_dict()})
    assert (published.last_pool, published.out_dim) == ("dcase2023", 5)
    odd = _read(tmp_path, {"encoder": ["a"], "last_pool": torch.ones(2), "model": encoder.state_dict()})
    assert odd.last_pool == "panns"


def _custom(rate: int, window: int, fmax: int) -> FrontEnd:
    numbers = PANNS.model_dump() | {"name": "custom", "sample_rate_hz": rate, "fmax_hz": fmax, "hop_samples": 320}
    return FrontEnd.model_validate(numbers | {"window_samples": window, "fft_size": window})


@pytest.mark.parametrize(
    ("rate", "window", "fmax", "named"),
    [
        (16_000, 512, 8_000, "PANNs at 16 kHz, trained on custom (16000 Hz, window 512, hop 160, FFT 512, 64 mels"),
        (8_000, 256, 4_000, "PANNs at 8 kHz, trained on custom (8000 Hz, window 256, hop 80, FFT 256, 64 mels 50-4000"),
        (44_100, 1024, 14_000, "MS-CLAP 2022, trained on custom (44100 Hz, window 1024, hop 320, FFT 1024, 64 mels"),
        (48_000, 1024, 14_000, "a front-end with an FFT of 1024 and other mel filters than data.front_end, which is"),
    ],
)
def test_weights_of_another_front_end_are_refused_and_named(tmp_path, rate, window, fmax, named):
    own = _custom(rate, window, fmax)
    published = _read(tmp_path, checkpoint("CNN14Encoder", 2, front_end=own))
    check_front_end(published, own, REPAIR)
    for other in (PANNS, DCASE):
        with pytest.raises(ArtefactError) as caught:
            check_front_end(published, other, REPAIR)
        message = str(caught.value)
        assert message.startswith(f"{tmp_path / 'w.pth'}: a CNN14 of {named}")
        assert other.describe() in message
        assert message.endswith(REPAIR)


def test_panns_own_weights_also_fit_the_baselines_front_end(tmp_path):
    published = _read(tmp_path, checkpoint("CNN14Encoder", 2))
    for own in (PANNS, DCASE):
        check_front_end(published, own, REPAIR)
    message = r"of PANNs, trained on panns \(32000 Hz.*set data\.front_end: \{name: panns\}, or get another$"
    with pytest.raises(ArtefactError, match=message):
        check_front_end(published, _custom(44_100, 1024, 14_000), REPAIR)


def test_files_without_a_network_of_panns_are_identified(tmp_path):
    none = "holds no CNN6, CNN10 or CNN14 of PANNs: it holds"
    swin = {"audio_encoder.base.htsat.patch_embed.proj.weight": torch.ones(1), "audio_encoder.base.htsat.bn0.weight": 1}
    assert _error(tmp_path, swin) == f"{none} an HTS-AT or another transformer on patches"
    assert _error(tmp_path, torch.nn.Linear(2, 2).state_dict()) == f"{none} weight, bias"
    resnet = {"bn0.weight": torch.ones(64), "resnet.layer1.0.conv1.weight": torch.ones(1)}
    assert _error(tmp_path, resnet) == f"{none} a ResNet of PANNs"
    state = network_of(checkpoint("CNN10Encoder", 2))
    two = {f"{prefix}{key}": value for prefix in ("student.", "teacher.") for key, value in state.items()}
    assert _error(tmp_path, two) == "holds 2 networks of PANNs, under student., teacher."


def test_a_network_that_would_not_fit_in_memory_is_refused_before_it_is_built(tmp_path):
    state = network_of(checkpoint("CNN14Encoder", 2))
    state["conv_block1.conv1.weight"] = torch.zeros(4000, 1, 3, 3)  # 144 kB; its CNN14 would take 1.2 TB
    assert "61 of another shape: conv_block1.bn1.weight is (2,), expected (4000,)" in _error(tmp_path, state)
    state["conv_block1.conv1.weight"] = torch.zeros(1).expand(50_000, 1, 3, 3)
    assert "more values than the file holds" in _error(tmp_path, state)


def test_places_of_the_baseline_that_it_does_not_have_are_unexpected(tmp_path):
    state = plain_dcase().state_dict() | {"cnn.2.weight": torch.ones(1), "cnn.99.weight": torch.ones(1)}
    assert _error(tmp_path, state) == (
        "not a PANNs checkpoint of CNN14Encoder: 2 unexpected: cnn.2.weight, conv_block13.conv2.weight"
    )
