"""Scores -> R@1/5/10, mAP@10 and median rank, text to audio and audio to text, beside chance, with 95 % intervals.

    python -m postprocessing.xmodal_retrieval
    python -m postprocessing.xmodal_retrieval --protocol dcase2025
    python -m postprocessing.xmodal_retrieval --scores other_system.csv

Reads <split>_xmodal_scores.hdf5 of the best trial, or the scores of any other system; writes
<split>_retrieval_metrics.json (with --protocol: <split>_retrieval_metrics_<protocol>.json), <split>.t2a_retrieval.csv
(the raw caption and its ten best clips) and learning_curves.png. A CLAP projection is also measured by accuracy@1/3/10
of each clip's own caption among one caption a clip.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tasks import command
from tasks.retrieval.dual_encoder import DualEncoderRun
from tasks.retrieval.evaluation import Direction, Evaluation, evaluate_split
from tasks.retrieval.score_choice import scores_of_command_line
from tasks.retrieval.scores import SplitScores
from utils.artefact_utils import write_json, write_rows
from utils.cli_utils import printable
from utils.metric_utils.pairing import SelectedCandidates, first_caption_of_each_clip, pairing_accuracy
from utils.metric_utils.protocols import DEFAULT_PROTOCOL, PROTOCOLS
from utils.model_utils import read_history
from utils.report_utils import Panel, plot_curves, print_table

SCRIPT = "postprocessing.xmodal_retrieval"
TOP = 10
# The order of the table.
_ROWS = (
    "R",
    "mAP",
    "nDCG",
    "hit",
    "accuracy",
    "batch_accuracy",
    "median_rank",
    "queries",
    "candidates",
    "accuracy_candidates",
    "accuracy_batch",
)
_NOTES = {
    "R": "recall over all of a clip's captions; with five, R@1 cannot exceed 0.2 (DCASE)",
    "hit": "whether the best of a clip's captions is among the first k (LAION-CLAP, WavCaps)",
}


@command
def main(argv: Sequence[str] | None = None) -> None:
    """Rank, measure, print and write."""
    parser = argparse.ArgumentParser(prog=f"python -m {SCRIPT}", description=__doc__.splitlines()[0])
    parser.add_argument("--protocol", choices=sorted(PROTOCOLS), help=f"of which year (default {DEFAULT_PROTOCOL})")
    parser.add_argument(
        "--relevance", type=Path, help="CSV with the relevant clips of every query (query, audio_filenames)"
    )
    with scores_of_command_line(argv, parser) as (scores, run, args):
        protocol = PROTOCOLS[args.protocol or DEFAULT_PROTOCOL]
        evaluation = evaluate_split(scores, run, protocol, args.relevance, min(TOP, scores.depth or TOP))
        report = report_of(evaluation, scores, run)
        suffix = f"_{args.protocol}" if args.protocol else ""
        write_results(scores, evaluation, report, suffix)
        again = [
            part
            for name in ("protocol", "relevance")
            if (value := vars(args)[name])
            for part in (f"--{name}", str(value))
        ]
        print(f"next: {scores.command_for('postprocessing.error_analysis', *again)}")


def report_of(evaluation: Evaluation, scores: SplitScores, run: DualEncoderRun) -> dict[str, Any]:
    """Everything that was measured, as JSON holds it."""
    directions = _directions(evaluation)
    report: dict[str, Any] = {
        **{name: direction.metrics() for name, direction in directions.items()},
        "chance": {name: direction.chance() for name, direction in directions.items()},
        "intervals": {"level": 0.95, **{name: direction.intervals() for name, direction in directions.items()}},
        **_ceiling(evaluation),
        "protocol": {"name": evaluation.protocol.name, "leading": evaluation.protocol.leading},
        "left_out": {
            "clips": len(scores.left_out),
            "captions": len(scores.tables.captions) - len(scores.captions_to_score),
        },
        "made_from": {"split": scores.split, "checkpoint": scores.label, "scores": str(scores.path)},
    }
    if run.accuracy_cutoffs and "audio_to_text" in directions:
        _add_accuracy(report, scores, run)
    matched = evaluation.judgements.matched
    if matched is not None:
        report["relevance"] = {
            "file": str(evaluation.judgements.file),
            "queries": len(matched.rows),
            "relevant_pairs": len(matched.item_index),
            "mean_relevant": len(matched.item_index) / len(matched.rows),
            "unmatched": matched.unmatched,
            "duplicates": matched.duplicates,
            "unknown_files": matched.unknown_files,
            "without_clips": matched.without_clips,
        }
    return report


def _ceiling(evaluation: Evaluation) -> dict[str, Any]:
    """What captions that several clips have leave to be reached; nothing where there are none."""
    if evaluation.shared is None:
        return {}
    return {"ceiling": {"text_to_audio": evaluation.shared.ceiling, "captions": int(evaluation.shared.is_shared.sum())}}


def _directions(evaluation: Evaluation) -> dict[str, Direction]:
    directions = {"text_to_audio": evaluation.text_to_audio}
    if evaluation.audio_to_text is not None:
        directions["audio_to_text"] = evaluation.audio_to_text
    return directions


def _add_accuracy(report: dict[str, Any], scores: SplitScores, run: DualEncoderRun) -> None:
    """Put accuracy@k of each clip's own caption, and its chance, beside the other numbers of audio to text."""
    first = first_caption_of_each_clip(scores.clip_of_caption, len(scores.clips))
    batch_size = min(run.training.batch_size, len(first))
    source = SelectedCandidates(scores.audio_to_text(), first)
    accuracy = pairing_accuracy(source, batch_size, cutoffs=run.accuracy_cutoffs)
    report["audio_to_text"] |= {**accuracy.measured, "accuracy_candidates": len(first), "accuracy_batch": batch_size}
    report["chance"]["audio_to_text"] |= accuracy.chance
    report["chance_drawn"] = {"audio_to_text": accuracy.chance_drawn}
    report["factor_over_chance"] = {"audio_to_text": accuracy.factor}


