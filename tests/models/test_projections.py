"""Projections: the arithmetic by hand, the standardisation from training data alone, what is refused."""

import pytest
import torch

from models.projections import AudioProjection, AudioProjectionSpec, MLPProjection, MLPProjectionSpec


def vectors(n=64, dim=5, seed=0):
    return torch.randn(n, dim, generator=torch.Generator().manual_seed(seed)) * torch.arange(1.0, dim + 1) + 7


def test_linear_projection_is_one_matrix_product():
    projection = AudioProjection(5, 3).eval()
    linear = projection.layers
    torch.testing.assert_close(projection(vectors()), vectors() @ linear.weight.T + linear.bias)
    assert sum(p.numel() for p in projection.parameters()) == 5 * 3 + 3


def test_the_standardisation_is_part_of_the_state_and_not_of_the_optimizer():
    projection = AudioProjection(5, 3, standardise=True)
    projection.fit(vectors())
    assert {"standardisation.mean", "standardisation.deviation"} <= set(projection.state_dict())
    assert {name for name, _ in projection.named_parameters()} == {"layers.weight", "layers.bias"}
    restored = AudioProjection(5, 3, standardise=True)
    restored.load_state_dict(projection.state_dict())
    assert torch.equal(restored.eval()(vectors(seed=1)), projection.eval()(vectors(seed=1)))


def test_mlp_by_hand():
    projection = MLPProjection(5, 3, hidden_dim=4).eval()
    hidden, _, _, last = projection.layers
    expected = last(torch.relu(hidden(vectors())))
    torch.testing.assert_close(projection(vectors()), expected)


@pytest.mark.parametrize("projection", [AudioProjection(5, 3, noise=0.5), MLPProjection(5, 3, dropout=0.5)])
def test_noise_and_dropout_act_in_training_alone(projection):
    assert not torch.equal(projection(vectors()), projection(vectors()))
    projection.eval()
    assert torch.equal(projection(vectors()), projection(vectors()))


def test_noise_has_the_given_deviation_after_standardisation():
    projection = AudioProjection(5, 5, standardise=True, noise=0.5)
    torch.nn.init.eye_(projection.layers.weight)
    torch.nn.init.zeros_(projection.layers.bias)
    table = vectors(50_000)
    projection.fit(table)
    with torch.no_grad():
        noise = projection(table) - projection.standardisation(table)
    torch.testing.assert_close(noise.std(0), torch.full((5,), 0.5), atol=0.01, rtol=0)
    torch.testing.assert_close(noise.mean(0), torch.zeros(5), atol=0.01, rtol=0)


def test_vectors_of_another_width_are_refused():
    with pytest.raises(ValueError, match=r"audio vectors are \(64, 5\), expected \(B, 6\)"):
        AudioProjection(6, 3)(vectors())


def test_specs_build_what_they_name():
    linear = AudioProjectionSpec(name="AudioProjection", standardise=True).build(out_dim=3, in_dim=5)
    mlp = MLPProjectionSpec(name="MLPProjection", hidden_dim=7).build(out_dim=3, in_dim=5)
    assert linear(vectors()).shape == mlp(vectors()).shape == (64, 3)
    assert (linear.standardisation is None, mlp.standardisation is None) == (False, True)
    assert mlp.layers[0].out_features == 7
