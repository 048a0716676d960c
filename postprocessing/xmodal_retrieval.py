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

from tasks import command
from tasks.retrieval.evaluation import evaluate_split
from tasks.retrieval.printing import print_results
from tasks.retrieval.results import RetrievalResults, results_of
from tasks.retrieval.score_choice import scores_of_command_line
from tasks.retrieval.scores import SplitScores
from utils.artefact_utils import write_json, write_rows
from utils.metric_utils.protocols import DEFAULT_PROTOCOL, PROTOCOLS
from utils.model_utils import read_history
from utils.report_utils import Panel, plot_curves

SCRIPT = "postprocessing.xmodal_retrieval"
TOP = 10


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
        results = results_of(evaluation, scores, run)
        suffix = f"_{args.protocol}" if args.protocol else ""
        write_results(scores, results, suffix)
        again = [
            word
            for name in ("protocol", "relevance")
            if (value := vars(args)[name])
            for word in (f"--{name}", str(value))
        ]
        print(f"next: {scores.command_for('postprocessing.error_analysis', *again)}")


def write_results(scores: SplitScores, results: RetrievalResults, suffix: str) -> None:
    """Write the JSON, the CSV and the curves; print the tables.

    Args:
        scores: of the split.
        results: what was measured of them.
        suffix: of the JSON file's name.
    """
    metrics = scores.folder / f"{scores.split}_retrieval_metrics{suffix}.json"
    table = scores.folder / f"{scores.split}.t2a_retrieval.csv"
    best_clips = results.evaluation.best_clips
    if len(best_clips) == len(scores.captions):
        names = [clip.fname for clip in scores.clips]
        write_rows(
            table,
            ["caption", *(f"file_name_{n}" for n in range(1, best_clips.shape[1] + 1))],
            (
                [caption.raw_text, *(names[column] for column in best)]
                for caption, best in zip(scores.captions, best_clips, strict=True)
            ),
        )
        print(f"wrote {scores.publish(table)}")
    _plot(scores)
    write_json(metrics, results.as_json())
    print_results(scores, results)
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


def _lines(history: Sequence[Mapping[str, float]], keys: Sequence[str]) -> dict[str, list[float]]:
    return {key: [row[key] for row in history] for key in keys if all(key in row for row in history)}


if __name__ == "__main__":
    main()
