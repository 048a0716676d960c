"""Ensembles of scores: open the members, choose their weights on the validation split, write the mean."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tasks.retrieval.dual_encoder import DualEncoderRun
from tasks.retrieval.scores import SplitScores, open_scores
from utils.artefact_utils.retrieval import write_scores
from utils.artefact_utils.retrieval.ensemble_records import (
    ENSEMBLE_FILE,
    EnsembleRecord,
    read_ensemble,
    write_ensemble,
)
from utils.cli_utils import UserError, check_free_disk
from utils.cli_utils.repairs import make
from utils.metric_utils.ensembles import ChosenWeights, Normalisation, WeightedMean, Weights, choose_weights
from utils.metric_utils.ranking import Relevance
from utils.metric_utils.scores import NonFiniteScoreError, Scores, ScoreSource
from utils.model_utils.trials import PARAMS_FILE


class EnsemblePlan(NamedTuple):
    """What is averaged, and how.

    Attributes:
        members: folders of runs or trials, or files of scores.
        normalise: how each query's scores are made comparable.
        metric: that weights are chosen by.
        validation: validation scores of the members that are files of other systems, in their order.
    """

    members: Sequence[Path]
    normalise: Normalisation
    metric: str
    validation: Sequence[Path] = ()

    def label(self, name: str, weights: Weights, split: str) -> str:
        """What made the scores, in words; the same for all splits of an ensemble."""
        named = zip(weights, self.members, strict=True)
        terms = " + ".join(f"{weight:g} {_name_of(member, split)}" for weight, member in named)
        return f"ensemble {name} ({self.normalise}: {terms})"


class _NamedSource:
    """Text to audio of one member, which is named when a score is not finite."""

    def __init__(self, scores: SplitScores) -> None:
        self._scores = scores
        self._source: ScoreSource = scores.text_to_audio()
        self.shape = self._source.shape

    def blocks(self) -> Iterator[tuple[int, Scores]]:
        """As `ScoreSource.blocks`."""
        for start, block in self._source.blocks():
            self._check(start, block)
            yield start, block

    def _check(self, start: int, block: Scores) -> None:
        bad = np.argwhere(~np.isfinite(block))
        if len(bad):
            row, column = map(int, bad[0])
            raise self._scores.not_finite(NonFiniteScoreError(start + row, column, float(block[row, column])))


@contextlib.contextmanager
def open_members(paths: Sequence[Path], run: DualEncoderRun, split: str) -> Iterator[list[SplitScores]]:
    """Open the scores of all members.

    Args:
        paths: of the members; see `open_scores`.
        run: its data contain the captions and clips.
        split: its own name.
    Raises:
        UserError: one cannot be opened, is a list of names, or they differ in captions, clips or their order.
    """
    with contextlib.ExitStack() as stack:
        members = [stack.enter_context(open_scores(path, run, split)) for path in paths]
        for member in members:
            if member.depth is not None:
                raise UserError(
                    f"{member.path}: names only {member.depth} clips a query, but a mean needs the scores of all "
                    "clips; give the score matrix of that system"
                )
            _check_alike(members[0], member)
        yield members


def _check_alike(first: SplitScores, other: SplitScores) -> None:
    """Two members must score the same captions against the same clips, in one order."""
    for what, one, two in (
        ("captions", [c.tid for c in first.captions], [c.tid for c in other.captions]),
        ("clips", [c.fid for c in first.clips], [c.fid for c in other.clips]),
    ):
        if one != two:
            apart = len(set(one) ^ set(two))
            found = f"differ in {apart} {what}" if apart else f"have their {what} in another order"
            raise UserError(
                f"{first.path} and {other.path} {found}; an ensemble needs the same ones: score both again on the "
                "same tables, with encoders that take the same clips"
            )


def weights_of_validation(plan: EnsemblePlan, run: DualEncoderRun, members: Sequence[SplitScores]) -> ChosenWeights:
    """Choose the weights that are best on the validation split.

    Args:
        plan: the members, and what they are chosen by.
        run: its data contain the captions and clips.
        members: their scores of the split that is written, which must be of the same checkpoints.
    Raises:
        UserError: validation scores are missing, of other checkpoints, or not finite.
    """
    split, validation = members[0].split, run.data.splits.val
    with open_members(_validation_paths(plan, split, validation), run, validation) as held_out:
        for member, found, path in zip(members, held_out, plan.members, strict=True):
            if not _is_foreign(path, split) and found.label != member.label:
                raise UserError(
                    f"{found.path}: made by {found.label}, but {member.path} by {member.label}; write both again with "
                    "one checkpoint"
                )
        first = held_out[0]
        rows = np.arange(len(first.captions))
        relevance = Relevance(rows, first.clip_of_caption, len(rows), len(first.clips))
        return choose_weights([_NamedSource(one) for one in held_out], relevance, plan.metric, plan.normalise)


def _validation_paths(plan: EnsemblePlan, split: str, validation: str) -> list[Path]:
    """Where each member's validation scores are."""
    foreign = [path for path in plan.members if _is_foreign(path, split)]
    if len(foreign) != len(plan.validation):
        names = ", ".join(map(str, foreign)) or "no member"
        raise UserError(
            f"--weights auto chooses on '{validation}': --validation FILE is needed once for each of {names} (in this "
            f"order), found {len(plan.validation)}; or give --weights"
        )
    given = iter(plan.validation)
    paths = []
    for path in plan.members:
        if _is_foreign(path, split):
            paths.append(next(given))
        else:
            paths.append(path if path.is_dir() else _beside(path, validation))
    return paths


