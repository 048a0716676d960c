"""The PANNs encoders: PANNs' own numbers, indifferent to padding, and parts that can be held still."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models.audio_encoders import AudioEncoderSpec
from models.audio_encoders.cnn6 import CNN6Encoder
from models.audio_encoders.cnn8 import CNN8Encoder
from models.audio_encoders.cnn10 import CNN10Encoder
from models.audio_encoders.cnn14 import CNN14Encoder
from tests.models.plain_panns import plain_panns, randomise
from utils.cli_utils import ArtefactError, ConfigError
from utils.config_utils import parse
from utils.weight_utils import write_weights

FLOOR = -36.04  # ln(2^-52), what padding holds
ENCODERS = [CNN14Encoder, CNN10Encoder, CNN8Encoder, CNN6Encoder]
LENGTHS = st.lists(st.integers(1, 75), min_size=1, max_size=4)


def _encoder(kind=CNN10Encoder, base: int = 4, seed: int = 0, **options):
    torch.manual_seed(seed)
    encoder = kind(5, 32, base, **options)
    randomise(encoder, seed)
    return encoder


def _features(lengths: list[int], seed: int = 0) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [3 * torch.randn(length, 32, generator=generator) - 6 for length in lengths]


def _padded(clips: list[torch.Tensor], extra: int = 0, value: float = FLOOR) -> tuple[torch.Tensor, torch.Tensor]:
    lengths = torch.tensor([len(clip) for clip in clips])
    batch = torch.full((len(clips), int(lengths.max()) + extra, 32), value)
    for row, clip in zip(batch, clips, strict=True):
        row[: len(clip)] = clip
    return batch, lengths


def assert_close(found: torch.Tensor, expected: torch.Tensor, name: str = "") -> None:
    """Equal but for float64 rounding: float32 would hide small leaks behind batch norm's own sensitivity."""
    torch.testing.assert_close(found, expected, atol=1e-7, rtol=1e-6, msg=lambda text: f"{name}: {text}")


@pytest.mark.parametrize("kind", ENCODERS)
@pytest.mark.parametrize("frames", [32, 33, 47, 64, 101])
def test_unpadded_clips_give_panns_embedding(kind, frames):
    encoder = _encoder(kind).eval()
    plain = plain_panns(kind.__name__, 4, 32).eval()
    plain.load_state_dict({k: v for k, v in encoder.state_dict().items() if not k.startswith("fc_out")})
    clips, lengths = _padded(_features([frames] * 2))
    with torch.no_grad():
        expected = plain(clips)
        assert expected.std() > 0.01
        torch.testing.assert_close(encoder.embed(clips, lengths), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("kind", "published"), [(CNN14Encoder, 80_753_615), (CNN10Encoder, 5_219_279), (CNN6Encoder, 4_837_455)]
)
def test_sizes_are_those_of_the_paper(kind, published):
    with torch.device("meta"):
        encoder = kind(527)
    assert sum(parameter.numel() for parameter in encoder.parameters()) == published  # fc_out as fc_audioset


def test_full_size_cnn14_gives_panns_embedding():
    torch.manual_seed(0)
    encoder = CNN14Encoder(300).eval()
    randomise(encoder)
    plain = plain_panns("CNN14Encoder").eval()
    plain.load_state_dict({k: v for k, v in encoder.state_dict().items() if not k.startswith("fc_out")})
    assert encoder.embed_dim == 2048
    clips = torch.randn(1, 71, 64)
    with torch.no_grad():
        expected = plain(clips)
        torch.testing.assert_close(encoder.embed(clips, torch.tensor([71])), expected, atol=1e-5, rtol=0)
        assert expected.std() > 0.01


@pytest.mark.parametrize("kind", ENCODERS)
def test_unpadded_training_gives_panns_embedding_gradients_and_statistics(kind):
    encoder = _encoder(kind, dropout=0.0, fc_dropout=0.0).double()
    plain = plain_panns(kind.__name__, 4, 32).double()
    plain.load_state_dict({k: v for k, v in encoder.state_dict().items() if not k.startswith("fc_out")})
    clips, lengths = _padded(_features([67] * 3))
    found, expected = encoder.embed(clips.double(), lengths), plain(clips.double())
    found.pow(2).sum().backward()
    expected.pow(2).sum().backward()
    assert_close(found, expected)
    gradients = {name: parameter.grad for name, parameter in encoder.named_parameters()}
    for name, parameter in plain.named_parameters():
        assert_close(gradients[name], parameter.grad, name)
    for key, value in plain.state_dict().items():
        assert_close(encoder.state_dict()[key], value, key)


