"""Labels and prompts -> accuracy and mAP on labelled clips, by a run that was never trained to classify them.

    python -m postprocessing.zero_shot --labels ESC-50/meta/esc50.csv
    python -m postprocessing.zero_shot --labels labels.csv --audio FOLDER --template "This is a sound of {label}."
    python -m postprocessing.zero_shot --labels labels.csv --embeddings yamnet.hdf5

The table has ESC's columns (filename, category) or is a plain CSV `file_name,label`, several labels with `;` between
them. Writes <name>_zero_shot.json and .csv, and for one label a clip <name>_zero_shot_confusion.png.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from tasks import command, open_trained_run
from tasks.retrieval.dual_encoder import DualEncoderRun
from tasks.retrieval.scores import trained_dual_encoder
from tasks.retrieval.zero_shot import (
    ClassifiedClips,
    ZeroShotResults,
    class_vectors,
    classify,
    embed_sounds,
    embed_vectors,
    measure,
)
from utils.artefact_utils import write_json, write_rows
from utils.artefact_utils.csv_rows import read_lines
from utils.cli_utils import UserError, existing_folder, positive, printable
from utils.dataset_utils.labelled_clips import SEVERAL, LabelledClips, read_labelled_clips
from utils.metric_utils.classification.counts import confusion_matrix
from utils.metric_utils.classification.label_scores import MEAN_AP, PREVALENCE, has_one_label, label_ranks
from utils.process_utils import all_cores
from utils.report_utils import plot_confusion, print_table
from utils.text_utils.prompts import DEFAULT_TEMPLATES, check_templates, prompts_of, read_templates, spoken

SCRIPT = "postprocessing.zero_shot"


@command
def main(argv: Sequence[str] | None = None) -> None:
    """Embed the clips and the prompts, compare, measure, print and write."""
    with open_trained_run(argv, _parser(), DualEncoderRun) as (trained, args):
        table, filters = _table(args.labels), _filters(args.where, args.folds, only_esc10=args.only_esc10)
        name = _name(args.name, table)
        clips = _labelled(table, filters, args.classes)
        templates = _templates(args.templates, args.template)
        folder = None if args.embeddings else _audio_folder(args.audio, table)
        _check_source(trained.run, vectors=args.embeddings is not None)
        task = trained_dual_encoder(trained, measures=False)  # the clips are of no split
        with torch.inference_mode():
            classes = class_vectors(task.embedder, clips.labels, templates)
            if folder is None:
                embedded = embed_vectors(task, trained, clips, args.embeddings)
            else:
                embedded = embed_sounds(task, clips, folder, args.workers)
        classified = classify(trained.checkpoint, clips, embedded, classes)
        results = measure(classified, args.resamples)
        print_results(f"Zero-shot on '{name}', {trained.checkpoint}", results)
        made_from = {
            "checkpoint": trained.checkpoint,
            "labels": str(table),
            "audio": str(folder or args.embeddings),
            "where": {column: sorted(values) for column, values in filters.items()},
        }
        described = {"templates": templates, "made_from": made_from}
        for path in write_results(trained.trial.folder, name, classified, results, described):
            print(f"wrote {trained.publish(path)}")
        hardest = min(results.classes, key=lambda label: results.classes[label].hardness)
        print(f"next: {trained.command_for('postprocessing.search', prompts_of(hardest, templates)[0])}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=f"python -m {SCRIPT}", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--labels", type=Path, required=True, help="CSV of clips and labels, or ESC-50's folder")
    parser.add_argument("--audio", type=Path, help="folder of the clips (default: audio/ beside ESC's meta/)")
    parser.add_argument("--embeddings", type=Path, help="vectors of the clips by file name, in place of --audio")
    parser.add_argument("--classes", type=Path, help="the label set, one a line (default: the labels of the clips)")
    prompts = parser.add_mutually_exclusive_group()
    prompts.add_argument("--templates", type=Path, help="file of prompts with {label}, one a line")
    prompts.add_argument(
        "--template", nargs="+", metavar="TEXT", help="prompts with {label} (default: well-known ones)"
    )
    parser.add_argument("--folds", nargs="+", default=[], metavar="N", help="only these folds (default: all)")
    parser.add_argument("--only-esc10", action="store_true", help="only the ten kinds of ESC-10")
    parser.add_argument(
        "--where", action="append", default=[], metavar="COLUMN=VALUE", help="only such rows (repeatable)"
    )
    parser.add_argument("--name", help="of the results (default: that of the table)")
    parser.add_argument("--resamples", type=positive, default=1000, help="of the bootstrap (default 1000)")
    parser.add_argument("--workers", type=positive, default=all_cores(), help="threads that decode (default: cores)")
    return parser


def _table(labels: Path) -> Path:
    """The CSV; of ESC-50's folder the one in meta/."""
    return labels / "meta" / "esc50.csv" if labels.is_dir() else labels


def _name(given: str | None, table: Path) -> str:
    """The name of the results; default that of the table.

    Raises:
        UserError: it is no plain name.
    """
    if given is not None and (not given or "/" in given or given.startswith(".")):
        raise UserError(f"--name: found '{given}', expected a plain name, without slashes")
    return given or table.stem