def _is_foreign(path: Path, split: str) -> bool:
    """Whether the validation scores of a member cannot be found from its name."""
    return not path.is_dir() and path.name != f"{split}_xmodal_scores.hdf5"


def _beside(path: Path, validation: str) -> Path:
    """The validation scores beside a score file of this project."""
    found = path.with_name(f"{validation}_xmodal_scores.hdf5")
    if found.is_file():
        return found
    folder = path.parent
    if (folder / ENSEMBLE_FILE).is_file():
        raise UserError(f"{found}: no such file; write the ensemble {folder.name} with --split {validation} too")
    trial = (folder / PARAMS_FILE).is_file()
    chosen = ["--run", str(folder.parent), "--trial", folder.name] if trial else ["--run", str(folder)]
    raise UserError(f"{found}: no such file; write it: {make('scores', *chosen, '--split', validation)}")


def write_mean(path: Path, members: Sequence[SplitScores], weights: Weights, how: Normalisation, label: str) -> None:
    """Write the weighted mean of the members' scores, in float64, without embeddings.

    Args:
        path: of the score file.
        members: of `open_members`.
        weights: one a member.
        how: each query's scores are made comparable.
        label: what made the scores, for the file.
    Raises:
        UserError: a score is not finite, or the disk is too small.
    """
    first = members[0]
    fids = [clip.fid for clip in first.clips]
    left_out = sorted({clip.fid for clip in first.tables.clips} - set(fids))
    check_free_disk(path, 8 * len(first.captions) * len(fids), "output_root")
    write_scores(
        path,
        {"tid": [caption.tid for caption in first.captions], "fid": fids},
        WeightedMean([_NamedSource(one) for one in members], weights, how).blocks(),
        {},
        {"split": first.split, "checkpoint": label, "left_out": json.dumps(left_out)},
        dtype="f8",
    )


def note_ensemble(folder: Path, split: str, record: EnsembleRecord) -> list[tuple[str, EnsembleRecord]]:
    """Put a split's record into ensemble.json, beside those of other splits.

    Returns:
        The splits, and their records, that were made of other members, weights or normalisation.
    """
    others = {name: other for name, other in read_ensemble(folder).items() if name != split}
    write_ensemble(folder, {**others, split: record})
    return [(name, other) for name, other in others.items() if _recipe(other, name) != _recipe(record, split)]


def _recipe(record: EnsembleRecord, split: str) -> tuple[list[tuple[str, float]], str]:
    """Members with weights, and the normalisation: equal in all splits of an ensemble."""
    return [(_name_of(member.scores, split), member.weight) for member in record.members], record.normalise


def _name_of(member: Path, split: str) -> str:
    """Name a member independently of the split: a score file of this project by its folder."""
    return str(member if _is_foreign(member, split) or member.is_dir() else member.parent)
