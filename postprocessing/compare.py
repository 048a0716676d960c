"""Two systems on the same split: the difference of every metric, how sure it is, and which queries changed most.

    python -m postprocessing.compare runs/demo runs/demo-clap
    python -m postprocessing.compare runs/demo other_system.csv --protocol dcase2025

Each is an experiment's folder (its best trial), a trial's folder, a score file, or the file of another system. The
difference is B - A; intervals by paired bootstrap and p-values by permutation, both of clips with all their captions.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tasks import Commands, command, load_run
from tasks.retrieval.dual_encoder import DualEncoderRun
from tasks.retrieval.evaluation import Direction, Evaluation, evaluate_split
from tasks.retrieval.score_runs import run_behind
from tasks.retrieval.scores import SplitScores, open_scores
from tasks.trained import keys_set, split_name
from utils.artefact_utils import write_json, write_rows
from utils.cli_utils import UserError, positive
from utils.metric_utils.comparison import Comparison, compare_paired
from utils.metric_utils.protocols import DEFAULT_PROTOCOL, PROTOCOLS
from utils.metric_utils.retrieval import best_ranks
from utils.report_utils import print_table

SCRIPT = "postprocessing.compare"
Change = tuple[str, str, int, int, float]  # caption, its clip, rank in A, in B, change of the reciprocal rank
Indices = NDArray[np.int64]
FOLDER = "compare"  # of output_root
_SHOWN = 5


@command
def main(argv: Sequence[str] | None = None) -> None:
    """Measure both, compare, print and write."""
    parser = argparse.ArgumentParser(prog=f"python -m {SCRIPT}", description=__doc__.splitlines()[0])
    parser.add_argument("runs", nargs=2, type=Path, metavar="RUN", help="folder of a run or trial, or a file of scores")
    parser.add_argument("--split", help="name of the split (default: data.splits.eval)")
    parser.add_argument("--protocol", choices=sorted(PROTOCOLS), default=DEFAULT_PROTOCOL, help="what is measured")
    parser.add_argument("--relevance", type=Path, help="CSV with the relevant clips of every query")
    parser.add_argument("--resamples", type=positive, default=10_000, help="of bootstrap and permutation (10 000)")
    conf, args = load_run(argv, parser, DualEncoderRun)
    run, commands = run_behind(args.runs, conf, keys_set(args.set), Commands.of(args, conf.script_of))
    split = split_name(run, args.split)
    protocol = PROTOCOLS[args.protocol]
    for path in args.runs:
        if path.suffix == ".npy":
            raise UserError(f"{path}: has no names of rows and columns; save an npz with scores, queries and files")
    first, second = (open_scores(path, run, split) for path in args.runs)
    with commands.completing(), first as a, second as b:
        both = [Measured(scores, evaluate_split(scores, run, protocol, args.relevance, 1)) for scores in (a, b)]
        stem = "_vs_".join(names_of(args.runs)) + f"_{split}"
        if protocol.name != DEFAULT_PROTOCOL:
            stem += f"_{protocol.name}"
        write_comparison(conf.output_root / FOLDER / stem, names_of(args.runs), both, args.resamples)


class Measured(NamedTuple):
    """One of the two systems."""

    scores: SplitScores
    evaluation: Evaluation

    def queries(self) -> list[str]:
        """The tid of each query of text to audio."""
        return [self.scores.captions[row].tid for row in self.evaluation.judgements.rows]

    def clips(self) -> list[str]:
        """The fid of each clip."""
        return [clip.fid for clip in self.scores.clips]


def names_of(runs: Sequence[Path]) -> list[str]:
    """Name the two systems by the last folder or file of their paths, or by the last two where these are equal."""
    names = [path.absolute().name for path in runs]
    return names if names[0] != names[1] else [f"{path.absolute().parent.name}_{path.name}" for path in runs]


def write_comparison(path: Path, names: Sequence[str], both: Sequence[Measured], resamples: int) -> None:
    """Print the tables; write <a>_vs_<b>_<split>.json and .csv.

    Raises:
        UserError: the systems have scored other clips, or other captions.
    """
    one, two = both
    _refuse_others(one, two)
    forward = compared(
        (one.evaluation.text_to_audio, two.evaluation.text_to_audio), _places(one.queries(), two.queries()), resamples
    )
    report: dict[str, Any] = {"a": one.scores.label, "b": two.scores.label, "text_to_audio": _plain(forward)}
    _print("text to audio", names, forward)
    backward = one.evaluation.audio_to_text, two.evaluation.audio_to_text
    if backward[0] is not None and backward[1] is not None:
        table = compared((backward[0], backward[1]), _places(one.clips(), two.clips()), resamples)
        report["audio_to_text"] = _plain(table)
        _print("audio to text", names, table)
    protocol = one.evaluation.protocol
    report["protocol"] = {"name": protocol.name, "leading": protocol.leading}
    changes = changed_queries(one, two)
    _print_changes(names, changes)
    table_file, report_file = (path.with_name(f"{path.name}.{suffix}") for suffix in ("csv", "json"))
    write_rows(table_file, ["caption", "file_name", "rank_a", "rank_b", "gain"], changes)
    write_json(report_file, report)
    print(f"wrote {table_file} (every query, most changed first)\nwrote {report_file}")


def _refuse_others(one: Measured, two: Measured) -> None:
    """Refuse systems that did not rank the same clips for the same queries; their order may differ."""
    for what, ids in (("clips", (one.clips(), two.clips())), ("queries", (one.queries(), two.queries()))):
        if set(ids[0]) != set(ids[1]):
            raise UserError(
                f"{one.scores.path} has {len(ids[0])} {what}, {two.scores.path} {len(ids[1])}, and not the same ones; "
                "compare systems that were scored on the same tables"
            )


def _places(ids: Sequence[str], others: Sequence[str]) -> Indices:
    """Find the position of each of `ids` among the others."""
    place = {other: number for number, other in enumerate(others)}
    return np.array([place[id_] for id_ in ids], np.int64)


def compared(directions: tuple[Direction, Direction], places: Indices, resamples: int) -> dict[str, Comparison]:
    """Compare every metric that both have; `places`: the positions of the first one's queries in the second."""
    one, two = (direction.values() for direction in directions)
    shared = [key for key in one if key in two]  # a ranked list knows fewer
    a, b = {key: one[key] for key in shared}, {key: two[key][places] for key in shared}
    return compare_paired(a, b, directions[0].clusters, resamples)


