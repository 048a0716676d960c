"""A training checkpoint of the DCASE 2023 baseline as a trial of this project, so that stage 3 scores and searches."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import Tensor

from models.audio_encoders.panns_published import Published
from tasks.retrieval.dual_encoder import DualEncoderRun
from tasks.runs import parse_run, require_kind
from utils.artefact_utils import write_json
from utils.cli_utils import ArtefactError, ConfigError
from utils.config_utils import to_mapping
from utils.model_utils import write_checkpoint
from utils.model_utils.checkpoints import check_fits
from utils.model_utils.trials import PARAMS_FILE
from utils.weight_utils import check_values, read_foreign

_TEXT_HEAD = "text_enc.fc."
_TEXT_LAYER = "dual_encoder.text_encoder.layers.1."  # the one linear layer, behind its dropout


def write_baseline_trial(run: DualEncoderRun, published: Published, digest: str, repair: str) -> Path:
    """Write a trial with the weights of both encoders, as if it had been trained here.

    The table of sentence vectors in the checkpoint is left out: here they come from data.text_embeddings.

    Args:
        run: the experiment; its data and criterion are the trial's, its model is the baseline's.
        published: the audio encoder of the checkpoint.
        digest: SHA-256 of the file; it names the trial.
        repair: what to do about a bad file, for messages.
    Returns:
        The trial's folder; one that is there already stays as it is.
    Raises:
        UserError: the file holds no text encoder, or data.front_end is not the baseline's.
    """
    path = published.path
    head = _text_head(path, repair)
    if run.data.front_end.name != "dcase2023":
        raise ConfigError(
            f"data.front_end is {run.data.front_end.name}; {path} needs data.front_end: {{name: dcase2023}}"
        )
    trial_run = require_kind(parse_run(_settings(run, published), str(path)), DualEncoderRun, str(path))
    folder = run.folder / f"trial_baseline_{digest[:8]}"
    if (folder / PARAMS_FILE).is_file():
        return folder
    assert published.out_dim is not None
    audio = published.build(published.out_dim).state_dict()
    state = {f"dual_encoder.audio_encoder.{key}": value for key, value in audio.items()}
    state |= {f"{_TEXT_LAYER}{key}": value for key, value in head.items()}
    network = trial_run.model.build(published.n_mels, head["weight"].shape[1])
    check_fits(network.state_dict(), {key.removeprefix("dual_encoder."): value for key, value in state.items()}, path)
    write_checkpoint(folder / "checkpoint_000000", {"epoch": 0, "model": state}, {})
    write_json(folder / PARAMS_FILE, to_mapping(trial_run))  # last: what makes the folder a trial
    return folder


def _text_head(path: Path, repair: str) -> dict[str, Tensor]:
    state = read_foreign(path, repair).state
    head = {key.partition(_TEXT_HEAD)[2]: value.float() for key, value in state.items() if _TEXT_HEAD in key}
    if head.keys() != {"weight", "bias"} or head["weight"].dim() != 2:
        raise ArtefactError(
            f"{path}: holds no text encoder {_TEXT_HEAD[:-1]}, so that nothing can be scored with it; take the "
            "`checkpoint` of a trial, or train one from these weights"
        )
    check_values(head, path, repair)
    return head


def _settings(run: DualEncoderRun, published: Published) -> dict[str, Any]:
    settings = to_mapping(run)
    settings["model"] |= {
        "out_dim": published.out_dim,
        "audio_encoder": {
            "name": published.kind.__name__,
            "base_channels": published.base_channels,
            "last_pool": published.last_pool,
        },
        "text_encoder": {"name": "SentBERTBaseEncoder"},
    }
    settings["criterion"] |= {"learnable_temperature": False}
    settings["search"] = {}
    return settings