@pytest.mark.parametrize("kind", ENCODERS)
@settings(max_examples=20, deadline=None)
@given(lengths=LENGTHS, seed=st.integers(0, 99), extra=st.integers(0, 40))
def test_an_embedding_is_the_same_alone_and_in_any_batch(kind, lengths, seed, extra):
    encoder = _encoder(kind, seed=seed).eval()
    clips = _features(lengths, seed)
    with torch.no_grad():
        together = encoder(*_padded(clips, extra))
        alone = torch.cat([encoder(clip[None], torch.tensor([len(clip)])) for clip in clips])
    assert (together - alone).abs().max() <= 1e-5


@pytest.mark.parametrize("kind", ENCODERS)
def test_the_shortest_clips_work_and_padding_is_never_looked_at(kind):
    encoder = _encoder(kind).eval()
    clips = _features([1, 2, encoder.stride - 1, encoder.stride, encoder.stride + 1])
    with torch.no_grad():
        outputs = [encoder(*_padded(clips, 3, value)) for value in (FLOOR, 0.0, 1e9, float("nan"))]
    assert outputs[0].isfinite().all()
    assert all(torch.equal(outputs[0], output) for output in outputs[1:])
    assert (outputs[0][0] - outputs[0][1]).abs().max() > 1e-6


@pytest.mark.parametrize("kind", ENCODERS)
@settings(max_examples=8, deadline=None)
@given(lengths=st.lists(st.integers(1, 75), min_size=2, max_size=4), extra=st.integers(1, 50))
def test_training_does_not_feel_extra_padding(kind, lengths, extra):
    found = []
    for more in (0, extra):
        encoder = _encoder(kind, dropout=0.0, fc_dropout=0.0).double()
        clips, counts = _padded(_features(lengths), more)
        output = encoder(clips.double(), counts)
        output.pow(2).sum().backward()
        gradients = {name: parameter.grad for name, parameter in encoder.named_parameters()}
        found.append({"output": output} | gradients | dict(encoder.named_buffers()))
    for name, value in found[0].items():
        assert_close(found[1][name], value, name)


def test_gradients_of_a_padded_batch_are_those_of_its_clips():
    clips = _features([50, 21, 3])
    together = _encoder().eval()
    together(*_padded(clips, 7)).pow(2).sum().backward()
    apart = _encoder().eval()
    for clip in clips:
        apart(clip[None], torch.tensor([len(clip)])).pow(2).sum().backward()
    for (name, left), right in zip(together.named_parameters(), apart.parameters(), strict=True):
        assert left.grad.abs().sum() > 0, name
        torch.testing.assert_close(left.grad, right.grad, atol=1e-4, rtol=1e-3)


