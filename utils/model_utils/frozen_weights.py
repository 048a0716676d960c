"""Frozen pretrained networks in checkpoints: where they come from and a digest, in place of their weights.

A module is frozen if its `frozen_source` names the file or model of its weights, and none of its parameters is trained;
`models.frozen.hold.freeze` sets it. Weights without such a source are saved like trained ones.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from utils.cli_utils import ArtefactError, printable, shortened
from utils.cli_utils.repairs import make


class FrozenNetwork(NamedTuple):
    """Which state of which pretrained network a model holds frozen."""

    source: str  # a file, a folder, package:NAME, or a name at a hub
    digest: str  # of its tensors


class SavedWeights(NamedTuple):
    """The weights in a checkpoint."""

    weights: dict[str, Tensor]  # name in the model -> tensor
    frozen: dict[str, FrozenNetwork] | None  # module -> what it was; None: written when their weights were saved too


def frozen_networks(model: nn.Module) -> dict[str, FrozenNetwork]:
    """Name of each frozen module -> what it holds; reads every frozen weight once."""
    state = model.state_dict()
    return {
        name: FrozenNetwork(source, digest_of(_inside(state, name))) for name, source in frozen_names(model).items()
    }


def frozen_names(model: nn.Module) -> dict[str, str]:
    """Name of each frozen module that has weights -> where they come from."""
    found: dict[str, str] = {}
    for name, module in model.named_modules():
        source = getattr(module, "frozen_source", None)
        if source is None or not module.state_dict() or _is_inside(name, found):
            continue
        if not any(parameter.requires_grad for parameter in module.parameters()):
            found[name] = source
    return found


def digest_of(state: Mapping[str, Tensor]) -> str:
    """A digest of tensors by name: it changes with any name, type, shape or bit."""
    digest = hashlib.blake2b(digest_size=16)
    for name, tensor in state.items():
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        data: Any = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
        digest.update(data)
    return f"blake2b:{digest.hexdigest()}"


def weights_to_save(model: nn.Module, frozen: Collection[str]) -> dict[str, Tensor]:
    """The model's state without that of frozen modules."""
    return {key: value for key, value in model.state_dict().items() if not _is_inside(key, frozen)}


def without_frozen(saved: SavedWeights, own: Mapping[str, FrozenNetwork], checkpoint: Path) -> dict[str, Tensor]:
    """The weights of a checkpoint for a model whose frozen networks are loaded already.

    Args:
        saved: what the checkpoint holds.
        own: the frozen networks of the model.
        checkpoint: its path, for messages.
    Raises:
        ArtefactError: a frozen network of the model is in another state than in training.
    """
    then = saved.frozen
    if then is None:
        then = {
            name: FrozenNetwork(network.source, digest_of(inside))
            for name, network in own.items()
            if (inside := _inside(saved.weights, name))
        }
    for name in sorted(own.keys() & then.keys()):
        if own[name].digest != then[name].digest:
            now = own[name].source
            raise ArtefactError(
                f"{checkpoint}: was trained with {shortened(printable(then[name].source))} in another state than "
                f"{'it' if now == then[name].source else now} has now ({name}: digest {own[name].digest[8:20]}, "
                f"expected {then[name].digest[8:20]}); put the one of training back, or train again: "
                f"{make('training', '--fresh')}"
            )
    return {key: value for key, value in saved.weights.items() if not _is_inside(key, own.keys() & then.keys())}


def read_frozen(noted: Any) -> dict[str, FrozenNetwork]:
    """What a checkpoint notes of frozen networks.

    Raises:
        ValueError: it is no such note.
    """
    if not isinstance(noted, dict):
        raise ValueError("no names of frozen networks")
    found = {str(name): FrozenNetwork(**facts) for name, facts in noted.items() if isinstance(facts, dict)}
    if len(found) != len(noted) or not all(isinstance(text, str) for facts in found.values() for text in facts):
        raise ValueError("a frozen network without source and digest")
    return found


def _inside(state: Mapping[str, Tensor], module: str) -> dict[str, Tensor]:
    """The part of a state that is a module's, by its own names."""
    prefix = f"{module}." if module else ""
    return {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}


def _is_inside(key: str, modules: Collection[str]) -> bool:
    return any(key.startswith(f"{module}.") for module in modules)
