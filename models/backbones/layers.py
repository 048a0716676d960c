"""Truncate a pretrained transformer to its first layers."""

from __future__ import annotations

from torch import nn

from utils.cli_utils import UserError


def keep_layers(stack: nn.ModuleList, layers: int | None, model: str, key: str) -> nn.ModuleList:
    """Return the first `layers` of a transformer's layers; None: all.

    Args:
        stack: all layers.
        layers: number of layers.
        model: for messages.
        key: of the model in the YAML; `layers` is in the same section.
    Raises:
        UserError: fewer than one, or more than there are.
    """
    if layers is None:
        return stack
    if not 1 <= layers <= len(stack):
        raise UserError(
            f"{key.rpartition('.')[0]}.layers: {layers}, but {model} has {len(stack)} transformer layers; "
            f"set 1 to {len(stack)}, or null for all"
        )
    return nn.ModuleList(list(stack)[:layers])
