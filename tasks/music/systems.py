"""The systems that recommend tracks: trained autoencoders, hand-crafted features, and two controls."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from tasks.music.run import MusicRun
from tasks.music.task import MusicTask
from tasks.trained import TrainedRun
from utils.artefact_utils import Clip, LogMelReader, is_there, read_audio_embeddings, read_clips, read_track_features
from utils.artefact_utils.audio_embeddings import EmbeddingSource
from utils.audio_utils.track_features import MFCC
from utils.cli_utils import ArtefactError, UserError
from utils.cli_utils.repairs import make
from utils.data_utils import MusicDataSpec
from utils.metric_utils.recommendation.spaces import EmbeddingSpace, Scaling

Array = NDArray[np.float32]

MFCC_RAW, MFCC_STANDARDISED = "mfcc", "mfcc_standardised"
BASELINES = (MFCC_RAW, MFCC_STANDARDISED)  # that an autoencoder is to beat
FEATURES, LOGMEL_PCA, RANDOM, MEAN = "features", "logmel_pca", "random", "mean"
CONTROLS = (RANDOM, MEAN)
_AISFX = "package:aisfx"
_MOST_COMPONENTS = 64
_CONTROL_WIDTH = 64  # of random vectors: in so many dimensions hubs are as rare as chance makes them


class SystemVectors(NamedTuple):
    """What one system makes of the training tracks, and of the N tracks of a split.

    Attributes:
        name: of the system.
        training: (M, E) embeddings that its space is fitted on.
        fids: (N,) ids of the tracks.
        embeddings: (N, E).
        scaling: of its space.
    """

    name: str
    training: Array
    fids: Sequence[str]
    embeddings: Array
    scaling: Scaling = "centred"

    def of_tracks(self, fids: Iterable[str]) -> SystemVectors:
        """The same of these tracks alone, in this order."""
        row = {fid: number for number, fid in enumerate(self.fids)}
        chosen = list(fids)
        return self._replace(fids=chosen, embeddings=self.embeddings[[row[fid] for fid in chosen]])

    def space(self, scaling: Scaling | None = None) -> EmbeddingSpace:
        """Fit what makes comparable vectors of raw embeddings.

        Args:
            scaling: None: the system's own.
        Raises:
            UserError: all training tracks have the same embedding.
        """
        if not np.ptp(self.training, axis=0).any():
            raise UserError(
                f"{self.name}: has collapsed, all {len(self.training)} training tracks have the same embedding; train "
                f"with other settings (model.latent_dim, model.beta, optimizer.lr), then: {make('training', '--fresh')}"
            )
        return EmbeddingSpace.fit(self.training, scaling or self.scaling)


def autoencoder_vectors(name: str, task: MusicTask, splits: tuple[str, str]) -> SystemVectors:
    """Embed tracks with a trained autoencoder.

    Args:
        name: of the system.
        task: with trained weights, in eval mode.
        splits: names of the training split, and of the one to embed.
    """
    with torch.inference_mode():
        training, embeddings = (task.track_embeddings(split) for split in splits)
    return SystemVectors(name, training, task.data(splits[1]).fids, embeddings)


def system_name(trained: TrainedRun[MusicRun]) -> str:
    """Trial and autoencoder, as tables name them."""
    return trial_system(trained.trial.folder.name, trained.run)


def trial_system(trial: str, run: MusicRun) -> str:
    """The same of a trial by the name of its folder."""
    return f"{trial}/{run.model.name}"


class FeatureSystems(NamedTuple):
    """The systems that nothing learns but means, deviations and principal components."""

    systems: list[SystemVectors]
    missing: list[str]  # a line for each that has no file, with the placeholder of its command


def feature_systems(data: MusicDataSpec, split: str) -> FeatureSystems:
    """Read hand-crafted features, log-mels and the vectors of a frozen encoder.

    Args:
        data: the `data:` block.
        split: name of the split.
    Raises:
        UserError: the hand-crafted features are missing or broken; log-mels and embeddings are used where they are.
    """
    splits = (data.splits.train, split)
    clips = [read_clips(data.audio_info, name, make("tables")) for name in splits]
    features = [_track_features(data, name, found) for name, found in zip(splits, clips, strict=True)]
    (_, training), (fids, table) = features
    mfcc = SystemVectors(MFCC_RAW, training[:, MFCC], fids, table[:, MFCC])
    systems = [
        mfcc,
        mfcc._replace(name=MFCC_STANDARDISED, scaling="standardised"),
        SystemVectors(FEATURES, training, fids, table, "standardised"),
    ]
    missing = []
    if all(is_there(data.logmels(name)) for name in splits):
        levels = [_logmel_statistics(data, name, found) for name, found in zip(splits, clips, strict=True)]
        systems.append(SystemVectors(LOGMEL_PCA, *_principal(levels[0], [clip.fid for clip in clips[1]], levels[1])))
    else:
        path = next(path for name in splits if not is_there(path := data.logmels(name)))
        missing.append(f"{LOGMEL_PCA} is left out: there is no {path}; write it: {make('log-mels')}")
    if data.audio_embeddings is not None:
        name = "aisfx" if str(data.audio_embeddings.model).startswith(_AISFX) else "audio_embeddings"
        sources = [data.audio_source(one) for one in splits]
        if absent := next((source for source in sources if not is_there(source.path)), None):
            repair = absent.repair if absent.model is None else f"write it: {absent.repair}"
            missing.append(f"{name} is left out: there is no {absent.path}; {repair}")
        else:
            systems.append(_encoder_vectors(name, sources, splits, clips))
    return FeatureSystems(systems, missing)


def control_vectors(fids: Sequence[str]) -> list[SystemVectors]:
    """Two systems that know nothing: random vectors, and an autoencoder that predicts the mean.

    Such an autoencoder embeds all tracks alike. Of equal scores the order of the table would decide, in which tracks of
    an album are neighbours: its tracks are in random order instead, by other random vectors.
    """
    rng = np.random.default_rng(0)
    shape = (len(fids), _CONTROL_WIDTH)
    found = []
    for name in CONTROLS:
        training, embeddings = (rng.standard_normal(shape, np.float32) for _ in range(2))
        found.append(SystemVectors(name, training, fids, embeddings))
    return found


def _track_features(data: MusicDataSpec, split: str, clips: Sequence[Clip]) -> tuple[list[str], Array]:
    """The ids of the tracks that have hand-crafted features, and (N, 518) of them."""
    table = read_track_features(data.track_features(split), clips, make("track-features"))
    return [clip.fid for clip in clips], table


def _logmel_statistics(data: MusicDataSpec, split: str, clips: Sequence[Clip]) -> Array:
    """(N, 2F) float32: mean and standard deviation over the frames of each band."""
    reader = LogMelReader(data.logmels(split), data.front_end_numbers(), make("log-mels"))
    views = reader.views([clip.fid for clip in clips])
    found = np.empty((len(clips), 2 * views.places[0].shape[1]), np.float32)
    for row, view in zip(found, views, strict=True):
        frames = np.asarray(view[:], np.float32)
        row[:] = np.concatenate([frames.mean(axis=0), frames.std(axis=0)])
    return found


def _principal(training: Array, fids: list[str], embeddings: Array) -> tuple[Array, list[str], Array]:
    """Both in the space of the training tracks' principal components; these are of unequal variance."""
    from sklearn.decomposition import PCA

    components = min(_MOST_COMPONENTS, *training.shape)
    pca = PCA(components, svd_solver="full").fit(training)
    return pca.transform(training), fids, pca.transform(embeddings)


def _encoder_vectors(
    name: str, sources: Sequence[EmbeddingSource], splits: tuple[str, str], clips: Sequence[Sequence[Clip]]
) -> SystemVectors:
    """The tracks as a frozen encoder embeds them.

    Raises:
        ArtefactError: a file is broken, or the splits were not embedded by the same encoder.
    """
    train, other = (read_audio_embeddings(*given) for given in zip(sources, clips, splits, strict=True))
    found, wanted = (f"{table.vectors.shape[1]} numbers {table.revision}".strip() for table in (other, train))
    if found != wanted:
        raise ArtefactError(
            f"{sources[1].path}: a vector of '{splits[1]}' has {found}, one of '{splits[0]}' has {wanted}, expected "
            f"those of one encoder; write both again: {sources[1].repair}"
        )
    fids = [clip.fid for clip, held in zip(clips[1], other.kept, strict=True) if held]
    return SystemVectors(name, train.vectors[train.kept], fids, other.vectors[other.kept])
