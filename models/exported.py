"""An exported audio encoder, read back: audio_encoder.json and the .pth beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from models.audio_encoders import CNN6Spec, CNN10Spec, CNN14Spec
from models.audio_encoders.panns import PANNsEncoder, PANNsSpec
from models.core import OutNorm
from utils.audio_utils import FrontEnd
from utils.cli_utils import ArtefactError, UserError, short_repr
from utils.config_utils import read_json
from utils.pretrained_utils import reason_of
from utils.weight_utils import key_problems, load_exactly, read_weights


class ExportedEncoder(NamedTuple):
    """A network in evaluation mode, and what its embeddings depend on."""

    encoder: PANNsEncoder
    front_end: FrontEnd  # of its input log-mels
    out_norm: OutNorm  # of the embeddings of the dual encoder that it was trained in
    max_duration_s: float | None  # longer clips are embedded in windows; None: an export that does not say it


class _Facts(BaseModel):
    """The keys of audio_encoder.json that are read here."""

    model_config = ConfigDict(extra="ignore")

    audio_encoder: dict[str, Any]
    out_dim: int = Field(gt=0, le=8192, strict=True)
    out_norm: OutNorm = "L2"
    front_end: FrontEnd
    max_duration_s: float | None = Field(None, ge=0.1)


_SPECS: dict[str, type[PANNsSpec]] = {spec.encoder.__name__: spec for spec in (CNN14Spec, CNN10Spec, CNN6Spec)}


def read_exported(path: Path, repair: str) -> ExportedEncoder:
    """Read an exported encoder on log-mels.

    Args:
        path: audio_encoder.json; the weights are beside it.
        repair: how to have both files again, for messages.
    Raises:
        UserError: a file is missing, broken, or does not go with the other; or the network takes waves or vectors,
            which needs more than its weights.
        ValueError: the network does not fit the front-end.
    """
    if not path.is_file():
        raise ArtefactError(f"{path}: no such file; {repair}")
    try:
        facts = _Facts.model_validate(read_json(path))
        name = str(facts.audio_encoder.get("name"))
        if name not in _SPECS:
            raise UserError(
                f"{path}: holds a network named {name}, expected {' or '.join(_SPECS)}; name another file, or use the "
                "trained run itself"
            )
        spec = _SPECS[name].model_validate({**facts.audio_encoder, "weights": None})
    except (ValidationError, ValueError) as error:
        raise ArtefactError(f"{path}: is no exported audio encoder: {_reason(error)}; {repair}") from error
    weights = path.with_suffix(".pth")
    state = read_weights(weights, repair).state
    # On "meta" no memory is allocated: a huge width in a broken JSON is refused before any tensor of it is made.
    with torch.device("meta"):
        wanted = spec.build(facts.out_dim, facts.front_end.n_mels).state_dict()
    if problems := key_problems(wanted, state):
        raise ArtefactError(f"{weights}: does not fit the {name} of {path.name}: {problems}; {repair}")
    encoder = spec.build(facts.out_dim, facts.front_end.n_mels)
    load_exactly(encoder, state, weights)
    return ExportedEncoder(encoder.eval(), facts.front_end, facts.out_norm, facts.max_duration_s)


def _reason(error: ValueError) -> str:
    if not isinstance(error, ValidationError):
        return reason_of(error)
    first = error.errors()[0]
    return f"{'.'.join(map(str, first['loc']))}: {first['msg']} (got {short_repr(first['input'])})"
