import torch
from torch import nn

from models.frozen.hold import Frozen


def _network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Dropout(0.5))


def test_frozen_stays_as_it_is_to_the_bit_while_a_parent_trains():
    frozen = Frozen(_network())
    before = {key: value.clone() for key, value in frozen.state_dict().items()}
    head = nn.Linear(2, 1)
    parent = nn.ModuleList([frozen, head]).train()
    optimizer = torch.optim.SGD(parent.parameters(), lr=1.0, weight_decay=0.1)
    clips = torch.randn(4, 1, 5, 5)
    for _ in range(2):
        head(frozen(clips).mean((2, 3))).sum().backward()
        optimizer.step()
    assert all(torch.equal(value, before[key]) for key, value in frozen.state_dict().items())
    assert not frozen.training
    assert not any(module.training for module in frozen.network.modules())


def test_frozen_gives_the_same_output_in_training_and_passes_gradients_to_its_input():
    frozen = Frozen(_network())
    clips = torch.randn(4, 1, 5, 5, requires_grad=True)
    expected = frozen.network.eval()(clips)
    output = frozen.train()(clips)
    assert torch.equal(output, expected)
    output.sum().backward()
    assert clips.grad.abs().sum() > 0
    assert all(parameter.grad is None for parameter in frozen.parameters())


def test_frozen_hands_on_named_arguments():
    assert Frozen(nn.Bilinear(2, 3, 4))(input1=torch.ones(1, 2), input2=torch.ones(1, 3)).shape == (1, 4)
