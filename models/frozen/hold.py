"""Freeze a pretrained network: no gradients, no dropout, no update of running statistics."""

from __future__ import annotations

from typing import Any, Self

from torch import nn


def freeze(module: nn.Module, source: str | None = None) -> None:
    """Turn off the gradients of `module` and put it in evaluation mode.

    `train()` of a parent undoes the evaluation mode; inside a model that trains, use `PartlyFrozen`.

    Args:
        module: any network, frozen in place. Without parameters that learn, its forward pass builds no graph, unless
            its inputs need gradients.
        source: where its weights come from, and can be had again: a file, a folder, package:NAME, or a name at a hub.
            A checkpoint then holds this name and a digest in place of the weights. None: they are nowhere else.
    """
    module.requires_grad_(False).eval()
    held: Any = module  # to mypy, a module's attributes are tensors and modules
    held.frozen_source = source  # for `utils.model_utils.frozen_weights`


class PartlyFrozen(nn.Module):
    """A network with frozen modules, which stay in eval mode under `train()`; gradients still reach their inputs."""

    def __init__(self) -> None:
        super().__init__()
        self._frozen: tuple[nn.Module, ...] = ()

    def freeze_modules(self, *modules: nn.Module, source: str | None = None) -> None:
        """Freeze some modules of this network permanently; those of an earlier call stay frozen too.

        Args:
            modules: of this network, at any depth.
            source: see `freeze`.
        """
        self._frozen = (*self._frozen, *modules)
        for module in modules:
            freeze(module, source)

    def train(self, mode: bool = True) -> Self:
        """Set the mode of all modules that are not frozen."""
        super().train(mode)
        for module in self._frozen:
            module.eval()
        return self