def test_training_steps_lower_a_loss():
    encoder = _encoder(dropout=0.0, fc_dropout=0.0)
    clips, lengths = _padded(_features([40, 17, 60, 33]))
    wanted = torch.nn.functional.one_hot(torch.arange(4), 5).float()
    optimizer = torch.optim.Adam(encoder.parameters(), lr=3e-3)
    losses = []
    for _ in range(30):
        loss = (encoder(clips, lengths) - wanted).pow(2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.05 * losses[0]


def test_autocast_stays_near_and_normalises_in_float32():
    encoder, clips = _encoder(dropout=0.0, fc_dropout=0.0), _padded(_features([64, 20, 33]))
    exact = encoder.eval()(*clips)
    with torch.autocast("cpu", torch.bfloat16):
        near = encoder(*clips)
        trained = encoder.train()(*clips)
    assert (near - exact).abs().max() < 0.05 * exact.abs().max()
    assert trained.isfinite().all()
    assert all(buffer.dtype in (torch.float32, torch.int64) for buffer in encoder.buffers())


def test_dropout_acts_in_training_alone():
    encoder, clips = _encoder(), _padded(_features([40, 20]))
    assert not torch.equal(encoder(*clips), encoder(*clips))
    encoder.eval()
    assert torch.equal(encoder(*clips), encoder(*clips))


def _steps(encoder, count: int = 2) -> None:
    optimizer = torch.optim.AdamW([p for p in encoder.parameters() if p.requires_grad], lr=0.1)
    for _ in range(count):
        optimizer.zero_grad()
        encoder.train()(*_padded(_features([40, 33, 5]))).pow(2).sum().backward()
        optimizer.step()


def _changed(encoder, action) -> set[str]:
    before = {key: value.clone() for key, value in encoder.state_dict().items()}
    action(encoder)
    return {key for key, value in encoder.state_dict().items() if not torch.equal(value, before[key])}


@pytest.mark.parametrize("kind", ENCODERS)
def test_not_trainable_leaves_all_but_the_last_layer_to_the_bit(kind):
    encoder = _encoder(kind)
    encoder.freeze_layers(trainable=False)
    assert _changed(encoder, _steps) == {"fc_out.weight", "fc_out.bias"}
    assert all(p.grad is None for name, p in encoder.named_parameters() if not name.startswith("fc_out"))
    clips = _padded(_features([40, 20]))
    assert torch.equal(encoder.train().embed(*clips), encoder.eval().embed(*clips))


def test_frozen_blocks_stay_to_the_bit_and_the_rest_learns():
    encoder = _encoder()
    encoder.freeze_layers(trainable=True, freeze_blocks=2)
    held = ("bn0.", "conv_block1.", "conv_block2.")
    assert _changed(encoder, _steps) == {key for key in encoder.state_dict() if not key.startswith(held)}


def test_everything_learns_by_default():
    encoder = _encoder()
    encoder.freeze_layers(trainable=True)
    assert _changed(encoder, _steps) == set(encoder.state_dict())


def test_bad_input_is_refused():
    encoder = _encoder()
    clips = torch.zeros(2, 40, 32)
    with pytest.raises(ValueError, match=r"^features are \(2, 40, 31\), expected \(B, T, 32\)$"):
        encoder(clips[:, :, 1:], torch.tensor([40, 40]))
    with pytest.raises(ValueError, match=r"^lengths are \(1,\), expected \(2,\)$"):
        encoder(clips, torch.tensor([40]))
    with pytest.raises(ValueError, match=r"^a clip's length is 41, expected 1 to 40 frames$"):
        encoder(clips, torch.tensor([40, 41]))
    with pytest.raises(ValueError, match=r"^a clip's length is 0, expected 1 to 40 frames$"):
        encoder(clips, torch.tensor([0, 40]))


def _build(n_mels: int = 32, **keys):
    spec = {"name": "CNN10Encoder", "base_channels": 4} | keys
    return parse(spec, AudioEncoderSpec, "conf.yaml").build(5, n_mels)


@pytest.mark.parametrize("kind", ENCODERS)
def test_spec_builds_the_encoder_it_names(kind):
    encoder = _build(name=kind.__name__, freeze_blocks=1).eval()
    assert type(encoder) is kind
    assert encoder.embed_dim == 4 * 2 ** (len(kind.pools) - 1)
    assert encoder(torch.zeros(1, 3, 32), torch.tensor([3])).shape == (1, 5)
    assert not encoder.bn0.weight.requires_grad
    assert encoder.fc1.weight.requires_grad


def test_spec_loads_weights_and_then_freezes(tmp_path):
    path = tmp_path / "weights.pth"
    made = _encoder(seed=3)
    write_weights(path, made.state_dict(), {})
    encoder = _build(weights=str(path), trainable=False)
    assert all(torch.equal(value, made.state_dict()[key]) for key, value in encoder.state_dict().items())
    assert [name for name, p in encoder.named_parameters() if p.requires_grad] == ["fc_out.weight", "fc_out.bias"]


def test_spec_refuses_weights_of_another_width(tmp_path):
    path = tmp_path / "weights.pth"
    write_weights(path, _encoder(base=2).state_dict(), {})
    with pytest.raises(ArtefactError) as caught:
        _build(weights=str(path))
    assert str(caught.value) == (
        f"{path}: does not fit this run's CNN10Encoder: 43 of another shape: "
        "conv_block1.conv1.weight is (2, 1, 3, 3), expected (4, 1, 3, 3), "
        "conv_block1.bn1.weight is (2,), expected (4,), conv_block1.bn1.bias is (2,), expected (4,) and 40 more; "
        f"write it again: <make initial-weights --encoder CNN10Encoder --output {path}>"
    )


def test_spec_refuses_missing_weights(tmp_path):
    with pytest.raises(
        ArtefactError,
        match=r"none\.pth: no such file; .*<make initial-weights --encoder CNN10Encoder --output .*\.pth>$",
    ):
        _build(weights=str(tmp_path / "none.pth"))


def test_weights_of_a_network_that_nobody_published_are_exported_again(tmp_path):
    with pytest.raises(ArtefactError, match=r"none\.pth: no such file; write it again: <make exported-encoder>$"):
        _build(name="CNN8Encoder", weights=str(tmp_path / "none.pth"))


def test_spec_refuses_too_few_bands_and_too_many_frozen_blocks():
    with pytest.raises(ConfigError) as caught:
        _build(name="CNN14Encoder", n_mels=16)
    assert str(caught.value) == (
        "model.audio_encoder: CNN14Encoder needs 32 mel bands or more, got 16 from data.front_end; "
        "take a front-end with more bands, or an encoder with fewer blocks"
    )
    with pytest.raises(ConfigError, match=r"freeze_blocks: Input should be less than or equal to 4 \(got 5\)"):
        _build(freeze_blocks=5)
    with pytest.raises(ConfigError, match=r"dropout: Input should be less than 1 \(got 1\.0\)"):
        _build(dropout=1.0)
