"""What every autoencoder promises: shapes of any length, padding is ignored, all of it learns."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models.autoencoders import AutoencoderSpec
from tests.models.autoencoders.autoencoders import (
    SETTINGS,
    WIDTH,
    batch,
    build,
    every_autoencoder,
    every_kind,
    learn,
    windows,
)
from utils.cli_utils import ConfigError
from utils.config_utils import parse, to_mapping


@every_autoencoder
@settings(max_examples=15, deadline=None, derandomize=True)
@given(
    lengths=st.lists(st.integers(1, 41), min_size=1, max_size=4),
    extra=st.integers(0, 7),
    filling=st.sampled_from([0.0, 1e6, float("nan"), float("inf")]),
)
def test_a_windows_results_are_the_same_alone_and_in_any_batch(key, lengths, extra, filling):
    autoencoder = build(key, variational=True)
    inputs = windows(autoencoder, lengths, seed=sum(lengths))
    x, counts = batch(autoencoder, inputs, filling, extra)
    together = autoencoder(x, counts)
    assert together.reconstruction.shape == x.shape
    assert together.embedding.shape == (len(lengths), autoencoder.embedding_dim)
    for row, window in enumerate(inputs):
        alone = autoencoder(*batch(autoencoder, [window]))
        n, steps = len(window), int(alone.steps)
        assert alone.reconstruction.shape[1:] == window.shape
        assert steps == alone.code.shape[1] == together.steps[row]
        close(together.reconstruction[row][:n], alone.reconstruction[0])
        close(together.code[row][:steps], alone.code[0])
        assert not together.reconstruction[row][n:].any()
        assert not together.code[row][steps:].any()
        close(together.embedding[row], alone.embedding[0])
        close(together.kl[row], alone.kl[0])
    error, count = autoencoder.reconstruction_error(together, counts)
    each = [batch(autoencoder, [window]) for window in inputs]
    errors, numbers = zip(*(autoencoder.reconstruction_error(autoencoder(*one), one[1]) for one in each), strict=True)
    close(error, sum(errors))
    assert count == sum(numbers) == sum(window.numel() for window in inputs)


def close(found: torch.Tensor, expected: torch.Tensor) -> None:
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


@every_autoencoder
def test_every_length_comes_back(key):
    autoencoder = build(key)
    for length in range(1, 70):
        x, lengths = batch(autoencoder, windows(autoencoder, [length]))
        output = autoencoder(x, lengths)
        assert output.reconstruction.shape == x.shape
        assert output.reconstruction.abs().sum() > 0
        assert output.embedding.isfinite().all()


@every_autoencoder
@every_kind
def test_gradients_reach_every_parameter(key, variational):
    autoencoder = build(key, variational=variational, noise=0.1).train()
    x, lengths = batch(autoencoder, windows(autoencoder, [29, 31, 7]))
    autoencoder.losses(autoencoder(x, lengths), lengths)["loss"].backward()
    for name, parameter in autoencoder.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().max() > 0, name


@every_autoencoder
def test_all_of_a_window_is_in_its_embedding_and_reconstruction(key):
    autoencoder = build(key)
    [window] = windows(autoencoder, [23])
    before = autoencoder(*batch(autoencoder, [window]))
    for position in range(len(window)):
        changed = window.clone()
        changed[position] *= 3  # of a frame's bands: the same added to all is its level
        after = autoencoder(*batch(autoencoder, [changed]))
        for one, other in ((before.embedding, after.embedding), (before.reconstruction, after.reconstruction)):
            assert (one - other).abs().max() > 1e-6, f"{position} changes nothing"


@every_autoencoder
def test_the_reconstruction_is_made_from_the_code_alone(key):
    autoencoder = build(key)
    x, lengths = batch(autoencoder, windows(autoencoder, [23, 9]))
    with torch.no_grad():
        autoencoder.bottleneck.code.linear.weight.zero_()
    one, other = (autoencoder(v, lengths).reconstruction for v in (x, torch.randn_like(x)))
    assert torch.equal(one, other)


@every_autoencoder
@pytest.mark.parametrize("keys", [{"noise": 0.5}, {"dropout": 0.3}, {"variational": True}], ids=str)
def test_what_is_random_acts_in_training_alone(key, keys):
    if key == "linear" and "dropout" in keys:
        pytest.skip("no hidden layer to drop")
    autoencoder = build(key, **keys)
    x = batch(autoencoder, windows(autoencoder, [23, 9]))
    first, second = autoencoder(*x), autoencoder(*x)
    for one, other in zip(first, second, strict=True):
        assert torch.equal(one, other)
    autoencoder.train()
    assert not torch.equal(autoencoder(*x).code, autoencoder(*x).code)


@every_autoencoder
def test_a_few_windows_are_learned_by_heart(key):
    """Windows of rank 1 over time and bands, so that a code of any kind can hold them."""
    autoencoder = build(key)
    inputs = [level * window.sign() for window, level in zip(windows(autoencoder, [8, 8]), (1.0, 2.0), strict=True)]
    if autoencoder.kind != "features":
        inputs = [window[:1].expand_as(window) for window in inputs]
    x, lengths = batch(autoencoder, inputs)
    autoencoder.fit([(x, lengths)])
    assert learn(autoencoder, x, lengths, lr=0.02)["mse"] < 0.01


@every_autoencoder
def test_low_precision_is_close_to_full_precision(key):
    autoencoder = build(key)
    x = batch(autoencoder, windows(autoencoder, [23, 9]))
    full = autoencoder(*x)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        low = autoencoder(*x)
    for one, other in zip(low, full, strict=True):
        assert one.dtype == other.dtype
        torch.testing.assert_close(one, other, rtol=0.1, atol=0.05)


@every_autoencoder
def test_inputs_that_do_not_fit_are_refused(key):
    autoencoder = build(key)
    x, lengths = batch(autoencoder, windows(autoencoder, [5, 3]))
    if autoencoder.kind != "wave":
        with pytest.raises(ValueError, match=rf"the input is \(2, .*5\), expected \(B, .*{WIDTH}\)"):
            autoencoder(x[..., :5], lengths)
    with pytest.raises(ValueError, match=r"the input is \(1, 2, .*\), expected \(B, "):
        autoencoder(x[None], lengths)
    with pytest.raises(ValueError, match=r"a clip has 0 frames, expected 1 to [15]"):
        autoencoder(x, torch.tensor([1, 0]))


@every_autoencoder
def test_a_spec_is_the_same_after_a_round_trip(key):
    spec = parse(SETTINGS[key], AutoencoderSpec, "conf.yaml")
    assert parse(to_mapping(spec), AutoencoderSpec, "conf.yaml") == spec


def test_every_choice_is_tested():
    names = {spec["name"] for spec in SETTINGS.values()}
    with pytest.raises(ConfigError, match="unknown name 'VQAutoencoder'; choices: ") as error:
        parse({"name": "VQAutoencoder"}, AutoencoderSpec, "conf.yaml")
    choices = str(error.value).partition("choices: ")[2]
    assert {choice.strip("' ") for choice in choices.split(",")} == names


@pytest.mark.parametrize(
    ("key", "numbers", "of"),
    [
        ("mlp", 6, "a feature vector"),
        ("wave", 12, r"a step \(12 x 1\)"),
        ("frame", 36, r"a step \(6 x 6\)"),
        ("spectrogram", 24, r"a step \(4 x 6\)"),
        ("wave-window", 64, r"a window \(64 x 1\)"),
        ("frame-window", 384, r"a window \(64 x 6\)"),
    ],
)
def test_a_code_larger_than_its_input_is_refused(key, numbers, of):
    build(key, latent_dim=numbers)
    with pytest.raises(
        ConfigError,
        match=rf"^model.latent_dim: {numbers + 1} is above the {numbers} numbers of {of}, so that nothing is "
        rf"compressed; expected {numbers} or less$",
    ):
        build(key, latent_dim=numbers + 1)
