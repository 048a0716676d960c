import copy
import itertools

import pytest
import torch
from pydantic import TypeAdapter, ValidationError

from utils.model_utils import LRSchedulerSpec, OptimizerSpec
from utils.model_utils.optimisation import WarmupCosineSpec, computed_here
from utils.model_utils.saved_state import check_optimizer_state


def optimizer(**keys):
    return TypeAdapter(OptimizerSpec).validate_python(keys)


def schedule(**keys):
    return TypeAdapter(LRSchedulerSpec).validate_python(keys)


def learning_rates(spec, epochs, steps_per_epoch, values=None, mode="max", lr=1.0):
    """The lr of every step."""
    weight = torch.nn.Parameter(torch.ones(1))
    sgd = torch.optim.SGD([weight], lr=lr)
    driven = spec.build(sgd, steps_per_epoch, epochs, mode)
    seen = []
    for epoch in range(epochs):
        for _ in range(steps_per_epoch):
            seen.append(sgd.param_groups[0]["lr"])
            sgd.step()
            driven.step()
        driven.epoch(values[epoch] if values else 0.0)
    return [*seen, sgd.param_groups[0]["lr"]]


def test_warmup_cosine_by_hand():
    rates = learning_rates(schedule(name="WarmupCosine", warmup_epochs=1), epochs=5, steps_per_epoch=4)
    assert rates[:4] == [0.25, 0.5, 0.75, 1.0]  # the first epoch
    assert rates[4] == 1.0  # the cosine begins at its top
    assert rates[12] == pytest.approx(0.5)  # half of the 16 steps after the warm-up
    assert rates[8] == pytest.approx(0.5 + 0.5 * 0.5**0.5)  # a quarter of them: (1 + cos(pi / 4)) / 2
    assert rates[20] == pytest.approx(0.0)
    assert all(a >= b for a, b in itertools.pairwise(rates[3:]))


def test_warmup_cosine_ends_at_the_final_factor():
    spec = schedule(name="WarmupCosine", warmup_epochs=0, final_factor=0.1)
    rates = learning_rates(spec, epochs=2, steps_per_epoch=2, lr=0.01)
    factors = (1, 0.1 + 0.45 * (1 + 0.5**0.5), 0.55, 0.1 + 0.45 * (1 - 0.5**0.5), 0.1)
    assert rates == pytest.approx([0.01 * f for f in factors])


def test_warmup_longer_than_the_run_only_rises():
    rates = learning_rates(schedule(name="WarmupCosine", warmup_epochs=9), epochs=2, steps_per_epoch=2)
    assert rates[:4] == [0.25, 0.5, 0.75, 1.0]


def test_factor_beyond_the_end_stays():
    assert WarmupCosineSpec(name="WarmupCosine", final_factor=0.2).factor(99, 4, 20) == pytest.approx(0.2)


@pytest.mark.parametrize(
    ("mode", "values", "expected"),
    [
        ("max", [0.5, 0.5, 0.5, 0.6, 0.5], [1, 1, 1, 0.1, 0.1, 0.1]),  # two epochs without a better one
        ("max", [0.1, 0.2, 0.3, 0.4, 0.5], [1, 1, 1, 1, 1, 1]),
        ("min", [0.1, 0.2, 0.3, 0.4, 0.5], [1, 1, 1, 0.1, 0.1, 0.01]),
        ("min", [0.5, 0.4, 0.3, 0.2, 0.1], [1, 1, 1, 1, 1, 1]),
        ("max", [0.5, 0.501, 0.502, 0.503, 0.504], [1, 1, 1, 0.1, 0.1, 0.01]),  # below the threshold
    ],
)
def test_plateau_watches_the_selecting_metric(mode, values, expected):
    spec = schedule(name="ReduceLROnPlateau", factor=0.1, patience=1, threshold=0.005, min_lr=0.0)
    assert learning_rates(spec, 5, 1, values, mode) == pytest.approx(expected)


def test_plateau_stops_at_min_lr():
    spec = schedule(name="ReduceLROnPlateau", factor=0.1, patience=0, min_lr=0.05)
    assert learning_rates(spec, 4, 1, [0.5] * 4) == pytest.approx([1, 1, 0.1, 0.05, 0.05])


def test_none_changes_nothing():
    assert learning_rates(schedule(name="none"), 2, 3) == [1.0] * 7


@pytest.mark.parametrize(
    ("keys", "after"),
    [
        ({"name": "SGD", "lr": 0.1, "momentum": 0.9}, [0.9, 0.71]),  # v = 1, then 1.9
        ({"name": "SGD", "lr": 0.1, "momentum": 0.0, "weight_decay": 1.0}, [0.8, 0.62]),  # gradient 1 + w
        ({"name": "SGD", "lr": 0.1, "momentum": 0.5, "nesterov": True}, [0.85, 0.675]),  # 1 + 0.5 v
        ({"name": "Adam", "lr": 0.1}, [0.9, 0.8]),  # a constant gradient moves by lr
        ({"name": "AdamW", "lr": 0.1, "weight_decay": 0.5}, [0.85, 0.7075]),  # w (1 - 0.05) - 0.1
    ],
)
def test_optimizers_by_hand(keys, after):
    """Two steps from 1 with the gradient 1."""
    weight = torch.nn.Parameter(torch.ones(1, 1, dtype=torch.float64))  # of one dimension it would not decay
    built = optimizer(**keys).build([("weight", weight)])
    found = []
    for _ in after:
        weight.grad = torch.ones_like(weight)
        built.step()
        found.append(weight.item())
    assert found == pytest.approx(after, abs=1e-6)
    assert type(built).__name__ == keys["name"]


@pytest.mark.parametrize("name", ["Adam", "AdamW", "SGD"])
@pytest.mark.parametrize("fused", [False, True])
def test_a_checkpoint_goes_on_where_the_optimizer_is_fused_or_not(name, fused, tmp_path):
    """Those of a GPU are, those of a CPU are not."""

    def built(is_fused):
        weight = torch.nn.Parameter(torch.ones(2, 2))
        return weight, optimizer(name=name, lr=0.1).build([("weight", weight)], fused=is_fused)

    (there, saved), (here, own) = built(not fused), built(fused)
    there.grad = torch.ones_like(there)
    saved.step()
    state = computed_here({"optimizer": copy.deepcopy(saved.state_dict())}, own)["optimizer"]
    check_optimizer_state(own, state, tmp_path)
    here.data.copy_(there)
    own.load_state_dict(state)
    assert [group["fused"] for group in own.param_groups] == [fused or None]
    for weight, one in ((there, saved), (here, own)):
        weight.grad = torch.ones_like(weight)
        one.step()
    torch.testing.assert_close(here, there)


@pytest.mark.parametrize("keys", [{"name": "Adam", "lr": 0}, {"name": "SGD", "momentum": 1}, {"name": "LAMB"}])
def test_optimizers_out_of_range_are_refused(keys):
    with pytest.raises(ValidationError):
        optimizer(**keys)
