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

import numpy as np

from tasks import load_run
from tasks.evaluation import Direction, Evaluation, evaluate_split
from tasks.scored import ScoredSplit, open_scores_of
from tasks.trained import split_name
from utils.artefact_utils import write_json, write_rows
from utils.cli_utils import UserError, command, positive
from utils.metric_utils import DEFAULT_PROTOCOL, PROTOCOLS, Comparison, compare_paired
from utils.report_utils import print_table

SCRIPT = "postprocessing.compare"
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
    run, args = load_run(argv, parser)
    split = split_name(run, args.split)
    protocol = PROTOCOLS[args.protocol]
    one, two = args.runs
    with open_scores_of(one, run, split) as a, open_scores_of(two, run, split) as b:
        both = [in_order_of(a, scored) for scored in (a, b)]
        evaluations = [evaluate_split(scored, run, protocol, args.relevance, 1) for scored in both]
        names = [f"{path.name}" for path in args.runs]
        write_comparison(run.output_root / FOLDER, names, both, evaluations, args.resamples)


def in_order_of(wanted: ScoredSplit, scored: ScoredSplit) -> ScoredSplit:
    """The same scores; both must be of the same captions and clips, in the same order.

    Raises:
        UserError: they are not.
    """
    ids = [[c.tid for c in s.captions] + [c.fid for c in s.clips] for s in (wanted, scored)]
    if ids[0] != ids[1]:
        raise UserError(
            f"{wanted.path} scores {len(wanted.captions)} captions x {len(wanted.clips)} clips of '{wanted.split}', "
            f"{scored.path} {len(scored.captions)} x {len(scored.clips)}: not the same ones; compare systems that were "
            "scored on the same tables"
        )
    return scored


def write_comparison(
    folder: Path,
    names: Sequence[str],
    scored: Sequence[ScoredSplit],
    evaluations: Sequence[Evaluation],
    resamples: int,
) -> None:
    """Print both tables; write <a>_vs_<b>.json and .csv."""
    stem = f"{names[0]}_vs_{names[1]}_{scored[0].split}"
    forward = _compared(evaluations[0].text_to_audio, evaluations[1].text_to_audio, resamples)
    report = {"a": scored[0].label, "b": scored[1].label, "text_to_audio": _plain(forward)}
    _print("text to audio", names, forward)
    backward = [evaluation.audio_to_text for evaluation in evaluations]
    if backward[0] is not None and backward[1] is not None:
        compared = _compared(backward[0], backward[1], resamples)
        report["audio_to_text"] = _plain(compared)
        _print("audio to text", names, compared)
    protocol = evaluations[0].protocol
    report["protocol"] = {"name": protocol.name, "leading": protocol.leading}
    changes = changed_queries(scored[0], evaluations)
    _print_changes(names, changes)
    write_rows(folder / f"{stem}.csv", ["caption", "file_name", "rank_a", "rank_b", "gain"], changes)
    write_json(folder / f"{stem}.json", report)
    print(f"wrote {folder / f'{stem}.csv'} (every query, most changed first)\nwrote {folder / f'{stem}.json'}")


def _compared(a: Direction, b: Direction, resamples: int) -> dict[str, Comparison]:
    one, two = a.values(), b.values()
    shared = [key for key in one if key in two]  # a ranked list knows fewer
    return compare_paired({k: one[k] for k in shared}, {k: two[k] for k in shared}, a.clusters, resamples)


def changed_queries(scored: ScoredSplit, evaluations: Sequence[Evaluation]) -> list[tuple[str, str, int, int, float]]:
    """Every query with the rank of its best relevant clip in both, by how much its reciprocal rank changed."""
    ranks = [_best_ranks(evaluation.text_to_audio) for evaluation in evaluations]
    gain = 1 / ranks[1] - 1 / ranks[0]
    rows = evaluations[0].judgements.rows
    own = scored.clip_of_caption
    return [
        (
            scored.captions[rows[q]].raw_text,
            scored.clips[own[rows[q]]].fname,
            int(ranks[0][q]),
            int(ranks[1][q]),
            round(float(gain[q]), 6),
        )
        for q in np.argsort(-np.abs(gain), kind="stable")
    ]


def _best_ranks(direction: Direction) -> np.ndarray:
    best = np.full(direction.shape[0], direction.shape[1])
    np.minimum.at(best, direction.query_index, direction.ranks)
    return best


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


def _print_changes(names: Sequence[str], changes: Sequence[tuple[str, str, int, int, float]]) -> None:
    """The queries that gained, and that lost, most."""
    for title, rows in (
        (f"better in {names[1]}", [row for row in changes if row[4] > 0]),
        (f"worse in {names[1]}", [row for row in changes if row[4] < 0]),
    ):
        if rows:
            cells = [[caption, before, after] for caption, _, before, after, _ in rows[:_SHOWN]]
            print_table(f"{len(rows)} queries {title}, such as", ["query", "rank in A", "in B"], cells)


if __name__ == "__main__":
    main()
