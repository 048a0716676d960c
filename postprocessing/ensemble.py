"""Several runs' scores -> their weighted mean, as a score file of its own.

    python -m postprocessing.ensemble runs/a runs/b --name both

A member is an experiment's folder, a trial's folder, a score file of this project, or one of another system (CSV, npz).
The weights are chosen on the validation split; where that is the split that is written too (--split validation), its
own numbers are too good, which is told. Writes <output_root>/<name>/<split>_xmodal_scores.hdf5 (float64), and notes it
in ensemble.json, which keeps what it says of other splits.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, get_args

import numpy as np

from tasks import Commands, command
from tasks.retrieval.dual_encoder import DualEncoderRun
from tasks.retrieval.score_runs import ENSEMBLE_FILE, run_behind
from tasks.retrieval.scores import FOREIGN, SplitScores, open_scores
from tasks.runs import load_run
from tasks.trained import keys_set, split_name
from utils.artefact_utils import write_json
from utils.artefact_utils.retrieval import write_scores
from utils.cli_utils import UserError, check_free_disk
from utils.cli_utils.repairs import make
from utils.config_utils import read_json
from utils.data_utils import read_tables
from utils.metric_utils.ensembles import (
    ChosenWeights,
    Normalisation,
    WeightedMean,
    Weights,
    choose_weights,
    cutoffs_of,
)
from utils.metric_utils.ranking import Relevance
from utils.metric_utils.scores import NonFiniteScoreError, Scores, ScoreSource
from utils.report_utils import print_table

SCRIPT = "postprocessing.ensemble"
_RESERVED = (FOREIGN, "compare")  # folders of other results in output_root


class _Member:
    """Text to audio of one member, which is named when a score is not finite."""

    def __init__(self, scored: SplitScores) -> None:
        self._scored = scored
        self._source: ScoreSource = scored.text_to_audio()
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
            raise self._scored.not_finite(NonFiniteScoreError(start + row, column, float(block[row, column])))


@command
def main(argv: Sequence[str] | None = None) -> None:
    """Choose the weights, write the mean, say what it is made of."""
    conf, args = load_run(argv, _parser(), DualEncoderRun)
    run, commands = run_behind(args.members, conf, keys_set(args.set), Commands.of(args, conf.script_of))
    split = split_name(run, args.split)
    _check_members(args.members)
    folder = _folder(conf, args)
    weights, chosen = args.weights, None
    with commands.completing(), contextlib.ExitStack() as stack:
        opened = [stack.enter_context(open_scores(path, run, split)) for path in args.members]
        _check_alike(opened)
        if weights is None:
            chosen = _chosen(run, opened, args, split)
            weights = chosen.weights
        elif len(weights) != len(opened):
            raise UserError(f"--weights: {len(weights)} numbers for {len(opened)} members; give one each, or auto")
        weights = tuple(weight / sum(weights) for weight in weights)
        path = folder / f"{split}_xmodal_scores.hdf5"
        _write(path, opened, weights, args, run)
    own = Commands.of(args, run.script_of)
    record = _record(path, weights, chosen, args, run, split) | {"command": _command(args, own)}
    _note(folder, split, record)
    _print(weights, chosen, args, run, split)
    chosen_split = [] if split == run.data.splits.eval else ["--split", split]
    print(f"wrote {path} and {folder / ENSEMBLE_FILE}")
    print(f"next: {own.line('postprocessing.xmodal_retrieval', '--scores', str(path), *chosen_split)}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=f"python -m {SCRIPT}", description=__doc__.splitlines()[0])
    parser.add_argument("members", nargs="+", type=Path, metavar="RUN", help="a folder or a file of scores")
    parser.add_argument("--name", required=True, help="of the ensemble: results go to <output_root>/NAME")
    parser.add_argument(
        "--normalise",
        choices=get_args(Normalisation),
        default="zscore",
        help="how each query's scores are made comparable (default zscore)",
    )
    parser.add_argument(
        "--weights", type=_weights, default=None, help="auto (default), or a number a member, such as 0.6,0.4"
    )
    parser.add_argument("--metric", type=_metric, default="mAP@10", help="that auto makes highest (default mAP@10)")
    parser.add_argument("--split", help="name of the split (default: data.splits.eval)")
    parser.add_argument(
        "--validation",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="validation scores of a file of another system; once for each such member, in their order",
    )
    return parser


def _weights(text: str) -> Weights | None:
    """An argparse type: None for auto, else numbers >= 0."""
    if text == "auto":
        return None
    try:
        numbers = tuple(float(part) for part in text.split(","))
    except ValueError:
        numbers = (-1.0,)
    if min(numbers) < 0 or not 0 < sum(numbers) < math.inf:
        raise argparse.ArgumentTypeError(f"expected auto, or numbers from 0 such as 0.6,0.4, got {text}")
    return numbers


def _metric(text: str) -> str:
    """An argparse type: R@k, mAP@k or hit@k."""
    try:
        cutoffs_of(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    return text


def _folder(run: DualEncoderRun, args: argparse.Namespace) -> Path:
    """Where the ensemble is written.

    Raises:
        UserError: a name that is none or taken, or a member's file is there, which would be written over.
    """
    name = args.name
    if not name or "/" in name or name.startswith("."):
        raise UserError(f"--name: needs a plain name, without slashes, not starting with a dot, found '{name}'")
    folder = run.output_root / name
    if name in _RESERVED:
        raise UserError(f"--name: {folder} holds other results; choose another name than {' and '.join(_RESERVED)}")
    if next(folder.glob("*/params.json"), None) is not None:
        raise UserError(f"--name: {folder} is an experiment with trials; choose another name")
    for member in (*args.members, *args.validation):
        if folder.resolve() in (member.resolve(), *member.resolve().parents):
            raise UserError(f"--name: {folder} holds member {member}, which would be written over; choose another name")
    return folder


def _check_members(members: Sequence[Path]) -> None:
    if len(members) < 2:
        raise UserError(f"found one member, {members[0]}; an ensemble needs at least two")
    npy = next((path for path in members if path.suffix.lower() == ".npy"), None)
    if npy is not None:
        raise UserError(f"{npy}: names no queries and files; write an npz with the arrays scores, queries and files")


def _check_alike(opened: Sequence[SplitScores]) -> None:
    """All members must score the same captions against all of the same clips, in one order.

    Raises:
        UserError: they do not.
    """
    for member in opened:
        if member.depth is not None:
            raise UserError(
                f"{member.path}: names only {member.depth} clips a query, but a mean needs the scores of all "
                "clips; give the score matrix of that system"
            )
    first = opened[0]
    for other in opened[1:]:
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


def _chosen(run: DualEncoderRun, opened: Sequence[SplitScores], args: argparse.Namespace, split: str) -> ChosenWeights:
    """The weights that are best on the validation split."""
    validation = run.data.splits.val
    paths = _validation_paths(args, split, validation)
    with contextlib.ExitStack() as stack:
        scored = [stack.enter_context(open_scores(path, run, validation)) for path in paths]
        _check_alike(scored)
        for member, found, path in zip(opened, scored, args.members, strict=True):
            if not _is_foreign(path, split) and found.label != member.label:
                raise UserError(
                    f"{found.path}: made by {found.label}, but {member.path} by {member.label}; write both again with "
                    "one checkpoint"
                )
        rows = np.arange(len(scored[0].captions))
        relevance = Relevance(rows, scored[0].clip_of_caption, len(rows), len(scored[0].clips))
        return choose_weights([_Member(one) for one in scored], relevance, args.metric, args.normalise)


def _is_foreign(path: Path, split: str) -> bool:
    """Whether the validation scores of a member cannot be found from its name."""
    return not path.is_dir() and path.name != f"{split}_xmodal_scores.hdf5"


def _validation_paths(args: argparse.Namespace, split: str, validation: str) -> list[Path]:
    """Where each member's validation scores are.

    Raises:
        UserError: a file of another system comes without them, or those of this project are not there.
    """
    foreign = [path for path in args.members if _is_foreign(path, split)]
    if len(foreign) != len(args.validation):
        names = ", ".join(map(str, foreign)) or "no member"
        raise UserError(
            f"--weights auto chooses on '{validation}': --validation FILE is needed once for each of {names} (in this "
            f"order), found {len(args.validation)}; or give --weights"
        )
    given = iter(args.validation)
    paths = []
    for path in args.members:
        if _is_foreign(path, split):
            paths.append(next(given))
        elif path.is_dir():
            paths.append(path)
        else:
            paths.append(_beside(path, validation))
    return paths


def _beside(path: Path, validation: str) -> Path:
    """The validation scores beside a score file of this project."""
    found = path.with_name(f"{validation}_xmodal_scores.hdf5")
    if found.is_file():
        return found
    folder = path.parent
    if (folder / ENSEMBLE_FILE).is_file():
        raise UserError(f"{found}: no such file; write the ensemble {folder.name} with --split {validation} too")
    trial = (folder / "params.json").is_file()
    chosen = ["--run", str(folder.parent), "--trial", folder.name] if trial else ["--run", str(folder)]
    repair = make("scores", *chosen, "--split", validation)
    raise UserError(f"{found}: no such file; write it: {repair}")


def _write(
    path: Path, opened: Sequence[SplitScores], weights: Weights, args: argparse.Namespace, run: DualEncoderRun
) -> None:
    first = opened[0]
    scored = {clip.fid for clip in first.clips}
    tables = read_tables(run.data, first.split, run.repairs().tables)
    left_out = sorted(clip.fid for clip in tables.clips if clip.fid not in scored)
    names = [_name(member, first.split) for member in args.members]
    parts = " + ".join(f"{weight:g} {name}" for weight, name in zip(weights, names, strict=True))
    check_free_disk(path, 8 * len(first.captions) * len(first.clips), "output_root")
    write_scores(
        path,
        {"tid": [caption.tid for caption in first.captions], "fid": [clip.fid for clip in first.clips]},
        WeightedMean([_Member(one) for one in opened], weights, args.normalise).blocks(),
        {},
        {
            "split": first.split,
            "checkpoint": f"ensemble {args.name} ({args.normalise}: {parts})",
            "left_out": json.dumps(left_out),
        },
        dtype="f8",
    )


def _name(member: Path, split: str) -> str:
    """What a member is called whatever the split: of a score file of this project, its folder."""
    return str(member if _is_foreign(member, split) or member.is_dir() else member.parent)


def _record(
    path: Path,
    weights: Weights,
    chosen: ChosenWeights | None,
    args: argparse.Namespace,
    run: DualEncoderRun,
    split: str,
) -> dict[str, Any]:
    """What ensemble.json says of a split."""
    members = [{"scores": str(member), "weight": weight} for member, weight in zip(args.members, weights, strict=True)]
    record: dict[str, Any] = {
        "members": members,
        "normalise": args.normalise,
        "weights_from": "the command line",
        "scores": str(path),
    }
    if chosen is not None:
        validation = run.data.splits.val
        for member, value in zip(members, chosen.member_values, strict=True):
            member[f"validation_{args.metric}"] = value
        record["weights_from"] = f"{args.metric} of text to audio on '{validation}'"
        if split == validation:
            record["weights_from"] += ", the split that is written: its own numbers are too good"
        record[f"validation_{args.metric}"] = chosen.value
        record[f"validation_{args.metric}_of_even_weights"] = chosen.even_value
    return record


def _note(folder: Path, split: str, record: dict[str, Any]) -> None:
    """Put a split's record into ensemble.json, beside those of other splits; say which were made otherwise."""
    path = folder / ENSEMBLE_FILE
    others = {name: other for name, other in _records(path).items() if name != split}
    write_json(path, {"splits": {**others, split: record}})
    for name, other in others.items():
        if _recipe(other, name) != _recipe(record, split):
            print(
                f"'{name}' of this ensemble was written with other members, weights or normalisation; write it again "
                f"if both belong together: {other['command']}"
            )


