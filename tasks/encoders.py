"""Load a trained run, or an exported audio encoder, to embed sound files and texts.

from tasks import load_encoder
encoder = load_encoder("runs/demo")
audio, text = encoder.encode_audio(["a.wav", "b.wav"]), encoder.encode_text(["a dog barks"])
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from models.core import DualEncoderModel
from models.exported import ExportedEncoder, read_exported
from models.sounds import SoundEmbeddings, SoundInput, embed_batches, features_of_sounds
from tasks.commands import Commands
from tasks.retrieval.dual_encoder import DualEncoderRun, DualEncoderTask
from tasks.retrieval.encoder import AnyPath, EncoderWeights, RetrievalEncoder
from tasks.retrieval.scores import trained_dual_encoder
from tasks.runs import parse_run
from tasks.trained import CheckpointChoice, TrainedRun, find_trained_run
from utils.audio_utils import log_mel
from utils.cli_utils.repairs import make
from utils.model_utils import choose_device, find_trial
from utils.model_utils.checkpoints import STATE_FILE
from utils.model_utils.trials import PARAMS_FILE

_EXPORT = f"write both files again: {make('exported-encoder')}"
# An export of an earlier version does not contain the longest window: its clips are embedded whole.
_UNCUT_S = 86_400.0


def load_encoder(path: AnyPath, *, trial: str | None = None, checkpoint: str | None = None) -> RetrievalEncoder:
    """Load an encoder of sound files and texts.

    Args:
        path: the folder of an experiment, such as runs/demo; or an audio_encoder.json of postprocessing.export.
        trial: name of the trial's folder; None: the best. Of an experiment alone.
        checkpoint: name of the checkpoint's folder; None: the trial's best. Of an experiment alone.
    Raises:
        UserError: there is no such run, trial or checkpoint, or a file of it or of its features is missing or broken;
            the message names the command that repairs it.
    """
    path = Path(path).expanduser()
    with Commands.of_first_system().completing():
        if path.suffix == ".json":
            return _of_export(path)
        found = find_trial(path, trial, checkpoint)
    params = found.folder / PARAMS_FILE
    run = parse_run(found.params, str(params))
    with Commands.of_file(params, run.script_of).completing():
        choice = CheckpointChoice(path, trial, checkpoint, conf=("--conf", str(params)))
        trained = find_trained_run(run, choice, DualEncoderRun)
        return encoder_of(trained, trained_dual_encoder(trained, measures=False))


def encoder_of(trained: TrainedRun[DualEncoderRun], task: DualEncoderTask) -> RetrievalEncoder:
    """The encoders of a trained run.

    Args:
        trained: the run and its checkpoint.
        task: of `trained_dual_encoder(trained)`.
    """
    return RetrievalEncoder(
        trained.commands.completing()(task.embedder.sounds),
        trained.commands.completing()(task.embedder.texts),
        out_dim=task.dual_encoder.out_dim,
        similarity=trained.run.criterion.similarity,
        kept_in=trained.trial.folder,
        weights=EncoderWeights(trained.checkpoint, [trained.trial.checkpoint.folder / STATE_FILE]),
    )


def _of_export(path: Path) -> RetrievalEncoder:
    exported = read_exported(path, _EXPORT)
    model = DualEncoderModel(exported.encoder, nn.Identity(), exported.encoder.out_dim, exported.out_norm)
    return RetrievalEncoder(
        partial(_embed_sounds, model.to(choose_device("auto", "fp32")).eval(), exported),
        None,
        out_dim=model.out_dim,
        similarity="dot" if exported.out_norm == "L2" else "cosine",
        kept_in=path.parent,
        weights=EncoderWeights(str(path), [path, path.with_suffix(".pth")]),
    )


def _embed_sounds(
    model: DualEncoderModel,
    exported: ExportedEncoder,
    paths: Sequence[Path],
    workers: int,
    advance: Callable[[int], object],
) -> SoundEmbeddings:
    """Embed sound files as the trained run does; see `SoundEmbedder`."""
    front_end = exported.front_end
    longest_s = exported.max_duration_s or _UNCUT_S
    sound = SoundInput(front_end.sample_rate_hz, prepare=partial(log_mel, front_end=front_end))
    device = next(model.parameters()).device

    def embed(log_mels: NDArray[np.float32]) -> NDArray[np.float32]:
        return model.embed_clip(torch.from_numpy(log_mels).to(device), front_end.frames(longest_s)).cpu().numpy()

    batches = features_of_sounds(paths, sound, longest_s, workers)
    return embed_batches(batches, embed, (len(paths), model.out_dim), advance)