def _labelled(table: Path, filters: Mapping[str, set[str]], classes: Path | None) -> LabelledClips:
    """Read the clips; prints what is odd about the table.

    Args:
        table: the CSV.
        filters: column -> values of the rows that are wanted.
        classes: a file of labels; None: those of the clips.
    Raises:
        UserError: see `read_labelled_clips`; fewer than two labels, or two that read the same in a prompt.
    """
    clips = read_labelled_clips(table, filters)
    if classes is not None:
        clips = clips.with_labels([line.strip() for line in read_lines(classes)], f"--classes {classes}")
    for note in clips.notes:
        print(printable(note))
    if len(clips.labels) < 2:
        raise UserError(f"{table}: all clips are {clips.labels[0]}; expected two labels or more to choose among")
    said: dict[str, str] = {}
    for label in clips.labels:
        if (other := said.setdefault(spoken(label), label)) != label:
            raise UserError(f"{table}: '{other}' and '{label}' read the same in a prompt; rename one")
    return clips


def _filters(conditions: Sequence[str], folds: Sequence[str], *, only_esc10: bool) -> dict[str, set[str]]:
    """Column -> values: several of one column are alternatives, several columns must all hold."""
    found: dict[str, set[str]] = {}
    for condition in conditions:
        column, equals, value = condition.partition("=")
        if not equals or not column:
            raise UserError(f"--where {condition}: expected COLUMN=VALUE, such as fold=1")
        found.setdefault(column.strip(), set()).add(value)
    if folds:
        found.setdefault("fold", set()).update(folds)
    if only_esc10:
        found["esc10"] = {"True"}
    return found


def _templates(file: Path | None, texts: Sequence[str] | None) -> list[str]:
    return read_templates(file) if file is not None else check_templates(texts or DEFAULT_TEMPLATES, "--template")


def _audio_folder(given: Path | None, table: Path) -> Path:
    beside = table.parent.parent / "audio"
    if given is None and not (table.parent.name == "meta" and beside.is_dir()):
        raise UserError("--audio: name the folder of the clips; only ESC's layout, audio/ beside meta/, has a default")
    return existing_folder(given or beside, "--audio", "name the folder of the clips")


def _check_source(run: DualEncoderRun, *, vectors: bool) -> None:
    """Refuse --embeddings for a run on sound, and --audio for a run on unknown vectors, before anything is loaded.

    Raises:
        UserError: the run's audio cannot be made of what was given.
    """
    wanted, known = run.model.audio_encoder.input, run.data.audio_embeddings
    if vectors and wanted != "vector":
        raise UserError(f"--embeddings: the run's audio encoder takes a {wanted}, not vectors; give --audio FOLDER")
    if not vectors and wanted == "vector" and (known is None or known.model is None):
        source = run.data.pairs if known is None else known.file
        raise UserError(
            f"the run's audio vectors come from {source}, and the encoder that made them is not known; give the "
            "vectors of these clips, made by the same program, with --embeddings FILE"
        )


def write_results(
    folder: Path, name: str, classified: ClassifiedClips, results: ZeroShotResults, described: Mapping[str, Any]
) -> Iterator[Path]:
    """Write JSON, CSV and, for one label a clip, the confusion matrix.

    Args:
        folder: of the trial.
        name: of the results.
        classified: the clips.
        results: of the clips.
        described: what else the JSON file says.
    Yields:
        Each path, when its file is complete.
    """
    clips, scores = classified.clips, classified.scores
    truth = clips.truth()
    table, numbers = folder / f"{name}_zero_shot.csv", folder / f"{name}_zero_shot.json"
    write_rows(table, ["file_name", "label", "predicted", "score", "rank"], _rows(classified))
    yield table
    write_json(numbers, {**results.as_json(), **described})
    yield numbers
    if has_one_label(truth):
        picture = folder / f"{name}_zero_shot_confusion.png"
        counts = confusion_matrix(truth.argmax(axis=1), scores.argmax(axis=1), len(clips.labels))
        title = f"{name}: accuracy {results.metrics['accuracy']:.3f} of {len(clips)} clips"
        plot_confusion(picture, title, [spoken(label) for label in clips.labels], counts)
        yield picture


def _rows(classified: ClassifiedClips) -> Iterator[Sequence[object]]:
    clips, scores = classified.clips, classified.scores
    best, ranks = scores.argmax(axis=1), label_ranks(scores, clips.truth())
    for row, (name, labels) in enumerate(zip(clips.names, clips.label_sets, strict=True)):
        predicted = clips.labels[best[row]]
        yield name, SEVERAL.join(labels), predicted, f"{scores[row, best[row]]:.6f}", int(ranks[row])


def print_results(title: str, results: ZeroShotResults) -> None:
    """Print what was left out, and each number with its interval and chance, the leading one first."""
    if results.left_out:
        first = printable(" ".join(next(iter(results.left_out.items()))))
        total = results.clips + len(results.left_out)
        print(f"{len(results.left_out)} of {total} clips are left out, all listed in the JSON; the first: {first}")
    labels = results.classes
    bare = [printable(label) for label, found in labels.items() if not found.clips]
    if bare:
        print(f"{len(bare)} of {len(labels)} labels have no clip, and no part in means over classes: {', '.join(bare)}")
    rows = []
    for key in sorted(results.metrics, key=lambda key: key != results.leading):
        between = " - ".join(f"{end:.4f}" for end in results.intervals.get(key, ()))
        rows.append([key, f"{results.metrics[key]:.4f}", between, f"{results.chance[key]:.4f}"])
    recordings = f" of {results.recordings} recordings" if results.recordings < results.clips else ""
    counts = f"{results.clips} clips{recordings}, {len(labels)} labels"
    print_table(f"{title}: {counts}", ["", "", "95 % interval", "chance"], rows)
    print(f"{MEAN_AP} of equal scores (the prevalence): {results.chance[PREVALENCE]:.4f}")


if __name__ == "__main__":
    main()
