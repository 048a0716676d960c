"""All systems of a run on the same tracks: those that every system has an embedding of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tasks.base import RunSpec
from tasks.music.results import known_tracks
from tasks.music.run import MusicRun
from tasks.music.systems import (
    SystemVectors,
    autoencoder_vectors,
    control_vectors,
    feature_systems,
    system_name,
)
from tasks.music.task import MusicTask
from tasks.trained import CheckpointChoice, TrainedRun, find_trained_run
from utils.artefact_utils import Track, is_there
from utils.artefact_utils.similar_tracks import read_similar_tracks
from utils.cli_utils import ArtefactError, UserError
from utils.cli_utils.repairs import make
from utils.metric_utils.recommendation.tracks import Tracks
from utils.model_utils.trials import trial_folders

_LEAST_TRACKS = 3


class ComparedSystems(NamedTuple):
    """Systems with an embedding of each of N tracks.

    Attributes:
        tracks: N of them, in the order of the catalogue.
        known: the same, as the filters take it.
        catalogue: the tracks of all splits.
        vectors: name -> embeddings; autoencoders, the chosen one first, then features, then controls.
        chosen: the autoencoder that validation chose.
        task: of it, with trained weights.
        embeddings: of all tracks of its split, as it makes them.
        notes: lines about what is left out, with placeholders of commands.
    """

    tracks: list[Track]
    known: Tracks
    catalogue: list[Track]
    vectors: dict[str, SystemVectors]
    chosen: str
    task: MusicTask
    embeddings: NDArray[np.float32]
    notes: list[str]


def load_systems(
    trained: TrainedRun[MusicRun],
    catalogue: list[Track],
    others: Sequence[TrainedRun[MusicRun]] = (),
    *,
    measures: bool = True,
) -> ComparedSystems:
    """Embed a split with a trained autoencoder and others, and read what it is compared with.

    Args:
        trained: the chosen autoencoder.
        catalogue: the tracks of all splits.
        others: further ones of the same data.
        measures: whether they are measured, beside random controls.
    Raises:
        UserError: a file is missing or broken, or no three tracks have an embedding of every system.
    """
    data, splits = trained.run.data, (trained.run.data.splits.train, trained.split)
    chosen, notes = system_name(trained), []
    # first what is only read: embedding takes long
    features = feature_systems(data, trained.split)
    pairs = read_similar_tracks(data.similar_tracks, make("tables")) if is_there(data.similar_tracks) else []
    task = _task_of(trained, measures=measures)
    autoencoders = [autoencoder_vectors(chosen, task, splits)]
    for other in others:
        try:
            autoencoders.append(autoencoder_vectors(system_name(other), _task_of(other, measures=measures), splits))
        except UserError as error:  # one broken trial does not stop the comparison
            notes.append(f"{system_name(other)} is left out: {error}")
    tracks, left_out = _common(catalogue, trained.split, [*autoencoders, *features.systems])
    fids = [track.fid for track in tracks]
    systems = [system.of_tracks(fids) for system in [*autoencoders, *features.systems]]
    systems += control_vectors(fids) if measures else []
    return ComparedSystems(
        tracks,
        known_tracks(tracks, _similar_rows(pairs, fids)),
        catalogue,
        {system.name: system for system in systems},
        chosen,
        task,
        autoencoders[0].embeddings,
        [*notes, *features.missing, *left_out],
    )


def other_trials(
    conf: RunSpec, choice: CheckpointChoice, trained: TrainedRun[MusicRun]
) -> tuple[list[TrainedRun[MusicRun]], list[str]]:
    """The other trials of an experiment, and a line for each that cannot be used.

    Args:
        conf: the run of the YAML.
        choice: which experiment and split.
        trained: the trial that is chosen.
    """
    found, notes = [], []
    for folder in trial_folders(trained.trial.folder.parent):
        if folder == trained.trial.folder:
            continue
        try:
            found.append(find_trained_run(conf, choice._replace(trial=folder.name, checkpoint=None), MusicRun))
        except UserError as error:
            notes.append(f"{folder.name} is left out: {error}")
    return found, notes


def _task_of(trained: TrainedRun[MusicRun], *, measures: bool) -> MusicTask:
    task = trained.task(measures=measures)
    assert isinstance(task, MusicTask)
    return task


def _common(catalogue: Sequence[Track], split: str, systems: Sequence[SystemVectors]) -> tuple[list[Track], list[str]]:
    """The tracks of a split that every system has, and a line where others are left out.

    Raises:
        ArtefactError: there are fewer than three, which local scaling needs.
    """
    own = [track for track in catalogue if track.split == split]
    held = set.intersection(*(set(system.fids) for system in systems))
    tracks = [track for track in own if track.fid in held]
    if len(own) < _LEAST_TRACKS:
        raise ArtefactError(
            f"split '{split}': has {len(own)} tracks, expected at least {_LEAST_TRACKS}; add tracks, or name a larger "
            f"--split, or write the tables with other data.shares: {make('tables')}"
        )
    if len(tracks) < _LEAST_TRACKS:
        raise ArtefactError(
            f"split '{split}': {len(tracks)} of {len(own)} tracks have an embedding of every system, expected at least "
            f"{_LEAST_TRACKS}; add tracks, or write the features again: {make('track-features')}"
        )
    if len(tracks) == len(own):
        return tracks, []
    lacking = next(track for track in own if track.fid not in held)
    without = [system.name for system in systems if lacking.fid not in system.fids]
    line = f"{len(own) - len(tracks)} of {len(own)} tracks are left out, such as {lacking.path}: {without[0]} has no "
    return tracks, [f"{line}embedding of it"]


def _similar_rows(pairs: Sequence[tuple[str, str]], fids: Sequence[str]) -> NDArray[np.int64]:
    """(P, 2) rows of near-duplicate recordings among the tracks."""
    row = {fid: number for number, fid in enumerate(fids)}
    return np.array([(row[a], row[b]) for a, b in pairs if a in row and b in row], np.int64).reshape(-1, 2)
