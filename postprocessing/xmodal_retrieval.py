"""Scores -> R@1/5/10, mAP@10 and median rank, text to audio and audio to text, beside chance.

    python -m postprocessing.xmodal_retrieval

Reads <split>_xmodal_scores.hdf5 of the best trial; writes <split>_retrieval_metrics.json, <split>.t2a_retrieval.csv
(the raw caption and its ten best clips) and learning_curves.png. A CLAP projection is also measured by accuracy@1/3/10
of each clip's own caption among one caption a clip.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks import Trained, load_trained
from utils.artefact_utils import Caption, ScoreReader, write_json, write_rows
from utils.cli_utils import ArtefactError, UserError, command
from utils.data_utils import read_tables
from utils.metric_utils import (
    AUDIO_TO_TEXT,
    TEXT_TO_AUDIO,
    Cutoffs,
    NonFiniteScoreError,
    Relevance,
    SelectedCandidates,
    chance_metrics,
    first_caption_of_each_clip,
    pairing_accuracy,
    rank_and_top_k,
    retrieval_metrics,
)
from utils.model_utils import read_history
from utils.report_utils import Panel, plot_curves, print_table

SCRIPT = "postprocessing.xmodal_retrieval"
TOP = 10
# The order of the table.
_ROWS = (
    "R",
    "mAP",
    "hit",
    "accuracy",
    "batch_accuracy",
    "median_rank",
    "queries",
    "candidates",
    "accuracy_candidates",
    "accuracy_batch",
)

Indices = NDArray[np.int64]


@command
def main(argv: Sequence[str] | None = None) -> None:
    """Rank, measure, print and write."""
    parser = argparse.ArgumentParser(prog=f"python -m {SCRIPT}", description=__doc__.splitlines()[0])
    trained, _ = load_trained(argv, parser)
    with ScoreReader(trained.scores, trained.command_for("postprocessing.xmodal_scores")) as reader:
        _check_origin(reader, trained)
        write_metrics(reader, trained)


def _check_origin(reader: ScoreReader, trained: Trained) -> None:
    found = reader.notes["checkpoint"]
    if found != trained.checkpoint:
        raise ArtefactError(
            f"{trained.scores}: made by {found}, this run wants {trained.checkpoint}; write it again: "
            f"{trained.command_for('postprocessing.xmodal_scores')}"
        )


def write_metrics(reader: ScoreReader, trained: Trained) -> None:
    """Measure both directions; print the table, write the JSON and the CSV.

    Raises:
        UserError: a score is not finite, or the tables of the split are not those that were scored.
    """
    captions, fnames = _names(reader, trained)
    columns = {fid: column for column, fid in enumerate(reader.fids)}
    rows = np.arange(len(captions))
    clips = np.array([columns[caption.fid] for caption in captions], np.int64)
    shape = (len(captions), len(fnames))
    try:
        t2a = rank_and_top_k(reader.text_to_audio(), Relevance(rows, clips, *shape), TOP)
    except NonFiniteScoreError as error:
        raise UserError(
            f"{trained.scores}: the score of caption '{captions[error.query].raw_text}' and clip "
            f"'{fnames[error.candidate]}' is {error.value}, expected a finite number; write it again: "
            f"{trained.command_for('postprocessing.xmodal_scores')}"
        ) from error
    backward = Relevance(clips, rows, *shape[::-1])
    a2t = rank_and_top_k(reader.audio_to_text(), backward, 0)
    report: dict[str, Any] = {
        "text_to_audio": _direction(t2a.ranks, rows, shape, TEXT_TO_AUDIO),
        "audio_to_text": _direction(a2t.ranks, clips, shape[::-1], AUDIO_TO_TEXT),
        "chance": {
            "text_to_audio": chance_metrics(np.ones(shape[0], np.int64), shape[1], TEXT_TO_AUDIO),
            "audio_to_text": chance_metrics(backward.counts, shape[0], AUDIO_TO_TEXT),
        },
        "made_from": {"split": trained.split, "checkpoint": trained.checkpoint, "scores": str(trained.scores)},
    }
    if trained.run.accuracy_cutoffs:
        _add_accuracy(report, reader, trained, clips)
    _write(trained, report, captions, [[fnames[i] for i in row] for row in t2a.top_index])


def _add_accuracy(report: dict[str, Any], reader: ScoreReader, trained: Trained, clips: Indices) -> None:
    """Put accuracy@k of each clip's own caption, and its chance, beside the other numbers of audio to text."""
    first = first_caption_of_each_clip(clips, len(reader.fids))
    batch_size = min(trained.run.training.batch_size, len(first))
    source = SelectedCandidates(reader.audio_to_text(), first)
    accuracy = pairing_accuracy(source, batch_size, cutoffs=trained.run.accuracy_cutoffs)
    report["audio_to_text"] |= {**accuracy.measured, "accuracy_candidates": len(first), "accuracy_batch": batch_size}
    report["chance"]["audio_to_text"] |= accuracy.chance
    report["chance_drawn"] = {"audio_to_text": accuracy.chance_drawn}
    report["factor_over_chance"] = {"audio_to_text": accuracy.factor}


