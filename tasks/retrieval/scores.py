"""The scores of a split, whoever made them: a trained run, an ensemble, or a system that is not of this project."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks.retrieval.dual_encoder import DualEncoderRun, DualEncoderTask
from tasks.retrieval.matching import align_scores, captions_among
from tasks.trained import TrainedRun
from tasks.unseen import check_unseen
from utils.artefact_utils import Caption, Clip
from utils.artefact_utils.retrieval import ForeignScores, ScoreReader, read_foreign_scores, read_id_names, shelf_of
from utils.artefact_utils.retrieval.ensemble_records import ENSEMBLE_FILE
from utils.cli_utils import ArtefactError, UserError, command_line
from utils.cli_utils.repairs import make
from utils.data_utils import Tables, read_tables
from utils.data_utils.recordings import recordings_of
from utils.metric_utils.scores import MatrixScores, NonFiniteScoreError, ScoreSource
from utils.model_utils import TrialCheckpoint, find_trial
from utils.model_utils.trials import PARAMS_FILE
from utils.tune_utils import describe_unfinished

Indices = NDArray[np.int64]

FOREIGN = "foreign"  # results of files go to <output_root>/foreign/<name>/
WHY_LEFT_OUT = "why_left_out"  # a note of a score file; without it, a frozen encoder refused the clips
_REFUSED = "the frozen encoder refused them"
_HDF5 = {".hdf5", ".h5"}


def score_file(trained: TrainedRun[DualEncoderRun]) -> Path:
    """The score matrix of a checkpoint and split, in the trial's folder."""
    return trained.trial.folder / f"{trained.split}_xmodal_scores.hdf5"


def trained_dual_encoder(trained: TrainedRun[DualEncoderRun], *, measures: bool = True) -> DualEncoderTask:
    """The task of a run that trains a dual encoder, with the trained weights.

    Args:
        trained: the run and its checkpoint.
        measures: as of `TrainedRun.task`.
    Raises:
        UserError: see `TrainedRun.task`.
    """
    task = trained.task(measures=measures)
    assert isinstance(task, DualEncoderTask)
    return task


@dataclass(frozen=True)
class SplitScores:
    """Every caption of a split scored against every clip.

    Attributes:
        label: what made the scores, in words: trial, checkpoint and epoch, or a file's name.
        split: the split's own name.
        path: the file that holds the scores.
        folder: where results are written.
        captions: Q, the rows.
        clips: C, the columns.
        depth: length of ranked lists, which give no scores of the other clips; None: scores of all.
        tables: all clips and captions of the split, whether they have scores or not.
        left_out: fids of clips of the tables; neither they nor their captions have scores.
        why_left_out: in words.
        trained: the checkpoint behind the scores, where it is known.
        repair: the command that writes the scores again, for messages.
        arguments: of the command line that chose them.
        ids: tables that map the ids of another data set to captions and clips, in scores and in relevance lists.
    """

    label: str
    split: str
    path: Path
    folder: Path
    captions: list[Caption]
    clips: list[Clip]
    tables: Tables = field(repr=False)
    source: ScoreReader | NDArray[Any] = field(repr=False)
    depth: int | None = None
    trained: TrainedRun[DualEncoderRun] | None = None
    left_out: frozenset[str] = frozenset()
    why_left_out: str = _REFUSED
    repair: str = ""
    arguments: Sequence[str] = ()
    ids: Sequence[Path] = ()

    @property
    def clip_of_caption(self) -> Indices:
        """(Q,) the column of each caption's own clip."""
        columns = {clip.fid: column for column, clip in enumerate(self.clips)}
        return np.array([columns[caption.fid] for caption in self.captions], np.int64)

    @property
    def captions_to_score(self) -> list[Caption]:
        """The captions of the split that must have scores: all but those of clips that were left out."""
        return [caption for caption in self.tables.captions if caption.fid not in self.left_out]

    @property
    def is_whole(self) -> bool:
        """Whether every caption has a score with every clip."""
        return self.depth is None and len(self.captions) == len(self.captions_to_score)

    def text_to_audio(self) -> ScoreSource:
        """Captions as queries, clips as candidates."""
        return self.source.text_to_audio() if isinstance(self.source, ScoreReader) else MatrixScores(self.source)

    def audio_to_text(self) -> ScoreSource:
        """Clips as queries, captions as candidates; only where `is_whole`."""
        return self.source.audio_to_text() if isinstance(self.source, ScoreReader) else MatrixScores(self.source.T)

    def not_finite(self, error: NonFiniteScoreError) -> UserError:
        """Return the error of a score that is NaN or infinite."""
        caption, clip = self.captions[error.query].raw_text, self.clips[error.candidate].fname
        return UserError(
            f"{self.path}: the score of caption '{caption}' and clip '{clip}' is {error.value}, expected a finite "
            f"number; write it again: {self.repair}"
        )

    def publish(self, path: Path) -> Path:
        """Show a file of the best trial in runs/<experiment>/ too; returns the path to name to the user."""
        return path if self.trained is None else self.trained.publish(path)

    def command_for(self, script: str, *arguments: str) -> str:
        """The command line that runs another script of stage 3 on the same scores."""
        return command_line(script, *self.arguments, *arguments)


