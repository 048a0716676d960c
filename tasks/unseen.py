"""What an experiment was trained on, so that stage 3 measures none of its trials on that."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from tasks.base import RunSpec, SplitData
from utils.artefact_utils import read_clips
from utils.cli_utils import ArtefactError
from utils.cli_utils.repairs import make
from utils.data_utils import AudioDataSpec, CaptionDataSpec, ImageDataSpec
from utils.data_utils.recordings import recordings_of
from utils.tune_utils import read_trained_on


def trained_on(run: RunSpec, splits: Sequence[SplitData]) -> frozenset[str]:
    """Identify the recordings that only training has: what a data set has in two splits from the start is its own.

    Args:
        run: the settings.
        splits: training and validation.
    """
    training, *others = splits
    held_out: set[str] = set()
    for split in others:
        if split.name != training.name:
            held_out |= split.recordings().keys()
    if run.data.splits.eval not in {split.name for split in splits} and (table := _table(run, run.data.splits.eval)):
        with contextlib.suppress(ArtefactError):  # training does not need the evaluation split
            held_out |= recordings_of(read_clips(table, run.data.splits.eval, make("tables"))).keys()
    return frozenset(training.recordings().keys() - held_out)


def _table(run: RunSpec, split: str) -> Path | None:
    data = run.data
    if isinstance(data, AudioDataSpec) and not data.has_tables:
        return None  # a list of vectors, which only names its own split
    return data.clip_info if isinstance(data, AudioDataSpec | ImageDataSpec) else None


def check_unseen(trial: Path, run: RunSpec, split: str, recordings: Mapping[str, str], again: str) -> None:
    """Make sure that a trial is not measured on what it was trained on; of the training split, say so.

    Trials of an earlier version, or of another program, do not note what they were trained on.

    Args:
        trial: its folder.
        run: the settings, with the data that are measured.
        split: its own name.
        recordings: of the split, by `SplitData.recordings`.
        again: the command that trains again, for messages.
    Raises:
        ArtefactError: another split than that of training holds some of it.
    """
    known = read_trained_on(trial.parent)
    seen = sorted(name for key, name in recordings.items() if key in known)
    if not seen:
        return
    count = f"{len(seen)} of the {len(recordings)} recordings of '{split}'"
    if split == run.data.splits.train:
        print(f"{count} trained {trial.name}: its numbers on them say what it has learnt, not what it does on others")
        return
    data = run.data
    table = data.pairs_file(split) if isinstance(data, CaptionDataSpec) and data.pairs else _table(run, split)
    raise ArtefactError(
        f"{table or data.features}: {count}, such as {seen[0]}, trained {trial}, perhaps since the splits have "
        f"changed; write the tables with its settings and files again: {make('tables')}, or leave these recordings "
        f"out, or train again: {again}"
    )
