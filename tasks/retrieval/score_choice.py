"""The scores that a command line of stage 3 chooses: those of a checkpoint, or of a file (`--scores`)."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from tasks.commands import Commands
from tasks.retrieval.dual_encoder import DualEncoderRun
from tasks.retrieval.score_runs import run_behind
from tasks.retrieval.scores import SplitScores, open_scores, open_trained_scores
from tasks.runs import load_run
from tasks.trained import CheckpointChoice, add_checkpoint_arguments, find_trained_run, split_name
from utils.cli_utils import UserError


def add_score_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what chooses a checkpoint's scores, or the file of any other system."""
    add_checkpoint_arguments(parser)
    parser.add_argument(
        "--scores", type=Path, help="scores of another system: CSV, npy, npz, a shelf (.db), or a score file of ours"
    )
    parser.add_argument("--queries", type=Path, help="of an npy: a file with a query a line")
    parser.add_argument("--files", type=Path, help="of an npy: a file with a clip's name a line")
    parser.add_argument(
        "--ids", type=Path, nargs="+", default=[], metavar="FILE", help="of a shelf or of ratings: whose ids these are"
    )


class ScoreChoice(NamedTuple):
    """The score file that a command line names in place of a checkpoint."""

    file: Path | None = None  # None: the scores of a checkpoint
    queries: Path | None = None  # of an npy, the list of its rows
    files: Path | None = None  # of an npy, the list of its columns
    ids: Sequence[Path] = ()

    @classmethod
    def of(cls, args: argparse.Namespace) -> ScoreChoice:
        """Of the arguments that `add_score_arguments` has added.

        Raises:
            UserError: some of them exclude each other.
        """
        chosen = cls(args.scores, args.queries, args.files, args.ids)
        checkpoint = [f"--{name}" for name in ("run", "trial", "checkpoint") if vars(args)[name] is not None]
        if chosen.file is not None and checkpoint:
            raise UserError(f"--scores {chosen.file}: does not go with {', '.join(checkpoint)}; leave one of them out")
        lists = chosen._lists()[::2]
        if lists and (chosen.file is None or chosen.file.suffix != ".npy"):
            raise UserError(
                f"{', '.join(lists)}: only for --scores FILE.npy, which has no names of its own; leave it out"
            )
        return chosen

    def arguments(self) -> list[str]:
        """The same as a command line, without `--ids`."""
        return [] if self.file is None else ["--scores", str(self.file), *self._lists()]

    def _lists(self) -> list[str]:
        given = {"--queries": self.queries, "--files": self.files}
        return [word for name, path in given.items() if path is not None for word in (name, str(path))]


@contextlib.contextmanager
def scores_of_command_line(
    argv: Sequence[str] | None, parser: argparse.ArgumentParser
) -> Iterator[tuple[SplitScores, DualEncoderRun, argparse.Namespace]]:
    """Parse a command line of stage 3, and open the scores that it means.

    Args:
        argv: the arguments; None for those of the process.
        parser: the script's own arguments; those of `add_score_arguments`, `--conf` and `--set` are added.
    Raises:
        UserError: there is no such run or file, or its scores are not those of the split as it is now.
    """
    add_score_arguments(parser)
    conf, args = load_run(argv, parser, DualEncoderRun)
    chosen, checkpoint = ScoreChoice.of(args), CheckpointChoice.of(args)
    if chosen.file is None:
        trained = find_trained_run(conf, checkpoint, DualEncoderRun)
        with trained.commands.completing(), open_trained_scores(trained) as scores:
            yield _with_ids(scores, chosen.ids, scores.arguments), trained.run, args
        return
    run, commands = run_behind([chosen.file], conf, checkpoint.changed, Commands.of(args, conf.script_of))
    split = split_name(run, checkpoint.split)
    opened = open_scores(chosen.file, run, split, chosen.queries, chosen.files, ids=chosen.ids)
    with commands.completing(), opened as scores:
        arguments = [*checkpoint.arguments(), *chosen.arguments()]
        yield _with_ids(scores, chosen.ids, arguments), run, args


def _with_ids(scores: SplitScores, ids: Sequence[Path], arguments: Sequence[str]) -> SplitScores:
    given = ["--ids", *map(str, ids)] if ids else []
    return dataclasses.replace(scores, ids=ids, arguments=[*arguments, *given])