@contextlib.contextmanager
def open_scores(
    path: Path,
    run: DualEncoderRun,
    split: str,
    queries: Path | None = None,
    files: Path | None = None,
    *,
    ids: Sequence[Path] = (),
) -> Iterator[SplitScores]:
    """The scores that a path means.

    Args:
        path: an experiment's folder (its best trial), a trial's folder, a score file of this project, or a file of
            another system.
        run: its data contain the tables of the split.
        split: its own name.
        queries: of an npy, the list of its rows.
        files: of an npy, the list of its columns.
        ids: of a shelf, the tables whose ids it has.
    Raises:
        UserError: nothing there, or scores that are not those of the split.
    """
    if (path / ENSEMBLE_FILE).is_file():
        path = path / f"{split}_xmodal_scores.hdf5"
    if path.is_dir():
        found = _trial_of(path)
        chosen = ["--run", str(found.folder.parent), "--trial", found.folder.name, "--split", split]
        repair = make("scores", *chosen)
        with _open_stored(found.folder / f"{split}_xmodal_scores.hdf5", run, split, repair) as scores:
            _refuse_stale(scores, found.label)
            check_unseen(found.folder, run, split, recordings_of(scores.tables.clips), make("training", "--fresh"))
            yield scores
    elif path.suffix in _HDF5:
        with _open_stored(path, run, split, "with postprocessing.xmodal_scores or postprocessing.ensemble") as scores:
            yield scores
    elif not path.is_file() and shelf_of(path) is None:
        raise UserError(f"{path}: no such run or file; name the folder of a run or trial, or a file of scores")
    else:
        yield _foreign(_named(read_foreign_scores(path, queries, files), ids), run, split)


def _trial_of(path: Path) -> TrialCheckpoint:
    """The trial that a folder is, or the best one in it."""
    is_trial = (path / PARAMS_FILE).is_file()
    found = find_trial(path.parent, path.name) if is_trial else find_trial(path)
    if (line := describe_unfinished(found.folder.parent, found.folder.name if is_trial else None)) is not None:
        print(f"{line}; {found.label}, the best so far, is used")
    return found


def _refuse_stale(scores: SplitScores, wanted: str) -> None:
    """Refuse scores of another checkpoint than the chosen one."""
    if scores.label != wanted:
        raise ArtefactError(
            f"{scores.path}: made by {scores.label}, this run wants {wanted}; write it again: {scores.repair}"
        )


@contextlib.contextmanager
def open_trained_scores(trained: TrainedRun[DualEncoderRun]) -> Iterator[SplitScores]:
    """Open the scores of a checkpoint on a split.

    Raises:
        ArtefactError: there are none, or they are of another checkpoint.
    """
    repair = trained.command_for("postprocessing.xmodal_scores")
    with _open_stored(score_file(trained), trained.run, trained.split, repair) as scores:
        _refuse_stale(scores, trained.checkpoint)
        trained.check_unseen(recordings_of(scores.tables.clips))
        yield dataclasses.replace(scores, trained=trained, arguments=trained.arguments)


@contextlib.contextmanager
def _open_stored(path: Path, run: DualEncoderRun, split: str, repair: str) -> Iterator[SplitScores]:
    """A score file of this project, with the tables of its split."""
    with ScoreReader(path, repair) as reader:
        if reader.notes.get("split", split) != split:
            raise ArtefactError(f"{path}: scores of '{reader.notes['split']}', this command wants '{split}'; {repair}")
        tables = read_tables(run.data, split)
        left_out = reader.left_out()
        captions = {c.tid: c for c in tables.captions if c.fid not in left_out}
        clips = {c.fid: c for c in tables.clips if c.fid not in left_out}
        changed = (set(reader.tids) ^ set(captions)) | (set(reader.fids) ^ set(clips))
        if changed:
            raise ArtefactError(
                f"{path}: the scores and the tables of '{split}', which have changed since, differ in "
                f"{len(changed)} ids, such as {min(changed)}; write it again: {repair}"
            )
        rows, columns = [captions[tid] for tid in reader.tids], [clips[fid] for fid in reader.fids]
        label = str(reader.notes.get("checkpoint", path.name))
        yield SplitScores(
            label,
            split,
            path,
            path.parent,
            rows,
            columns,
            tables,
            reader,
            repair=repair,
            left_out=frozenset(left_out),
            why_left_out=str(reader.notes.get(WHY_LEFT_OUT, _REFUSED)),
        )


def _named(found: ForeignScores, ids: Sequence[Path]) -> ForeignScores:
    """Replace the ids of scores by the captions and clips that these tables map them to."""
    if not ids:
        return found
    names = read_id_names(ids)
    return found._replace(
        queries=[names.texts.get(query, query) for query in found.queries],
        files=[names.files.get(file, file) for file in found.files],
    )


def _foreign(found: ForeignScores, run: DualEncoderRun, split: str) -> SplitScores:
    """A file of another system, in the order of the split's tables."""
    path, tables = found.path, read_tables(run.data, split)
    there = captions_among(found.queries, tables.captions)
    if not len(there) and shelf_of(path) is not None:
        raise ArtefactError(
            f"{path}: none of its {len(found.queries)} ids is one of '{split}', such as {found.queries[0]}; name the "
            "<split>_text.csv that they are from with --ids FILE, or take its folder over: "
            f"{make('taken-over-features', '--from', 'DIR')}"
        )
    captions = [tables.captions[row] for row in there] if len(there) else tables.captions
    aligned = align_scores(found, captions, tables.clips)
    for count, what in (
        (len(aligned.duplicate_queries), "rows repeat an earlier one, and are ignored"),
        (aligned.surplus_queries, f"rows are no caption of '{split}', and are ignored"),
        (aligned.surplus_files, f"columns are no clip of '{split}', and are ignored"),
    ):
        if count:
            print(f"{path}: {count} {what}")
    return SplitScores(
        path.name,
        split,
        path,
        run.output_root / FOREIGN / path.name,
        captions,
        tables.clips,
        tables,
        aligned.scores,
        found.depth,
        repair=f"correct {path}",
    )
