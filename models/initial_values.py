"""Initial values of layers without pretrained weights, as PANNs and the DCASE 2023 baseline draw them."""

from __future__ import annotations

from typing import Literal

from torch import nn

InitialValues = Literal["xavier_uniform", "kaiming_normal"]


def initialise(network: nn.Module, values: InitialValues = "xavier_uniform") -> None:
    """Draw new weights of all convolutions and linear layers, and set their biases to zero.

    Args:
        network: changed in place; normalisation layers are not changed (torch makes them with weight 1 and bias 0).
        values: "xavier_uniform", as PANNs; or "kaiming_normal" (deviation sqrt(2 / inputs)), as the DCASE 2023
            baseline, where the last layers start with about 1.4 times the deviation.

    Source: Kong et al. 2020, "PANNs"; DCASE 2023 task 6B baseline, models/__init__.py.
    """
    draw = nn.init.xavier_uniform_ if values == "xavier_uniform" else nn.init.kaiming_normal_
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            draw(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
