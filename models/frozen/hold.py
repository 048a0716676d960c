"""A pretrained network held still: no gradients, no dropout, no running statistics."""

from __future__ import annotations

from typing import Any, Self

from torch import nn


def freeze(module: nn.Module) -> None:
    """Stop `module` from learning and put it in evaluation mode.

    `train()` of a parent undoes the evaluation mode; a parent that keeps frozen parts calls this again there.
    """
    module.requires_grad_(False).eval()


class Frozen(nn.Module):
    """A network that nothing changes, also not `train()`; gradients still reach its inputs.

    Args:
        network: any module; it is frozen in place and its state-dict keys get the prefix `network.`.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        freeze(self)

    def forward(self, *inputs: Any, **named: Any) -> Any:
        """What the network returns."""
        return self.network(*inputs, **named)

    def train(self, mode: bool = True) -> Self:
        """Stay in evaluation mode, whatever `mode` says."""
        return super().train(False)
