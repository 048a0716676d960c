import math

import pytest
import torch
from torch import nn

from models.audio_encoders.cnn10 import CNN10Encoder
from tests.training import differences, fit_of, keep_checkpoints, run_of
from tests.utils.model_utils.test_optimisation import optimizer
from utils.cli_utils import ArtefactError
from utils.config_utils import to_mapping
from utils.criterion_utils import InfoNCE
from utils.model_utils.trials import checkpoint_folders


class Network(nn.Module):
    """A kernel, a norm, a bias and a temperature."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(3, 2)
        self.norm = nn.BatchNorm1d(2)
        self.criterion = InfoNCE(temperature=0.07, learnable_temperature=True)


@pytest.mark.parametrize(
    "keys", [{"name": "AdamW", "lr": 0.1}, {"name": "Adam", "lr": 0.1}, {"name": "SGD", "lr": 0.1, "momentum": 0.0}]
)
def test_only_matrices_decay(keys):
    """Of a step whose gradients are 0, nothing but the decay is seen."""
    torch.manual_seed(0)
    network = Network()
    before = {name: tensor.clone() for name, tensor in network.named_parameters()}
    built = optimizer(**keys, weight_decay=0.5).build(network.named_parameters())
    for parameter in network.parameters():
        parameter.grad = torch.zeros_like(parameter)
    built.step()
    moved = [name for name, tensor in network.named_parameters() if not torch.equal(tensor, before[name])]
    assert moved == ["linear.weight"]
    if keys["name"] != "Adam":  # whose decay is a part of the gradient, and so of its moments
        assert torch.allclose(network.linear.weight, before["linear.weight"] * (1 - 0.1 * 0.5))
    assert network.criterion.log_scale.item() == pytest.approx(-math.log(0.07))


def test_norms_and_biases_of_an_encoder_stand_in_the_group_that_does_not_decay():
    network = CNN10Encoder(out_dim=8, base_channels=2)
    decayed, others = optimizer(name="AdamW", weight_decay=0.01).build(network.named_parameters()).param_groups
    assert (decayed["weight_decay"], others["weight_decay"]) == (0.01, 0.0)
    in_others = {id(parameter) for parameter in others["params"]}
    for name, parameter in network.named_parameters():
        assert (id(parameter) in in_others) is (name.endswith("bias") or ".bn" in name or name.startswith("bn")), name
    assert len(decayed["params"]) + len(others["params"]) == len(list(network.parameters()))


@pytest.mark.parametrize(("name", "plain"), [("Adam", torch.optim.Adam), ("SGD", torch.optim.SGD)])
def test_without_decay_an_optimizer_is_torchs_own_bit_for_bit(name, plain):
    states = []
    for make in (
        optimizer(name=name, lr=1e-3).build,
        lambda named: plain([p for _, p in named], lr=1e-3, **momentum(name)),
    ):
        torch.manual_seed(0)
        network = Network().double()
        built = make(network.named_parameters())
        for _ in range(3):
            built.zero_grad()
            sum(
                (parameter * torch.rand_like(parameter)).square().sum() for parameter in network.parameters()
            ).backward()
            built.step()
        states.append({"model": network.state_dict(), "optimizer": built.state_dict()})
    assert differences(dict(states[0]["model"]), dict(states[1]["model"])) == []
    assert states[0]["optimizer"]["state"].keys() == states[1]["optimizer"]["state"].keys()
    assert [g["params"] for g in states[0]["optimizer"]["param_groups"]] == [list(range(5))]


def momentum(name):
    return {"momentum": 0.9} if name == "SGD" else {}


def test_a_model_of_biases_alone_has_one_group():
    (group,) = optimizer(name="AdamW", weight_decay=0.5).build([("bias", nn.Parameter(torch.ones(3)))]).param_groups
    assert group["weight_decay"] == 0


def test_a_checkpoint_from_when_everything_decayed_is_refused_in_one_line(prepared, tmp_path):
    run = run_of(prepared, "training.epochs=1")
    fit = fit_of(run)
    fit._optimizer = torch.optim.AdamW(fit._learning, lr=1e-3, weight_decay=0.01)  # one group, as it was then
    fit.run(keep_checkpoints(tmp_path), to_mapping(run))
    again = fit_of(run)
    sizes = [len(group["params"]) for group in again._optimizer.param_groups]
    with pytest.raises(ArtefactError) as error:
        again.restore(checkpoint_folders(tmp_path))
    assert str(error.value) == (
        f"{tmp_path}/checkpoint_000000/checkpoint.pt: optimizer: found parameter groups of {sum(sizes)} tensors, "
        f"expected {sizes[0]}, {sizes[1]} tensors; it was written with another optimizer.weight_decay or "
        "optimizer.groups, or where biases, norms and the temperature decayed too; train again with --fresh"
    )