def changed_queries(one: Measured, two: Measured) -> list[Change]:
    """List every query with the rank of its best relevant clip in both, sorted by the change of the reciprocal rank.

    Where a system gives ranked lists of limited length, a rank beyond that length counts as length + 1 in both.
    """
    ranks = [best_ranks(d.ranks, d.query_index, d.shape[0]) for d in (m.evaluation.text_to_audio for m in (one, two))]
    depth = min(m.scores.depth or len(m.scores.clips) for m in (one, two))
    before = np.minimum(ranks[0], depth + 1)
    after = np.minimum(ranks[1][_places(one.queries(), two.queries())], depth + 1)
    gain = 1 / after - 1 / before
    captions = [one.scores.captions[row] for row in one.evaluation.judgements.rows]
    return [
        (captions[q].raw_text, captions[q].fname, int(before[q]), int(after[q]), round(float(gain[q]), 6))
        for q in np.argsort(-np.abs(gain), kind="stable")
    ]


def _plain(compared: dict[str, Comparison]) -> dict[str, dict[str, object]]:
    return {key: {**row._asdict(), "interval": list(row.interval)} for key, row in compared.items()}


def _print(direction: str, names: Sequence[str], compared: dict[str, Comparison]) -> None:
    rows = [
        [
            key,
            f"{row.a:.4f}",
            f"{row.b:.4f}",
            f"{row.difference:+.4f}",
            f"{row.interval.low:+.3f} {row.interval.high:+.3f}",
            f"{row.p_value:.4f}",
        ]
        for key, row in compared.items()
    ]
    print_table(f"B - A, {direction}", ["", f"A: {names[0]}", f"B: {names[1]}", "difference", "95 %", "p"], rows)


def _print_changes(names: Sequence[str], changes: Sequence[Change]) -> None:
    """Print the queries that improved, and that got worse, most."""
    for title, rows in (
        (f"better in {names[1]}", [row for row in changes if row[4] > 0]),
        (f"worse in {names[1]}", [row for row in changes if row[4] < 0]),
    ):
        first: dict[str, Change] = {}  # a caption that several clips have is shown once, where it changed most
        for row in rows:
            first.setdefault(row[0].strip(), row)
        if rows:
            cells = [[caption, before, after] for caption, _, before, after, _ in list(first.values())[:_SHOWN]]
            print_table(f"{len(rows)} queries {title}, such as", ["query", "rank in A", "in B"], cells)


if __name__ == "__main__":
    main()
