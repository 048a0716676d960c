"""Truncate a pretrained transformer to its first layers, and record what its layers get."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from torch import Tensor, nn

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


@contextlib.contextmanager
def recorded_inputs(layers: Sequence[nn.Module]) -> Iterator[dict[int, Tensor]]:
    """The block in which a transformer runs once: its layers' inputs, by the number of the layer, from 0.

    A layer that layer drop leaves out in training has none.
    """
    found: dict[int, Tensor] = {}

    def record(number: int, module: nn.Module, args: tuple[Any, ...]) -> None:
        del module
        found[number] = args[0]

    # not `output_hidden_states`: an encoder that is called without its model ignores it
    handles = [layer.register_forward_pre_hook(partial(record, number)) for number, layer in enumerate(layers)]
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()
