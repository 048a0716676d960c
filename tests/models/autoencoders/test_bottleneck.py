"""The bottleneck: divergence by hand, samples, statistics over a window's own steps, embeddings of both kinds."""

import math

import pytest
import torch

from models.autoencoders.bottleneck import GaussianCode
from models.autoencoders.layers import mean_and_deviation
from tests.models.autoencoders.autoencoders import batch, build, windows


def gaussian(mean: list[float], log_variance: list[float]) -> GaussianCode:
    """A layer that gives this distribution, whatever its input."""
    code = GaussianCode(4, len(mean), variational=True)
    torch.nn.init.zeros_(code.linear.weight)
    code.linear.bias.data = torch.tensor([*mean, *log_variance])
    return code


def test_the_divergence_by_hand():
    """0.5 (m^2 + s^2 - 1 - ln s^2) a unit and step: 0.5 for m = 1, s = 1; 0.5 (4 - 1 - ln 4) for m = 0, s = 2."""
    code = gaussian([1.0, 0.0], [0.0, math.log(4.0)]).eval()
    found = code(torch.randn(2, 3, 4), torch.tensor([1, 3]))
    one = 0.5 + 0.5 * (3 - math.log(4.0))
    assert found.kl.tolist() == pytest.approx([one, 3 * one])
    assert found.values[0].tolist() == [[1, 0], [0, 0], [0, 0]]


def test_the_divergence_is_that_of_torch():
    torch.manual_seed(0)
    code = GaussianCode(4, 5, variational=True).eval()
    hidden = torch.randn(1, 6, 4)
    mean, log_variance = code.linear(hidden).chunk(2, dim=2)
    posterior = torch.distributions.Normal(mean, (log_variance / 2).exp())
    expected = torch.distributions.kl_divergence(posterior, torch.distributions.Normal(0.0, 1.0)).sum()
    torch.testing.assert_close(code(hidden, torch.tensor([6])).kl[0], expected)


def test_training_draws_from_the_distribution_and_evaluation_takes_its_mean():
    torch.manual_seed(0)
    code = gaussian([1.0, -2.0], [math.log(4.0), math.log(0.25)])
    hidden, counts = torch.zeros(20_000, 1, 4), torch.ones(20_000, dtype=torch.int64)
    drawn = code.train()(hidden, counts).values[:, 0]
    assert drawn.mean(0).tolist() == pytest.approx([1, -2], abs=0.05)
    assert drawn.std(0).tolist() == pytest.approx([2, 0.5], rel=0.05)
    assert torch.equal(code.eval()(hidden, counts).values[:, 0], torch.tensor([1.0, -2.0]).expand(20_000, 2))


def test_a_plain_code_has_no_divergence():
    found = GaussianCode(4, 2, variational=False)(torch.randn(3, 5, 4), torch.tensor([5, 1, 2]))
    assert found.kl.tolist() == [0, 0, 0]


def test_statistics_by_hand():
    steps = torch.tensor([[[1.0, 5.0], [3.0, 5.0], [99.0, 99.0]], [[2.0, 0.0], [0.0, 99.0], [99.0, 99.0]]])
    found = mean_and_deviation(steps, torch.tensor([2, 1]))
    torch.testing.assert_close(found, torch.tensor([[2.0, 5.0, 1.0, 1e-6], [2.0, 0.0, 1e-6, 1e-6]]))


@pytest.mark.parametrize("key", ["wave", "frame", "spectrogram"])
def test_the_embedding_of_steps_is_their_mean_and_deviation(key):
    autoencoder = build(key)
    x, lengths = batch(autoencoder, windows(autoencoder, [30, 17]))
    output = autoencoder(x, lengths)
    assert autoencoder.embedding_dim == 6
    for row, steps in enumerate(output.steps.tolist()):
        own = output.code[row, :steps]
        expected = torch.cat([own.mean(0), own.std(0, correction=0)])
        torch.testing.assert_close(output.embedding[row], expected, rtol=1e-4, atol=1e-5)
    assert torch.equal(output.own_codes(), torch.cat([output.code[0], output.code[1, : output.steps[1]]]))


@pytest.mark.parametrize("key", ["wave-window", "frame-window", "spectrogram-window"])
def test_the_embedding_of_a_window_is_its_code(key):
    autoencoder = build(key)
    x, lengths = batch(autoencoder, windows(autoencoder, [30, 17]))
    output = autoencoder(x, lengths)
    assert output.code.shape == (2, 1, autoencoder.embedding_dim) == (2, 1, 3)
    assert output.steps.tolist() == [1, 1]
    assert torch.equal(output.embedding, output.code[:, 0])