def _records(path: Path) -> dict[str, Any]:
    """What ensemble.json says of each split; nothing where it is missing, broken or not of this format."""
    try:
        found = read_json(path)
        records = dict(found["splits"])
        for name, record in records.items():
            _recipe(record, name)
            record["command"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}
    return records


def _recipe(record: dict[str, Any], split: str) -> Any:
    """What must be alike in all splits of an ensemble."""
    members = [(_name(Path(member["scores"]), split), member["weight"]) for member in record["members"]]
    return members, record["normalise"]


def _print(
    weights: Weights, chosen: ChosenWeights | None, args: argparse.Namespace, run: DualEncoderRun, split: str
) -> None:
    """The members with their weights and, where these were chosen, what by."""
    columns, values = ["member", "weight"], [[f"{weight:.2f}"] for weight in weights]
    if chosen is not None:
        columns.append(f"{args.metric} on '{run.data.splits.val}'")
        values = [[*row, f"{value:.4f}"] for row, value in zip(values, chosen.member_values, strict=True)]
    rows = [[str(member), *row] for member, row in zip(args.members, values, strict=True)]
    if chosen is not None:
        rows += [["even weights", "", f"{chosen.even_value:.4f}"], ["ensemble", "", f"{chosen.value:.4f}"]]
    print_table(f"Ensemble {args.name}, scores normalised by '{args.normalise}'", columns, rows)
    if chosen is not None and split == run.data.splits.val:
        print(f"the weights were chosen on '{split}', which is the split that is written: its numbers are too good")


def _command(args: argparse.Namespace, commands: Commands) -> str:
    """The command line that makes the ensemble again."""
    weights = "auto" if args.weights is None else ",".join(f"{weight:g}" for weight in args.weights)
    options = ["--name", args.name, "--normalise", args.normalise, "--weights", weights, "--metric", args.metric]
    options += ["--split", args.split] if args.split else []
    options += [part for path in args.validation for part in ("--validation", str(path))]
    return commands.line(SCRIPT, *map(str, args.members), *options)


if __name__ == "__main__":
    main()
