"""What a trained autoencoder makes of tracks, as pictures and in TensorBoard's projector."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from utils.data_utils.sampling import Ints
from utils.report_utils.reconstructions import Reconstruction, plot_reconstructions
from utils.report_utils.tensorboard import Projector, write_tensorboard

if TYPE_CHECKING:
    from tasks.music.task import MusicTask

_LABELS = {  # of both axes
    "features": ("feature, in the order of the columns", "standardised"),
    "wave": ("sample", "amplitude"),
    "logmel": ("frame", "mel band"),
}


def reconstructions(task: MusicTask, split: str, rows: Ints) -> list[Reconstruction]:
    """Reconstruct the middle window of tracks; callers set eval mode and `inference_mode`.

    Args:
        task: of a trained run.
        split: its role or name.
        rows: (n,) of its tracks.
    Returns:
        Log-mels and waves in their own units, features standardised, since each has a unit of its own.
    """
    data, model = task.data(split), task.autoencoder
    device = next(model.parameters()).device
    found = []
    lengths = np.minimum(data.audio.lengths, data.audio.max_length)
    starts = (data.audio.lengths - lengths) // 2
    for row in rows:
        one = np.array([row])
        window = data.audio.batch(one, starts[one], lengths[one]).to(device)
        own = torch.from_numpy(lengths[one])
        made = model(window, own).reconstruction
        if model.kind == "features":
            window = model.standardised(window, own)
        else:
            made = model.restored(made, window, own)
        track = data.tracks[row]
        title = " · ".join(filter(None, (track.title, track.artist, track.genre))) or track.track_id
        found.append(Reconstruction(title, window[0].cpu().numpy(), made[0].cpu().numpy()))
    return found


def write_pictures(
    task: MusicTask, split: str, folder: Path, epoch: int, embeddings: NDArray[np.float32], count: int = 4
) -> tuple[Path, Path]:
    """Write reconstructions of evenly spaced tracks as a PNG, and the same with all embeddings for TensorBoard.

    Args:
        task: of a trained run; callers set eval mode and `inference_mode`.
        split: its role or name.
        folder: of the trial.
        epoch: of the checkpoint.
        embeddings: (N, E) of the split, of `MusicTask.track_embeddings`.
        count: tracks in the picture.
    Returns:
        The PNG, and TensorBoard's folder.
    """
    data = task.data(split)
    rows = np.unique(np.linspace(0, len(data.tracks) - 1, min(count, len(data.tracks))).astype(np.int64))
    picture = folder / f"{data.name}_reconstructions.png"
    title = f"'{data.name}', epoch {epoch}: input on the left, output on the right"
    plot_reconstructions(picture, title, reconstructions(task, split, rows), *_LABELS[task.autoencoder.kind])
    columns = ("genre", "artist", "title", "album", "track_id")
    texts = [[str(getattr(track, column)) for column in columns] for track in data.tracks]
    tensorboard = folder / f"{data.name}_tensorboard"
    write_tensorboard(tensorboard, epoch, {"reconstructions": picture}, Projector(embeddings, columns, texts))
    return picture, tensorboard
