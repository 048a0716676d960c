"""Projections: the arithmetic by hand, the standardisation from training data alone, what is refused."""

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from models import projections
from models.projections import AudioProjection, AudioProjectionSpec, MLPProjection, MLPProjectionSpec, Standardisation


def vectors(n=64, dim=5, seed=0):
    return torch.randn(n, dim, generator=torch.Generator().manual_seed(seed)) * torch.arange(1.0, dim + 1) + 7


def test_standardisation_by_hand():
    standardise = Standardisation(2)
    standardise.fit(torch.tensor([[1.0, 5.0], [3.0, 5.0]]))  # mean 2 and 5, deviation 1 and 0
    out = standardise(torch.tensor([[4.0, 5.0], [2.0, 6.0]]))
    assert out.tolist() == [[2.0, 0.0], [0.0, 1.0]]  # the constant dimension is only centred


def far_vectors(rows, width=64):
    return torch.from_numpy(np.random.default_rng(0).normal(1000, 0.5, (rows, width)).astype(np.float32))


def test_moments_of_many_blocks_are_those_of_the_whole_table():
    table = far_vectors(2 * projections._BLOCK // 64 + 17)
    mean, deviation = projections.moments(table)
    whole = table.numpy().astype(np.float64)
    np.testing.assert_allclose(mean, whole.mean(0), rtol=1e-12)
    np.testing.assert_allclose(deviation, whole.std(0), rtol=1e-12)


class LargestDouble(TorchDispatchMode):
    """Notes the most numbers that one tensor in double precision holds."""

    largest = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        made = func(*args, **(kwargs or {}))
        if isinstance(made, torch.Tensor) and made.dtype == torch.float64:
            self.largest = max(self.largest, made.numel())
        return made


def test_a_large_table_is_taken_to_double_precision_block_by_block(monkeypatch):
    monkeypatch.setattr(projections, "_BLOCK", 640)
    with LargestDouble() as seen:
        Standardisation(64).fit(far_vectors(1000))
    assert seen.largest == 640


def test_standardised_training_vectors_have_mean_0_and_deviation_1():
    standardise = Standardisation(5)
    standardise.fit(vectors())
    out = standardise(vectors())
    torch.testing.assert_close(out.mean(0), torch.zeros(5), atol=1e-5, rtol=0)
    torch.testing.assert_close(out.std(0, correction=0), torch.ones(5), atol=1e-5, rtol=0)


def test_nothing_changes_before_the_fit():
    assert torch.equal(Standardisation(5)(vectors()), vectors())


def test_large_means_cost_no_precision():
    """Float32 sums over many rows of a large mean would be off by far more."""
    table = torch.full((100_000, 1), 1000.0)
    table[::2] += 0.5
    standardise = Standardisation(1)
    standardise.fit(table)
    assert standardise.deviation.item() == pytest.approx(0.25, rel=1e-5)


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
