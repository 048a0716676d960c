"""Fewer layers of a pretrained transformer."""

from __future__ import annotations

from torch import nn

from utils.cli_utils import UserError


def keep_layers(stack: nn.ModuleList, layers: int | None, model: str, key: str) -> nn.ModuleList:
    """The first `layers` of a transformer's layers; None: all.

    Args:
        stack: all layers.
        layers: how many are wanted.
        model: for messages.
        key: of the model in the YAML; `layers` stands beside it.
    Raises:
        UserError: fewer than one, or more than there are.
    """
    if layers is None:
        return stack
    if not 1 <= layers <= len(stack):
        raise UserError(
            f"{key.rpartition('.')[0]}.layers: {layers}, but {model} has {len(stack)} transformer layers; "
            f"say 1 to {len(stack)}, or null for all"
        )
    return nn.ModuleList(list(stack)[:layers])
