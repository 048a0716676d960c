"""Checkpoints: one folder each, checkpoint.pt and beside it checkpoint.json with its digest, epoch and metrics."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

from torch import Tensor, nn

from utils.artefact_utils import replacing, write_json
from utils.cli_utils import ArtefactError
from utils.config_utils import read_json
from utils.model_utils.frozen_weights import (
    FrozenNetwork,
    SavedWeights,
    frozen_names,
    frozen_networks,
    read_frozen,
    weights_to_save,
    without_frozen,
)
from utils.model_utils.optimisation import OptimizerSpec
from utils.model_utils.training_spec import Selection
from utils.weight_utils import key_problems, load_file, save_file

FORMAT_VERSION = 2  # 1: with the weights of frozen networks in it, which is read too
_READ_VERSIONS = (1, 2)
STATE_FILE = "checkpoint.pt"
FACTS_FILE = "checkpoint.json"


class CheckpointFacts(NamedTuple):
    """What is known of a checkpoint without loading it."""

    folder: Path
    epoch: int
    metrics: dict[str, float]
    selection: Selection | None  # what it is chosen by; None where it was written before that was noted

    @property
    def rank(self) -> tuple[float, int]:
        """Sorts the best first; equal values: the earlier epoch."""
        return (math.inf if self.selection is None else self.selection.rank(self.metrics), self.epoch)


@runtime_checkable
class ChecksWeights(Protocol):
    """A module whose outputs mean something that shapes do not show, such as classes in an order."""

    def check_weights(self, state: Mapping[str, Tensor]) -> None:
        """Compare the weights of a checkpoint with what the module was built for.

        Args:
            state: of this module, by the names that its own state dict has; some may be missing.
        Raises:
            ValueError: they are for something else; the message names both and the repair.
        """


def write_checkpoint(
    folder: Path, state: dict[str, Any], metrics: dict[str, float], selection: Selection | None = None
) -> None:
    """Write the state of a run after an epoch; the facts come last and vouch for the state.

    Args:
        folder: of this checkpoint alone.
        state: tensors and plain values; must hold `epoch`.
        metrics: of this epoch.
        selection: the metric by which checkpoints are ranked.
    """
    with replacing(folder / STATE_FILE) as beside:
        save_file({"format_version": FORMAT_VERSION, **state}, beside)
        digest = _digest(beside)
    chosen_by = None if selection is None else selection._asdict()
    facts = {"epoch": state["epoch"], "metrics": metrics, "selection": chosen_by, "blake2b": digest}
    write_json(folder / FACTS_FILE, facts)


def read_facts(folder: Path) -> CheckpointFacts:
    """Epoch and metrics of a checkpoint.

    Raises:
        ArtefactError: checkpoint.json is missing or broken.
    """
    facts = _facts(folder)
    return CheckpointFacts(folder, facts["epoch"], facts["metrics"], facts["selection"])


def check_whole(folder: Path) -> Path:
    """Make sure that a checkpoint's state is what its facts vouch for, without loading it.

    Returns:
        The file of the state.
    Raises:
        ArtefactError: missing, truncated or changed since it was written.
    """
    path = folder / STATE_FILE
    wanted = _facts(folder)["blake2b"]
    if not path.is_file():
        raise ArtefactError(f"{path}: no such file; use another checkpoint, or train again")
    if _digest(path) != wanted:
        size = path.stat().st_size
        raise ArtefactError(
            f"{path}: truncated or changed ({size} bytes, its digest is not {wanted[:12]}...); "
            "use another checkpoint, or train again"
        )
    return path


def read_checkpoint(folder: Path) -> dict[str, Any]:
    """The whole state, on the CPU; loading runs no code from the file.

    Raises:
        ArtefactError: missing, truncated or changed since it was written, or of another version.
    """
    path = check_whole(folder)
    state = load_file(path, "use another checkpoint, or train again")
    found = state.get("format_version") if isinstance(state, dict) else None
    if not isinstance(found, int) or found not in _READ_VERSIONS:
        versions = " and ".join(str(version) for version in _READ_VERSIONS)
        raise ArtefactError(f"{path}: format version {found}, this program reads {versions}; train again")
    checked: dict[str, Any] = state
    return checked


def checkpoint_bytes(model: nn.Module, optimizer: OptimizerSpec, *, averaged: bool = False) -> int:
    """How large a checkpoint of a run will be, but for a few kB: what is saved, and the moments of what learns.

    Args:
        model: of the run.
        optimizer: the `optimizer:` block.
        averaged: what learns is saved twice, with its averages.
    """
    saved = weights_to_save(model, frozen_names(model))
    learning = [parameter for parameter in model.parameters() if parameter.requires_grad]
    copies = optimizer.moments + averaged
    return sum(t.nbytes for t in saved.values()) + copies * sum(p.nbytes for p in learning)


class WholeCheckpoint(NamedTuple):
    """A checkpoint that was read whole."""

    folder: Path
    state: dict[str, Any]


def newest_whole_checkpoint(folders: Sequence[Path]) -> tuple[WholeCheckpoint | None, list[str]]:
    """The last of `folders` (oldest first) that can be read, and what is wrong with those after it."""
    troubles: list[str] = []
    for folder in reversed(folders):
        try:
            return WholeCheckpoint(folder, read_checkpoint(folder)), troubles
        except ArtefactError as error:
            troubles.append(str(error))
    return None, troubles


def weights_of(state: Mapping[str, Any], checkpoint: Path) -> SavedWeights:
    """The model's weights by name, and what is noted of those that are not in the checkpoint.

    Raises:
        ArtefactError: the checkpoint has none.
    """
    weights = state.get("model")
    if not isinstance(weights, dict) or not all(isinstance(value, Tensor) for value in weights.values()):
        raise ArtefactError(f"{checkpoint}: has no weights by name in 'model'; use another checkpoint, or train again")
    try:
        frozen = None if state.get("format_version") == 1 else read_frozen(state.get("frozen", {}))
    except (ValueError, TypeError) as error:
        raise ArtefactError(f"{checkpoint}: 'frozen': {error}; use another checkpoint, or train again") from error
    return SavedWeights({str(name): value for name, value in weights.items()}, frozen)


def load_weights(model: nn.Module, saved: SavedWeights, checkpoint: Path) -> None:
    """Load the weights of a checkpoint, all of them or none; arguments and Raises as of `fitting_weights`."""
    weights = fitting_weights(model, frozen_networks(model), saved, checkpoint)
    model.load_state_dict(weights, strict=False)  # frozen networks have theirs; the rest was compared by name


def fitting_weights(
    model: nn.Module, frozen: Mapping[str, FrozenNetwork], saved: SavedWeights, checkpoint: Path
) -> dict[str, Tensor]:
    """The weights of a checkpoint that a model takes, once it is sure that they are of such a model.

    Args:
        model: built as in training, its frozen networks loaded from where they come from.
        frozen: what `frozen_networks` finds in it.
        saved: what the checkpoint holds.
        checkpoint: its path, for messages.
    Raises:
        ArtefactError: weights are missing, left over, of another shape or type, or for another meaning of the outputs;
            or a frozen network of the model is in another state than in training.
    """
    weights = without_frozen(saved, frozen, checkpoint)
    for name, module in model.named_modules():
        if isinstance(module, ChecksWeights):
            prefix = f"{name}." if name else ""
            own = {key.removeprefix(prefix): value for key, value in weights.items() if key.startswith(prefix)}
            try:
                module.check_weights(own)
            except ValueError as error:
                raise ArtefactError(f"{checkpoint}: {error}") from error
    left_out = frozen.keys() if saved.frozen is None else frozen.keys() & saved.frozen.keys()
    check_fits(weights_to_save(model, left_out), weights, checkpoint)
    return weights


def check_fits(wanted: Mapping[str, Tensor], state: Mapping[str, Tensor], checkpoint: Path) -> None:
    """Make sure that the weights of a checkpoint are those of a model.

    Args:
        wanted: the state that the model has.
        state: the weights.
        checkpoint: their path, for messages.
    Raises:
        ArtefactError: some are missing, left over, of another shape or type.
    """
    problems = key_problems(wanted, state)
    if problems:
        raise ArtefactError(
            f"{checkpoint}: does not fit the model for these features: {problems}; the features have "
            "another width than in training: make them again as they were, or train again under another experiment"
        )
    for name, tensor in wanted.items():
        if state[name].dtype != tensor.dtype or state[name].layout != tensor.layout or state[name].is_meta:
            raise ArtefactError(
                f"{checkpoint}: {name} is {state[name].dtype}, expected {tensor.dtype} with values; "
                "use another checkpoint, or train again"
            )


def _facts(folder: Path) -> dict[str, Any]:
    path = folder / FACTS_FILE
    if not path.is_file():
        raise ArtefactError(f"{path}: no such file; the checkpoint was not finished, use another one")
    try:
        facts = read_json(path, allow_nan=True)
        found = {"epoch": facts["epoch"], "metrics": facts["metrics"], "blake2b": facts["blake2b"]}
        if not _is_whole(found["epoch"]) or not isinstance(found["blake2b"], str):
            raise ValueError("epoch is no whole number, or blake2b no text")
        if not all(is_number(value) for value in found["metrics"].values()):
            raise ValueError("a metric is no number")
        return found | {"selection": _selection(facts.get("selection"))}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ArtefactError(f"{path}: not the facts of a checkpoint ({error}); use another one") from error


def _selection(facts: Any) -> Selection | None:
    if facts is None:
        return None
    selection = Selection(**facts)
    if not isinstance(selection.metric, str) or selection.mode not in ("min", "max"):
        raise ValueError(f"selection {facts!r:.80}, expected a metric, and min or max")
    return selection


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def is_number(value: Any) -> bool:
    """Whether a value of a JSON file is a number; Python counts true and false among them."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "blake2b").hexdigest()
