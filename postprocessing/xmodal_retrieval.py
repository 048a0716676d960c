"""Scores -> R@1/5/10, mAP@10 and median rank, text to audio and audio to text, beside chance.

    python -m postprocessing.xmodal_retrieval

Reads <split>_xmodal_scores.hdf5 of the best trial; writes <split>_retrieval_metrics.json and
<split>.t2a_retrieval.csv (the raw caption and its ten best clips).
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks import Trained, load_trained
from utils.artefact_utils import Caption, ScoreReader, read_clips, read_text_table, write_json, write_rows
from utils.cli_utils import ArtefactError, UserError, command, command_for
from utils.metric_utils import (
    AUDIO_TO_TEXT,
    TEXT_TO_AUDIO,
    Cutoffs,
    NonFiniteScoreError,
    Relevance,
    chance_metrics,
    rank_and_top_k,
    retrieval_metrics,
)
from utils.report_utils import print_table

SCRIPT = "postprocessing.xmodal_retrieval"
TOP = 10

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
    report = {
        "text_to_audio": _direction(t2a.ranks, rows, shape, TEXT_TO_AUDIO),
        "audio_to_text": _direction(a2t.ranks, clips, shape[::-1], AUDIO_TO_TEXT),
        "chance": {
            "text_to_audio": chance_metrics(np.ones(shape[0], np.int64), shape[1], TEXT_TO_AUDIO),
            "audio_to_text": chance_metrics(backward.counts, shape[0], AUDIO_TO_TEXT),
        },
        "made_from": {"split": trained.split, "checkpoint": trained.checkpoint, "scores": str(trained.scores)},
    }
    _write(trained, report, captions, [[fnames[i] for i in row] for row in t2a.top_index])


def _names(reader: ScoreReader, trained: Trained) -> tuple[list[Caption], list[str]]:
    """The captions of the rows and the file names of the columns."""
    data = trained.run.data
    repair = trained.command_for("postprocessing.xmodal_scores")
    tables = command_for("preprocessing.clotho_dataset")
    captions = {c.tid: c for c in read_text_table(data.text_table(trained.split), tables)}
    fnames = {c.fid: c.fname for c in read_clips(data.audio_info, trained.split, tables)}
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
    print(f"wrote {trained.publish(table)}\nwrote {trained.publish(metrics)}")
    print(f"next: {trained.command_for('postprocessing.search', 'a dog barks twice')}")


def _print(trained: Trained, report: dict[str, Any]) -> None:
    """The table: a column for each direction, chance beside it."""
    chance = report["chance"]
    rows = []
    for key in sorted({*report["text_to_audio"], *report["audio_to_text"]}, key=_order):
        cells = [key]
        for direction in ("text_to_audio", "audio_to_text"):
            cells += [_cell(report[direction].get(key)), _cell(chance[direction].get(key))]
        rows.append(cells)
    columns = ["", "text to audio", "chance", "audio to text", "chance"]
    print_table(f"Retrieval on '{trained.split}', {trained.checkpoint}", columns, rows)


def _order(key: str) -> tuple[int, int]:
    """R@1, R@5, ..., mAP@10, ..., hit@1, ..., median_rank, queries, candidates."""
    name, _, k = key.partition("@")
    return (("R", "mAP", "hit", "median_rank", "queries", "candidates").index(name), int(k or 0))


def _cell(value: float | None) -> str:
    if value is None:
        return ""
    return str(value) if isinstance(value, int) else f"{value:.4f}"


if __name__ == "__main__":
    main()
