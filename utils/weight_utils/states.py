"""State dicts with initial weights: write and read `pretrained_models/*.pth`.

A file is `torch.save` of {"format_version", "model": state dict, and notes on how it was made}; a published checkpoint
has the same `model`, and other notes. `read_foreign` reads the layouts of other programs.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor, nn

from utils.artefact_utils.atomic import replacing
from utils.artefact_utils.ownership import known_weights, refuse_foreign
from utils.cli_utils import ArtefactError, printable, short_repr, shortened
from utils.cli_utils.repairs import make
from utils.weight_utils.files import check_tensor, load_file, save_file

FORMAT_VERSION = 1

# The key of the state dict in checkpoints of other programs: PANNs and CLAP, Lightning, and single projects.
_WRAPPERS = ("model", "state_dict", "model_state_dict", "model_state", "network", "net")


class WeightsFile(NamedTuple):
    """The content of a weights file: the state dict, and the notes beside it."""

    state: dict[str, Tensor]
    notes: dict[str, Any]


def write_weights(path: Path, state: Mapping[str, Tensor], notes: Mapping[str, Any]) -> None:
    """Write a weights file, complete or not at all; equal weights and notes give equal bytes.

    Raises:
        ForeignFileError: a file of another program is there.
    """
    refuse_foreign(path, known_weights, "name another file")
    tensors = {key: tensor.detach().cpu().contiguous() for key, tensor in state.items()}
    with replacing(path) as beside:
        save_file({"format_version": FORMAT_VERSION, **notes, "model": tensors}, beside)


def read_weights(path: Path, repair: str) -> WeightsFile:
    """Read the state dict and the notes of a weights file, or of a published checkpoint of the same layout.

    Args:
        path: the file.
        repair: what to do about a bad file, for messages.
    Raises:
        ArtefactError: no such file; not a checkpoint, truncated, or with code in it; another layout or format version.
    """
    content = load_file(path, repair)
    state = content.get("model") if isinstance(content, dict) else None
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise ArtefactError(f"{path}: found {_keys_of(content)}, expected 'model' with tensors by name; {repair}")
    _check_tensors(state, path, repair)
    notes = {key: value for key, value in content.items() if key != "model"}
    version = notes.get("format_version", FORMAT_VERSION)
    if not isinstance(version, int) or version != FORMAT_VERSION:
        found = short_repr(version)
        raise ArtefactError(f"{path}: format version {found}, this code reads {FORMAT_VERSION}; {repair}")
    return WeightsFile({str(key): value for key, value in state.items()}, notes)


def read_foreign(path: Path, repair: str) -> WeightsFile:
    """Read the state dict of another program's checkpoint, with its own key names, and the notes beside it.

    The state dict may be the whole file, be under a key such as `model` or `state_dict`, or be the first of several
    objects (the checkpoints of the DCASE 2023 baseline: model, optimizer); or the file may be safetensors.

    Args:
        path: the file.
        repair: what to do about a bad file, for messages.
    Raises:
        ArtefactError: see `load_file`; or the file has no state dict.
    """
    content = load_file(path, repair)
    if isinstance(content, tuple | list) and content:
        content = content[0]
    notes: dict[str, Any] = {}
    if isinstance(content, dict):
        wrapper = next((key for key in _WRAPPERS if isinstance(content.get(key), dict)), None)
        if wrapper is not None:
            notes = {str(key): value for key, value in content.items() if key != wrapper}
            content = content[wrapper]
    state = {str(key): value for key, value in content.items()} if isinstance(content, dict) else {}
    tensors = {key: value for key, value in state.items() if isinstance(value, Tensor)}
    if not tensors:
        raise ArtefactError(f"{path}: found {_keys_of(content)}, expected tensors by name; {repair}")
    _check_tensors(tensors, path, repair)
    return WeightsFile(tensors, notes)


def load_exactly(module: nn.Module, state: Mapping[str, Tensor], path: Path) -> None:
    """Load `state` into `module`; the keys and shapes must be exactly the same.

    By hand before `load_state_dict(strict=True)`, whose error is many lines long and names neither file nor repair.

    Args:
        module: the network.
        state: its state dict.
        path: the file that `state` comes from, for messages.
    Raises:
        ArtefactError: missing or unexpected keys, another shape, NaN, infinite values, or negative variances; the
            keys are named.
    """
    name = type(module).__name__
    problems = key_problems(module.state_dict(), state)
    if problems:
        raise ArtefactError(f"{path}: does not fit this run's {name}: {problems}; {repair_of(name, path)}")
    check_values(state, path, repair_of(name, path))
    module.load_state_dict(dict(state))


def key_problems(wanted: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> str:
    """Return how the keys and shapes of `found` differ from those of `wanted`, in words; empty: they are the same."""
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


def check_values(state: Mapping[str, Tensor], path: Path, repair: str) -> None:
    """Check that all weights are finite, and that no running variance is negative.

    Args:
        state: a state dict.
        path: the file that it comes from, for messages.
        repair: what to do about bad values, for messages.
    Raises:
        ArtefactError: some are not; their keys are named.
    """
    odd = [key for key, tensor in state.items() if tensor.is_floating_point() and not bool(tensor.isfinite().all())]
    if odd:
        raise ArtefactError(f"{path}: holds NaN or infinite values in {_some(odd)}: a diverged training; {repair}")
    odd = [key for key, tensor in state.items() if key.endswith("running_var") and bool((tensor < 0).any())]
    if odd:
        raise ArtefactError(f"{path}: holds negative variances in {_some(odd)}; {repair}")


def _check_tensors(state: Mapping[str, Tensor], path: Path, repair: str) -> None:
    size = path.stat().st_size
    for key, tensor in state.items():
        if problem := check_tensor(tensor, _some([str(key)]), size):
            raise ArtefactError(f"{path}: {problem}; {repair}")


def _keys_of(content: object) -> str:
    """Describe the content that is not a state dict."""
    return f"the keys {_some([str(key) for key in content])}" if isinstance(content, dict) else "no keys"


def _some(names: Collection[str], limit: int = 3) -> str:
    """List the first few names, and how many more there are."""
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(shortened(printable(name), 100) for name in list(names)[:limit]) + more


def repair_of(encoder: str | None, path: Path | None = None) -> str:
    """Return the repair of a bad file of initial weights: the command that writes it again.

    Args:
        encoder: name of the encoder whose weights these are; None: any.
        path: where they are looked for; None: anywhere.
    """
    arguments = ["--encoder", encoder] if encoder else []
    arguments += ["--output", str(path)] if path else []
    return f"write it again: {make('initial-weights', *arguments)}"
