"""The closed-form map: equal to numpy's least squares, in a stream; nothing learns; a start for mean pooling."""

import numpy as np
import pytest
import torch

from models.adapters import AdapterSpec, TrainingClips
from models.adapters.regression import ridge_regression
from tests.models.adapters.adapters import HIDDEN, IN_DIM, SCALE, batch, build, clips
from utils.cli_utils import ConfigError
from utils.config_utils import parse


def plain_ridge(x, y, ridge):
    """numpy.linalg.lstsq with the penalty as further rows, whose targets are zeros."""
    x_mean, y_mean = x.mean(0), y.mean(0)
    penalty = np.sqrt(ridge * x.var(0).mean() * len(x)) * np.eye(x.shape[1])
    rows = np.concatenate([x - x_mean, penalty])
    targets = np.concatenate([y - y_mean, np.zeros((x.shape[1], y.shape[1]))])
    weight = np.linalg.lstsq(rows, targets, rcond=None)[0].T
    return weight, y_mean - weight @ x_mean


@pytest.mark.parametrize("ridge", [1e-9, 0.1, 10.0])
def test_a_stream_gives_numpys_least_squares(ridge):
    generator = np.random.default_rng(0)
    x = generator.normal(3, 2, (50, 7))
    y = x[:, :4] @ generator.normal(size=(4, 3)) + generator.normal(size=(50, 3)) + 100
    batches = [(torch.from_numpy(x[a:b]), torch.from_numpy(y[a:b])) for a, b in [(0, 1), (1, 30), (30, 50)]]
    found = ridge_regression(batches, ridge)
    for one, expected in zip(found, plain_ridge(x, y, ridge), strict=True):
        np.testing.assert_allclose(one, expected, rtol=1e-9, atol=1e-9)


def test_equal_inputs_leave_only_the_bias():
    weight, bias = ridge_regression([(torch.ones(4, 2), torch.tensor([[1.0], [2.0], [3.0], [6.0]]))], 0.1)
    torch.testing.assert_close(weight, torch.zeros(1, 2, dtype=torch.float64))
    torch.testing.assert_close(bias, torch.tensor([3.0], dtype=torch.float64))


def test_a_clip_is_mapped_by_its_mean_frame():
    """Padding counts neither in the fit nor afterwards; the standardisation comes before the map."""
    generator = torch.Generator().manual_seed(3)
    frames = [3 * clip + 10 for clip in clips([3, 9, 5, 7, 2, 8, 4, 6])]
    captions = torch.randn(8, HIDDEN, generator=generator)
    spec = parse({"name": "LeastSquaresAdapter", "ridge": 0.2, "standardise": True}, AdapterSpec, "conf.yaml")
    adapter = spec.build(IN_DIM, HIDDEN, SCALE).train()
    adapter.preparation.noise = 5.0  # of training alone, and not of the fit
    halves = [(frames[:5], captions[:5]), (frames[5:], captions[5:])]
    adapter.fit([TrainingClips(*batch(some, float("nan")), own) for some, own in halves])
    pooled = torch.cat(frames)
    means = torch.stack([((f - pooled.mean(0)) / pooled.std(0, correction=0)).mean(0) for f in frames]).double().numpy()
    weight, bias = plain_ridge(means, captions.double().numpy(), 0.2)
    expected = torch.from_numpy(means @ weight.T + bias).float()
    tokens, counts = adapter.eval()(*batch(frames))
    assert counts.tolist() == [1] * 8
    expected = expected * SCALE / expected.square().mean(1, keepdim=True).sqrt()
    torch.testing.assert_close(tokens[:, 0], expected, rtol=1e-4, atol=1e-5)


def test_nothing_learns_but_prompt_tokens_and_the_map_is_in_the_state():
    assert [name for name, _ in build("least-squares").named_parameters()] == []
    adapter = build("least-squares", prompt_tokens=2)
    assert [name for name, _ in adapter.named_parameters()] == ["prompt"]
    assert {"layers.projection.weight", "layers.projection.bias"} <= set(adapter.state_dict())


def test_without_a_fit_the_outputs_are_no_numbers():
    spec = parse({"name": "LeastSquaresAdapter"}, AdapterSpec, "conf.yaml")
    adapter = spec.build(IN_DIM, HIDDEN, SCALE)
    assert adapter.fitted_on == "captions"
    assert adapter(*batch(clips([4])))[0].isnan().all()
    with pytest.raises(ValueError, match="the clips have no captions"):
        adapter.fit([TrainingClips(*batch(clips([4])))])
    with pytest.raises(ValueError, match="there are no clips"):
        adapter.fit([])


def test_mean_pooling_starts_from_the_same_map_and_learns():
    start, fixed = build("mean-ridge", tokens=2), build("least-squares")
    torch.testing.assert_close(start(*batch(clips([5])))[0], fixed(*batch(clips([5])))[0])
    assert {"layers.projection.weight", "gain"} <= {name for name, _ in start.named_parameters()}


def test_a_start_from_the_map_with_a_hidden_layer_is_refused():
    with pytest.raises(ConfigError, match=r"ridge: 0\.5 starts from a linear map, and hidden_dim: 512 adds"):
        parse({"name": "MeanPoolingAdapter", "ridge": 0.5}, AdapterSpec, "conf.yaml")
