"""Standardisation by the training split, errors and losses by hand, dead units."""

import math

import pytest
import torch

from models.autoencoders import Reconstructed, dead_units
from models.standardisation import moments
from tests.models.autoencoders.autoencoders import LEVEL_KEPT, WIDTH, batch, build, every_autoencoder, learn, windows


@every_autoencoder
def test_inputs_are_standardised_by_the_windows_of_fit_alone(key):
    autoencoder = build(key, **LEVEL_KEPT[key])
    scale = 3.0 if autoencoder.kind == "wave" else torch.arange(1.0, WIDTH + 1)
    inputs = [window * scale + 100 for window in windows(autoencoder, [17, 40, 12])]
    autoencoder.fit([batch(autoencoder, inputs[:2], float("nan")), batch(autoencoder, inputs[2:])])
    pooled = torch.cat([window.reshape(-1, autoencoder.layers.width) for window in inputs])
    torch.testing.assert_close(autoencoder.standardisation.mean, pooled.mean(0))
    torch.testing.assert_close(autoencoder.standardisation.deviation, pooled.std(0, correction=0))
    fitted = {name: value.clone() for name, value in autoencoder.state_dict().items()}
    assert {"standardisation.mean", "standardisation.deviation"} <= fitted.keys()
    x, lengths = batch(autoencoder, windows(autoencoder, [20, 30], seed=1))  # validation
    for mode in (False, True):
        output = autoencoder.train(mode)(x, lengths)
        autoencoder.losses(output, lengths)
    for name, value in autoencoder.state_dict().items():
        assert torch.equal(value, fitted[name]), name
    restored = build(key, seed=1, **LEVEL_KEPT[key])
    restored.load_state_dict(fitted)
    assert torch.equal(restored(x, lengths).embedding, autoencoder.eval()(x, lengths).embedding)


@every_autoencoder
def test_the_scale_of_the_input_does_not_matter(key):
    """Only of one training split: in decibels or in nepers, errors and embeddings are the same."""
    one, other = build(key, **LEVEL_KEPT[key]), build(key, **LEVEL_KEPT[key])
    x, lengths = batch(one, windows(one, [17, 40, 12]))
    one.fit([(x, lengths)])
    other.fit([(4.343 * x - 20, lengths)])
    first, second = one(x, lengths), other(4.343 * x - 20, lengths)
    torch.testing.assert_close(first.embedding, second.embedding, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(
        4.343 * one.restored(first.reconstruction, x, lengths) - 20,
        other.restored(second.reconstruction, 4.343 * x - 20, lengths),
        rtol=1e-3,
        atol=1e-2,
    )


@every_autoencoder
def test_the_mean_explains_nothing_of_the_training_split(key):
    autoencoder = build(key)
    x, lengths = batch(autoencoder, windows(autoencoder, [17, 40, 12]), float("nan"), extra=3)
    autoencoder.fit([(x, lengths)])
    output = autoencoder(x, lengths)
    error, count = autoencoder.mean_prediction_error(output, lengths)
    assert error.item() / count == pytest.approx(1, rel=1e-4)
    same, _ = autoencoder.reconstruction_error(output._replace(reconstruction=torch.zeros_like(x)), lengths)
    assert same.item() == pytest.approx(error.item())
    target = autoencoder.standardised(x, lengths)
    assert target.shape == x.shape
    assert target.square().sum().item() == pytest.approx(error.item())
    assert torch.equal(target, output.target)


def output_of(reconstruction: torch.Tensor, target: torch.Tensor, kl: list[float]) -> Reconstructed:
    n = len(kl)
    code = torch.zeros(n, 1, 3)
    return Reconstructed(reconstruction, target, code[:, 0], code, torch.ones(n, dtype=torch.int64), torch.tensor(kl))


def test_errors_and_losses_by_hand():
    """Waves of deviation 2: an error of 2 counts as 1; NaN in the padding, and what is made of it, do not count."""
    wave = build("wave", variational=True, beta=0.5)
    wave.standardisation.deviation.fill_(2.0)
    wave.standardisation.mean.fill_(1.0)
    x, lengths = torch.tensor([[1.0, 3.0, 5.0], [1.0, math.nan, math.nan]]), torch.tensor([3, 1])
    assert wave(x, lengths).target.tolist() == [[0, 1, 2], [0, 0, 0]]
    reconstruction = torch.tensor([[1.0, 1.0, 0.0], [2.0, 7.0, 7.0]])
    output = output_of(reconstruction, wave(x, lengths).target, [3.0, 1.0])
    error, count = wave.reconstruction_error(output, lengths)
    assert (error.item(), count) == (1 + 0 + 4 + 4, 4)
    assert wave.mean_prediction_error(output, lengths) == (0 + 1 + 4 + 0, 4)
    losses = {name: value.item() for name, value in wave.losses(output, lengths).items()}
    assert losses == {"mse": 9 / 4, "kl": 2, "loss": 9 / 4 + 2 * 0.5 * 4 / 4}
    plain = build("wave")
    assert plain.losses(output, lengths).keys() == {"loss", "mse"}


def test_noise_is_added_to_the_input_and_not_to_the_target():
    autoencoder = build("linear", noise=100.0, latent_dim=WIDTH).train()
    x, lengths = torch.randn(50, WIDTH), torch.ones(50, dtype=torch.int64)
    with torch.no_grad():
        for layer in (autoencoder.bottleneck.code.linear, autoencoder.bottleneck.expand):
            layer.weight.copy_(torch.eye(WIDTH))
            layer.bias.zero_()
    mse = autoencoder.losses(autoencoder(x, lengths), lengths)["mse"].item()
    assert mse == pytest.approx(100**2, rel=0.3)
    mse = autoencoder.eval().losses(autoencoder(x, lengths), lengths)["mse"].item()
    assert mse == pytest.approx(0, abs=1e-6)


def test_dead_units():
    codes = torch.randn(100, 4, generator=torch.Generator().manual_seed(0)) * torch.tensor([1.0, 1e-3, 0.5, 0.0]) + 7
    _, deviations = moments([codes])
    assert dead_units(deviations).tolist() == [False, True, False, True]
    assert dead_units(torch.zeros(3)).all()


def test_a_variational_code_of_what_cannot_be_told_dies():
    """With a large beta, all but the mean is dropped: every unit is on the prior."""
    autoencoder = build("linear", variational=True, beta=50.0, latent_dim=2)
    x, lengths = torch.randn(64, WIDTH, generator=torch.Generator().manual_seed(0)), torch.ones(64, dtype=torch.int64)
    learn(autoencoder, x, lengths, lr=0.05)
    output = autoencoder.eval()(x, lengths)
    assert output.kl.mean() < 0.01
    assert output.embedding.std(0).max() < 0.1
