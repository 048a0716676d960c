"""Learning rates and weight decay by part of the model."""

import pytest
import torch
from torch import nn

from tests.training import StoppedError, differences, fit_of, keep_checkpoints, reports_of, run_of
from tests.utils.model_utils.test_optimisation import optimizer, schedule
from utils.cli_utils import ConfigError
from utils.config_utils import to_mapping
from utils.model_utils.parameter_groups import learning_rates
from utils.model_utils.trials import checkpoint_folders


@pytest.fixture
def model():
    """A frozen front, an encoder of two layers, and a head."""
    dual = nn.ModuleDict(
        {
            "front": nn.Linear(2, 2).requires_grad_(False),
            "encoder": nn.ModuleDict({"first": nn.Linear(2, 2), "last": nn.Linear(2, 2)}),
            "head": nn.Linear(2, 1),
        }
    )
    return nn.ModuleDict({"dual": dual, "scale": nn.PReLU()})


def groups_of(model, **groups):
    """Name of each parameter that learns -> (learning rate, weight decay)."""
    built = optimizer(name="AdamW", lr=1.0, weight_decay=0.5, groups=groups).build(model.named_parameters())
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    found = {names[id(p)]: (g["lr"], g["weight_decay"]) for g in built.param_groups for p in g["params"]}
    assert len(found) == sum(p.requires_grad for p in model.parameters())
    return found


def test_a_group_has_its_own_learning_rate_and_decay_and_the_longer_name_counts(model):
    found = groups_of(model, encoder={"lr": 0.1}, **{"dual.encoder.last": {"lr": 0.01, "weight_decay": 0}})
    assert found == {
        "dual.encoder.first.weight": (0.1, 0.5),
        "dual.encoder.first.bias": (0.1, 0.0),  # biases decay nowhere
        "dual.encoder.last.weight": (0.01, 0.0),
        "dual.encoder.last.bias": (0.01, 0.0),
        "dual.head.weight": (1.0, 0.5),
        "dual.head.bias": (1.0, 0.0),
        "scale.weight": (1.0, 0.0),
    }


@pytest.mark.parametrize("key", ["front", "enc", "dual.encoders", "encoder.first.weight.x", ""])
def test_a_name_that_fits_nothing_that_learns_is_refused_with_the_choices(model, key):
    with pytest.raises(ConfigError) as error:
        groups_of(model, **{key: {"lr": 0.1}})
    assert str(error.value) == (
        f"optimizer.groups.{key}: no parameter that learns has a name that begins so; "
        "choices: dual, encoder, head, scale"
    )


def test_without_groups_nothing_changes(model):
    plain, empty = (optimizer(name="AdamW", **keys).build(model.named_parameters()) for keys in ({}, {"groups": {}}))
    assert differences(plain.state_dict(), empty.state_dict()) == []
    assert [group.keys() & {"name"} for group in plain.param_groups] == [set(), set()]
    assert learning_rates(plain.param_groups) == {"lr": 1e-3}


@pytest.mark.parametrize(
    ("spec", "rates"),
    [
        ({"name": "ReduceLROnPlateau", "factor": 0.1, "patience": 0, "min_lr": 0.02}, [1.0, 0.1, 0.02, 0.02]),
        ({"name": "WarmupCosine", "warmup_epochs": 2}, [0.5, 1.0, 1.0, 0.5]),
    ],
)
def test_a_schedule_keeps_the_ratios_also_at_its_floor(model, spec, rates):
    built = optimizer(name="SGD", lr=1.0, groups={"encoder": {"lr": 0.1}}).build(model.named_parameters())
    driven = schedule(**spec).build(built, 1, 4, "max")
    found = []
    for _ in range(4):
        found.append(learning_rates(built.param_groups))
        built.step()
        driven.step()
        driven.epoch(0.5)
    expected = rates if spec["name"] == "WarmupCosine" else [1.0, 1.0, 0.1, 0.02]
    assert [rate["lr"] for rate in found] == pytest.approx(expected)
    assert [rate["lr_encoder"] for rate in found] == pytest.approx([0.1 * rate for rate in expected])


def test_a_run_with_groups_reports_their_rates_and_resumes_to_the_bit(prepared, tmp_path):
    run = run_of(prepared, "training.epochs=2", "optimizer.groups.text_encoder.lr=0.0001")
    whole = fit_of(run)
    reports = reports_of(whole)
    assert [set(report) & {"lr", "lr_text_encoder"} for report in reports] == [{"lr", "lr_text_encoder"}] * 2
    assert reports[0]["lr_text_encoder"] / reports[0]["lr"] == pytest.approx(0.0001 / run.optimizer.lr)
    with pytest.raises(StoppedError):
        fit_of(run).run(keep_checkpoints(tmp_path, stop_after=1), to_mapping(run))
    resumed = fit_of(run)
    resumed.restore(checkpoint_folders(tmp_path))
    resumed.run(lambda metrics, save: None, to_mapping(run))
    assert differences(resumed.state({}), whole.state({})) == []
    text = {id(p) for p in whole.model["dual_encoder"].text_encoder.parameters()}
    named = [group for group in whole._optimizer.param_groups if group.get("name") == "text_encoder"]
    assert {id(p) for group in named for p in group["params"]} == text
    assert torch.tensor([len(group["params"]) for group in named]).sum() == len(text)
