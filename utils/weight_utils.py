"""Initial weights of a network: the one writer and reader of `pretrained_models/*.pth`.

A file is what `torch.save` makes of {"format_version", "model": names -> tensors, and notes on how it was made};
a published checkpoint has the same `model` and other notes. Files are read with `weights_only=True`: tensors and
plain values, never code.
"""

from __future__ import annotations

import errno
import re
import struct
from collections.abc import Collection, Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from utils.artefact_utils.atomic import replacing
from utils.cli_utils import ArtefactError, command_for

FORMAT_VERSION = 1

# What torch.load raises on bytes that are no checkpoint, or only part of one.
_BROKEN = (
    RuntimeError,
    UnpicklingError,
    EOFError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    AssertionError,
    struct.error,
)


class Checkpoint(NamedTuple):
    """What a weights file holds: the tensors by name, and the notes beside them."""

    state: dict[str, Tensor]
    notes: dict[str, Any]


def write_weights(path: Path, state: Mapping[str, Tensor], notes: Mapping[str, Any]) -> None:
    """Write a weights file, complete or not at all; the same weights and notes give the same bytes."""
    tensors = {key: tensor.detach().cpu().contiguous() for key, tensor in state.items()}
    with replacing(path) as beside, beside.open("wb") as stream:  # torch.save writes a file's name into it
        torch.save({"format_version": FORMAT_VERSION, **notes, "model": tensors}, stream)


def read_weights(path: Path, encoder: str | None = None) -> dict[str, Tensor]:
    """The tensors of a weights file by name, on the CPU.

    Args:
        path: the file.
        encoder: name of the encoder that wants them, for messages.
    Raises:
        ArtefactError: see `read_checkpoint`.
    """
    return read_checkpoint(path, _repair(encoder)).state


def read_checkpoint(path: Path, repair: str) -> Checkpoint:
    """The tensors and the notes of a weights file, or of a published checkpoint of the same layout.

    Args:
        path: the file.
        repair: what to do about a bad one, for messages.
    Raises:
        ArtefactError: no such file; not a checkpoint, or cut short; one that holds code; another layout or
            format version.
    """
    if not path.is_file():
        raise ArtefactError(f"{path}: no such file; {repair}")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (*_BROKEN, OSError) as error:
        if isinstance(error, OSError) and error.errno != errno.EINVAL:  # EINVAL: the end of a zip file is missing
            raise
        raise ArtefactError(f"{path}: {_reason(error)}; {repair}") from error
    state = content.get("model") if isinstance(content, dict) else None
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        found = f"the keys {_some([str(key) for key in content])}" if isinstance(content, dict) else "no keys"
        raise ArtefactError(f"{path}: found {found}, expected 'model' with tensors by name; {repair}")
    notes = {key: value for key, value in content.items() if key != "model"}
    version = notes.get("format_version", FORMAT_VERSION)
    if version != FORMAT_VERSION:
        raise ArtefactError(f"{path}: format version {version}, this code reads {FORMAT_VERSION}; {repair}")
    return Checkpoint({str(key): value for key, value in state.items()}, notes)


def load_exactly(module: nn.Module, state: Mapping[str, Tensor], path: Path) -> None:
    """Load `state` into `module`; nothing is left out and nothing is left over.

    Args:
        module: the network.
        state: tensors by name.
        path: where they come from, for messages.
    Raises:
        ArtefactError: keys that are missing, unexpected, or of another shape; they are named.
    """
    problems = key_problems(module.state_dict(), state)
    if problems:
        name = type(module).__name__
        raise ArtefactError(f"{path}: does not fit this run's {name}: {problems}; {_repair(name)}")
    module.load_state_dict(dict(state))


def key_problems(wanted: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> str:
    """What keeps `found` from being loaded as `wanted`, in words; empty when nothing does."""
    kinds = {
        "missing": [key for key in wanted if key not in found],
        "unexpected": [key for key in found if key not in wanted],
        "of another shape": [
            f"{key} is {tuple(found[key].shape)}, expected {tuple(tensor.shape)}"
            for key, tensor in wanted.items()
            if key in found and found[key].shape != tensor.shape
        ],
    }
    return "; ".join(f"{len(keys)} {kind}: {_some(keys)}" for kind, keys in kinds.items() if keys)


def _some(names: Collection[str], limit: int = 3) -> str:
    """The first few names, and how many more there are."""
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(list(names)[:limit]) + more


def _reason(error: Exception) -> str:
    """Why torch.load refused, without its advice to load the file unsafely."""
    foreign = re.search(r"GLOBAL (\S+) (?:was not|whose module)", str(error))
    if foreign:
        return f"refused: it names {foreign[1]}; expected tensors and plain values alone"
    return f"not a complete checkpoint ({type(error).__name__} while reading)"


def _repair(encoder: str | None) -> str:
    arguments = ["--encoder", encoder] if encoder else []
    return f"write it again: {command_for('preprocessing.cnn14_transfer', *arguments)}"
