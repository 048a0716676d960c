"""Several runs' scores -> their weighted mean, as a score file of its own.

    python -m postprocessing.ensemble runs/a runs/b --name both

A member is an experiment's folder, a trial's folder, a score file of this project, or one of another system (CSV, npz).
The weights are chosen on the validation split; where that is the split that is written too (--split validation), its
own numbers are too good, and a line says so. Writes <output_root>/<name>/<split>_xmodal_scores.hdf5 (float64), and
notes it in ensemble.json, beside the records of other splits.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from tasks import Commands, command
from tasks.retrieval.dual_encoder import DualEncoderRun
from tasks.retrieval.ensembles import EnsemblePlan, note_ensemble, open_members, weights_of_validation, write_mean
from tasks.retrieval.score_runs import run_behind
from tasks.retrieval.scores import FOREIGN
from tasks.runs import load_run
from tasks.trained import keys_set, split_name
from utils.artefact_utils.retrieval.ensemble_records import ENSEMBLE_FILE, EnsembleMember, EnsembleRecord
from utils.cli_utils import UserError
from utils.metric_utils.ensembles import ChosenWeights, Normalisation, Weights, cutoffs_of
from utils.report_utils import print_table

SCRIPT = "postprocessing.ensemble"
_RESERVED = (FOREIGN, "compare")  # folders of other results in output_root


@command
def main(argv: Sequence[str] | None = None) -> None:
    """Choose the weights, write the mean, say what it is made of."""
    conf, args = load_run(argv, _parser(), DualEncoderRun)
    run, commands = run_behind(args.members, conf, keys_set(args.set), Commands.of(args, conf.script_of))
    split, validation = split_name(run, args.split), run.data.splits.val
    plan = EnsemblePlan(args.members, args.normalise, args.metric, args.validation)
    _check_members(plan.members)
    folder = _folder(conf.output_root, args.name, [*plan.members, *plan.validation])
    path = folder / f"{split}_xmodal_scores.hdf5"
    with commands.completing(), open_members(plan.members, run, split) as members:
        chosen = weights_of_validation(plan, run, members) if args.weights is None else None
        weights = _shares(args.weights if chosen is None else chosen.weights, len(members))
        write_mean(path, members, weights, plan.normalise, plan.label(args.name, weights, split))
    own = Commands.of(args, run.script_of)
    options = _options(args.name, plan, args.weights, args.split)
    record = EnsembleRecord(
        _members(plan, weights, chosen),
        plan.normalise,
        _source_of_weights(plan.metric, chosen, split, validation),
        path,
        own.line(SCRIPT, *map(str, plan.members), *options),
        {} if chosen is None else {plan.metric: chosen.value, f"{plan.metric}_of_even_weights": chosen.even_value},
    )
    for name, other in note_ensemble(folder, split, record):
        print(
            f"'{name}' of this ensemble was written with other members, weights or normalisation; write it again "
            f"if both belong together: {other.command}"
        )
    _print(f"Ensemble {args.name}, scores normalised by '{plan.normalise}'", record, chosen, plan.metric, validation)
    if chosen is not None and split == validation:
        print(f"the weights were chosen on '{split}', which is the split that is written: its numbers are too good")
    print(f"wrote {path} and {folder / ENSEMBLE_FILE}")
    chosen_split = [] if split == run.data.splits.eval else ["--split", split]
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
        numbers = tuple(float(number) for number in text.split(","))
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


def _folder(output_root: Path, name: str, members: Sequence[Path]) -> Path:
    """Where the ensemble is written.

    Args:
        output_root: of the experiments.
        name: of the ensemble.
        members: what it is made of, which must not be written over.
    Raises:
        UserError: a name that is none or taken, or a member is in the folder.
    """
    if not name or "/" in name or name.startswith("."):
        raise UserError(f"--name: needs a plain name, without slashes, not starting with a dot, found '{name}'")
    folder = output_root / name
    if name in _RESERVED:
        raise UserError(f"--name: {folder} holds other results; choose another name than {' and '.join(_RESERVED)}")
    if next(folder.glob("*/params.json"), None) is not None:
        raise UserError(f"--name: {folder} is an experiment with trials; choose another name")
    for member in members:
        if folder.resolve() in (member.resolve(), *member.resolve().parents):
            raise UserError(f"--name: {folder} holds member {member}, which would be written over; choose another name")
    return folder


def _check_members(members: Sequence[Path]) -> None:
    if len(members) < 2:
        raise UserError(f"found one member, {members[0]}; an ensemble needs at least two")
    npy = next((path for path in members if path.suffix.lower() == ".npy"), None)
    if npy is not None:
        raise UserError(f"{npy}: names no queries and files; write an npz with the arrays scores, queries and files")


def _shares(weights: Weights, members: int) -> Weights:
    """The weights with sum 1.

    Raises:
        UserError: they are not one a member.
    """
    if len(weights) != members:
        raise UserError(f"--weights: {len(weights)} numbers for {members} members; give one each, or auto")
    return tuple(weight / sum(weights) for weight in weights)


def _options(name: str, plan: EnsemblePlan, weights: Weights | None, split: str | None) -> list[str]:
    """The options that make the ensemble again."""
    given = "auto" if weights is None else ",".join(f"{weight:g}" for weight in weights)
    options = ["--name", name, "--normalise", plan.normalise, "--weights", given, "--metric", plan.metric]
    options += ["--split", split] if split else []
    return options + [part for path in plan.validation for part in ("--validation", str(path))]


def _members(plan: EnsemblePlan, weights: Weights, chosen: ChosenWeights | None) -> tuple[EnsembleMember, ...]:
    """The members with their weights and, where these were chosen, the metric of each alone."""
    measured = [{}] * len(weights) if chosen is None else [{plan.metric: value} for value in chosen.member_values]
    return tuple(map(EnsembleMember, plan.members, weights, measured))


def _source_of_weights(metric: str, chosen: ChosenWeights | None, split: str, validation: str) -> str:
    """What decided the weights, in words."""
    if chosen is None:
        return "the command line"
    too_good = ", the split that is written: its own numbers are too good" if split == validation else ""
    return f"{metric} of text to audio on '{validation}'{too_good}"


def _print(title: str, record: EnsembleRecord, chosen: ChosenWeights | None, metric: str, validation: str) -> None:
    """The members with their weights and, where these were chosen, the metric that chose them."""
    rows = [[str(m.scores), f"{m.weight:.2f}", *(f"{v:.4f}" for v in m.measured.values())] for m in record.members]
    columns = ["member", "weight"]
    if chosen is not None:
        columns.append(f"{metric} on '{validation}'")
        rows += [["even weights", "", f"{chosen.even_value:.4f}"], ["ensemble", "", f"{chosen.value:.4f}"]]
    print_table(title, columns, rows)


if __name__ == "__main__":
    main()