def write_results(scores: SplitScores, evaluation: Evaluation, report: dict[str, Any], suffix: str) -> None:
    """Write the JSON, the CSV and the curves; print the table and the next command."""
    metrics = scores.folder / f"{scores.split}_retrieval_metrics{suffix}.json"
    table = scores.folder / f"{scores.split}.t2a_retrieval.csv"
    if len(evaluation.judgements.rows) == len(scores.captions):
        width = evaluation.best_clips.shape[1]
        names = [clip.fname for clip in scores.clips]
        rows = zip(scores.captions, evaluation.best_clips, strict=True)
        write_rows(
            table,
            ["caption", *(f"file_name_{n}" for n in range(1, width + 1))],
            ([caption.raw_text, *(names[column] for column in best)] for caption, best in rows),
        )
        print(f"wrote {scores.publish(table)}")
    _plot(scores)
    write_json(metrics, report)
    _print(scores, evaluation, report)
    print(f"wrote {scores.publish(metrics)}")


def _plot(scores: SplitScores) -> None:
    """Write learning_curves.png: what the trial's epochs measured, loss and accuracy side by side."""
    trained = scores.trained
    history = [] if trained is None else read_history(trained.trial.folder)
    if trained is None or not history:
        return  # scores of another system, or a trial that was not trained under Ray Tune
    path = trained.trial.folder / "learning_curves.png"
    accuracies = [f"a2t_accuracy@{k}" for k in trained.run.accuracy_cutoffs]
    losses = _lines(history, ["train_loss", "val_loss", "train_pass_loss", "eval_pass_loss"])
    # the passes are measured as validation is; train_loss is of training's own batches, which InfoNCE depends on
    title = "loss" if "train_loss" not in losses else "loss (train_loss: of other batches than the others)"
    panels = [
        Panel(title, losses),
        Panel("validation, text to audio", _lines(history, ["mAP@10", "R@1", "R@10"])),
        Panel("validation, clip to its own caption", _lines(history, accuracies)),
    ]
    if not any(panel.lines for panel in panels):
        return  # rows that were edited, without any of these numbers
    title = f"{trained.trial.folder.parent.name}, {trained.trial.folder.name}"
    plot_curves(path, title, [int(row["epoch"]) for row in history], panels, trained.trial.checkpoint.epoch)
    print(f"wrote {scores.publish(path)}")


def _lines(history: Sequence[dict[str, Any]], keys: Sequence[str]) -> dict[str, list[float]]:
    return {key: [row[key] for row in history] for key in keys if all(key in row for row in history)}


def _print(scores: SplitScores, evaluation: Evaluation, report: dict[str, Any]) -> None:
    """A table for each direction: the number, its interval, and chance."""
    leading, left_out = evaluation.protocol.leading, report["left_out"]
    if left_out["clips"]:
        print(
            f"{left_out['clips']} clips and {left_out['captions']} captions of '{scores.split}' are left out of all "
            "numbers: the frozen encoder refused them"
        )
    print(f"\n'{scores.split}', {scores.label}; {evaluation.protocol.name}, {leading} of text to audio leads")
    for name in _directions(evaluation):
        rows = [[key, *_cells(report, name, key)] for key in sorted(report[name], key=_order)]
        print_table(
            f"Retrieval, {name.replace('_', ' ')}", ["", "", f"95 % {evaluation.protocol.interval}", "chance"], rows
        )
    if evaluation.shared is not None:
        print(evaluation.shared.describe())
    if evaluation.audio_to_text is not None:
        for metric, note in _NOTES.items():
            print(f"{metric}@k of audio to text: {note}")
    factors = report.get("factor_over_chance", {}).get("audio_to_text", {})
    if factors:
        print("over chance: " + ", ".join(f"{key} {factor:.1f} x" for key, factor in factors.items()))
    _print_relevance(report.get("relevance", {}))


def _print_relevance(relevance: Mapping[str, Any]) -> None:
    """What of the relevance lists could not be used."""
    if not relevance:
        return
    print(f"{relevance['file']}: {relevance['queries']} queries, {relevance['mean_relevant']:.2f} relevant clips each")
    for key, what in (
        ("unmatched", "queries are no caption of the split"),
        ("duplicates", "queries stand twice or are shared by captions; the first one counts"),
        ("unknown_files", "relevant files are no clip of the split"),
        ("without_clips", "queries have no relevant clip in the split"),
    ):
        if relevance[key]:
            print(f"  {len(relevance[key])} {what}, such as '{printable(relevance[key][0])}'")


def _cells(report: dict[str, Any], direction: str, key: str) -> list[str]:
    interval = report["intervals"][direction][PROTOCOLS[report["protocol"]["name"]].interval].get(key)
    between = "" if interval is None else f"{_cell(interval[0])} - {_cell(interval[1])}"
    return [_cell(report[direction].get(key)), between, _cell(report["chance"][direction].get(key))]


def _order(key: str) -> tuple[int, int]:
    """R@1, R@5, ..., mAP@10, ..., hit@1, ..., median_rank, queries, candidates."""
    name, _, k = key.partition("@")
    return (_ROWS.index(name), int(k or 0))


def _cell(value: float | None) -> str:
    if value is None:
        return ""
    if isinstance(value, int) or value >= 100:
        return f"{value:.10g}"
    return f"{value:.4f}" if value < 2 else f"{value:.2f}"


if __name__ == "__main__":
    main()
