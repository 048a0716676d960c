"""ensemble.json: what an ensemble was made of, split by split."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from utils.artefact_utils.atomic import write_json
from utils.config_utils import read_json

ENSEMBLE_FILE = "ensemble.json"  # in the folder of an ensemble
_MEASURED = "validation_"  # prefix of the metrics that weights were chosen by


@dataclass(frozen=True)
class EnsembleMember:
    """A member of an ensemble.

    Attributes:
        scores: the folder or file that was named.
        weight: of its scores in the mean.
        measured: name of a metric -> its value on the validation split; empty where weights were given.
    """

    scores: Path
    weight: float
    measured: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class EnsembleRecord:
    """How the scores of one split were made.

    Attributes:
        members: of the mean.
        normalise: how each query's scores were made comparable.
        weights_from: what decided the weights, in words.
        scores: the file that was written.
        command: the command line that writes it again.
        measured: name of a metric -> the ensemble's value on the validation split; empty where weights were given.
    """

    members: tuple[EnsembleMember, ...]
    normalise: str
    weights_from: str
    scores: Path
    command: str
    measured: dict[str, float] = field(default_factory=dict)


def read_ensemble(folder: Path) -> dict[str, EnsembleRecord]:
    """Read the record of each split of an ensemble; nothing where ensemble.json is missing or of another form."""
    try:
        splits = read_json(folder / ENSEMBLE_FILE)["splits"]
        return {str(split): _record_of(held) for split, held in splits.items()}
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return {}


def write_ensemble(folder: Path, records: dict[str, EnsembleRecord]) -> None:
    """Write ensemble.json.

    Args:
        folder: of the ensemble.
        records: of each split.
    """
    write_json(folder / ENSEMBLE_FILE, {"splits": {split: _as_json(record) for split, record in records.items()}})


def _record_of(held: Any) -> EnsembleRecord:
    members = tuple(EnsembleMember(Path(m["scores"]), float(m["weight"]), _measured(m)) for m in held["members"])
    normalise, weights_from, command = (str(held[key]) for key in ("normalise", "weights_from", "command"))
    return EnsembleRecord(members, normalise, weights_from, Path(held["scores"]), command, _measured(held))


def _measured(held: Any) -> dict[str, float]:
    return {key.removeprefix(_MEASURED): float(held[key]) for key in held if key.startswith(_MEASURED)}


def _as_json(record: EnsembleRecord) -> dict[str, Any]:
    members = [{"scores": str(m.scores), "weight": m.weight, **_prefixed(m.measured)} for m in record.members]
    return {
        "members": members,
        "normalise": record.normalise,
        "weights_from": record.weights_from,
        "scores": str(record.scores),
        "command": record.command,
        **_prefixed(record.measured),
    }


def _prefixed(measured: dict[str, float]) -> dict[str, float]:
    return {f"{_MEASURED}{key}": value for key, value in measured.items()}
