import torch
from torch import nn

from models.frozen.hold import PartlyFrozen, freeze


class Parent(PartlyFrozen):
    """A frozen network and a head that learns."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Dropout(0.5))
        self.head = nn.Linear(2, 1)
        self.freeze_modules(self.network, source="name")

    def forward(self, clips: torch.Tensor) -> torch.Tensor:
        return self.head(self.network(clips).mean((2, 3)))


def test_frozen_modules_stay_as_they_are_to_the_bit_while_the_rest_trains():
    parent = Parent().train()
    before = {key: value.clone() for key, value in parent.state_dict().items()}
    optimizer = torch.optim.SGD(parent.parameters(), lr=1.0, weight_decay=0.1)
    clips = torch.randn(4, 1, 5, 5)
    for _ in range(2):
        parent(clips).sum().backward()
        optimizer.step()
    changed = {key for key, value in parent.state_dict().items() if not torch.equal(value, before[key])}
    assert changed == {"head.weight", "head.bias"}
    assert parent.training
    assert not any(module.training for module in parent.network.modules())


def test_a_frozen_network_builds_no_graph_unless_its_input_needs_gradients():
    parent = Parent().train()
    clips = torch.randn(4, 1, 5, 5)
    output = parent.network(clips)
    assert output.grad_fn is None
    assert torch.equal(output, parent.network(clips))  # no dropout
    clips.requires_grad_()
    parent.network(clips).sum().backward()
    assert clips.grad.abs().sum() > 0
    assert all(parameter.grad is None for parameter in parent.network.parameters())


def test_a_second_call_freezes_more():
    parent = Parent()
    parent.freeze_modules(parent.head)
    assert not any(p.requires_grad for p in parent.parameters())
    assert (parent.network.frozen_source, parent.head.frozen_source) == ("name", None)
    assert not any(module.training for module in parent.train().children())


def test_a_network_without_a_parent_is_frozen_in_place():
    network = nn.Dropout(0.5)
    freeze(network)
    assert torch.equal(network(torch.ones(8)), torch.ones(8))