def _names(reader: ScoreReader, trained: Trained) -> tuple[list[Caption], list[str]]:
    """The captions of the rows and the file names of the columns."""
    repair = trained.command_for("postprocessing.xmodal_scores")
    tables = read_tables(trained.run.data, trained.split)
    left_out = reader.left_out()
    captions = {c.tid: c for c in tables.captions if c.fid not in left_out}
    fnames = {c.fid: c.fname for c in tables.clips if c.fid not in left_out}
    changed = (set(reader.tids) ^ set(captions)) | (set(reader.fids) ^ set(fnames))
    if changed:
        raise ArtefactError(
            f"{trained.scores}: the scores and the tables of '{trained.split}', which have changed since, differ in "
            f"{len(changed)} ids, such as {min(changed)}; write it again: {repair}"
        )
    return [captions[tid] for tid in reader.tids], [fnames[fid] for fid in reader.fids]


def _direction(ranks: Indices, queries: Indices, shape: tuple[int, int], cutoffs: Cutoffs) -> dict[str, float]:
    return {**retrieval_metrics(ranks, queries, shape[0], cutoffs), "queries": shape[0], "candidates": shape[1]}


def _write(trained: Trained, report: dict[str, Any], captions: Sequence[Caption], best: Sequence[list[str]]) -> None:
    metrics = trained.trial.folder / f"{trained.split}_retrieval_metrics.json"
    table = trained.trial.folder / f"{trained.split}.t2a_retrieval.csv"
    width = len(best[0])
    write_rows(
        table,
        ["caption", *(f"file_name_{n}" for n in range(1, width + 1))],
        ([caption.raw_text, *names] for caption, names in zip(captions, best, strict=True)),
    )
    write_json(metrics, report)
    _print(trained, report)
    print(f"wrote {trained.publish(table)}")
    _plot(trained)
    print(f"wrote {trained.publish(metrics)}")
    print(f"next: {trained.command_for('postprocessing.search', 'a dog barks twice')}")


def _plot(trained: Trained) -> None:
    """Write learning_curves.png: what the trial's epochs measured, loss and accuracy side by side."""
    history = read_history(trained.trial.folder)
    if not history:
        return  # a trial that was not trained under Ray Tune keeps none
    path = trained.trial.folder / "learning_curves.png"
    panels = [
        Panel("loss", _lines(history, ["train_loss", "val_loss"])),
        Panel("validation, text to audio", _lines(history, ["mAP@10", "R@1", "R@10"])),
        Panel(
            "validation, clip to its own caption",
            _lines(history, [f"a2t_accuracy@{k}" for k in trained.run.accuracy_cutoffs]),
        ),
    ]
    title = f"{trained.trial.folder.parent.name}, {trained.trial.folder.name}"
    plot_curves(path, title, [row["epoch"] for row in history], panels, trained.trial.checkpoint.epoch)
    print(f"wrote {trained.publish(path)}")


def _lines(history: Sequence[dict[str, Any]], keys: Sequence[str]) -> dict[str, list[float]]:
    return {key: [row[key] for row in history] for key in keys if all(key in row for row in history)}


def _print(trained: Trained, report: dict[str, Any]) -> None:
    """The table: a column for each direction, chance beside it."""
    chance = report["chance"]
    rows = []
    for key in sorted({*report["text_to_audio"], *report["audio_to_text"]}, key=_order):
        cells = [key]
        for direction in ("text_to_audio", "audio_to_text"):
            cells += [_cell(report[direction].get(key)), _cell(chance[direction].get(key))]
        rows.append(cells)
    factors = report.get("factor_over_chance", {}).get("audio_to_text", {})
    columns = ["", "text to audio", "chance", "audio to text", "chance"]
    print_table(f"Retrieval on '{trained.split}', {trained.checkpoint}", columns, rows)
    if factors:
        shown = ", ".join(f"{key} {factor:.1f} x" for key, factor in factors.items())
        print(f"over chance: {shown}")


def _order(key: str) -> tuple[int, int]:
    """R@1, R@5, ..., mAP@10, ..., hit@1, ..., median_rank, queries, candidates."""
    name, _, k = key.partition("@")
    return (_ROWS.index(name), int(k or 0))


def _cell(value: float | None) -> str:
    if value is None:
        return ""
    return str(value) if isinstance(value, int) else f"{value:.4f}"


if __name__ == "__main__":
    main()
