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
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from tasks import TrainedRun, command, open_trained_run
from tasks.retrieval.dual_encoder import DualEncoderRun, DualEncoderTask
from tasks.retrieval.embedding import DualEncoderEmbedder
from tasks.retrieval.scores import trained_dual_encoder
from utils.artefact_utils import AudioSource, Clip, read_audio_embeddings, write_json, write_rows
from utils.artefact_utils.csv_rows import read_lines
from utils.artefact_utils.foreign_embeddings import open_foreign
from utils.cli_utils import UserError, existing_folder, positive, printable
from utils.dataset_utils.labelled_clips import SEVERAL, LabelledClips, read_labelled_clips
from utils.metric_utils.classification import (
    MEAN_AP,
    PREVALENCE,
    chance_of_classification,
    class_accuracies,
    class_average_precisions,
    classification_intervals,
    classification_metrics,
    confusion_matrix,
    has_one_label,
    label_ranks,
)
from utils.metric_utils.scores import EmbeddingScores, NonFiniteEmbeddingError
from utils.process_utils import all_cores
from utils.report_utils import plot_confusion, print_table, progress_bar
from utils.text_utils.prompts import DEFAULT_TEMPLATES, check_templates, prompts_of, read_templates, spoken

SCRIPT = "postprocessing.zero_shot"

Array = NDArray[np.float32]


class Scored(NamedTuple):
    """Clips that were embedded, and how alike they are to each label."""

    clips: LabelledClips
    scores: Array  # (N, K) cosine
    left_out: dict[str, str]  # file name -> reason


@command
def main(argv: Sequence[str] | None = None) -> None:
    """Embed the clips and the prompts, compare, measure, print and write."""
    with open_trained_run(argv, _parser(), DualEncoderRun) as (trained, args):
        clips = _labelled(args)
        templates = _templates(args)
        folder = None if args.embeddings else _audio_folder(args)
        _check_source(trained, args)
        task = trained_dual_encoder(trained)
        with torch.inference_mode():
            classes = class_vectors(task.embedder, clips.labels, templates)
            if folder is None:
                audio, left_out = _projected(task, trained, clips, args.embeddings)
            else:
                audio, left_out = _embedded(task, clips, folder, args.workers)
        kept = np.array([name not in left_out for name in clips.names])
        if not kept.any():
            name, reason = next(iter(left_out.items()))
            raise UserError(
                f"none of the {len(clips)} clips can be embedded: {name} {reason}; correct --audio or --labels"
            )
        scored = Scored(clips.take(kept), _scores(trained, clips.take(kept), audio[kept], classes), left_out)
        write_results(trained, scored, templates, args)


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


def _labelled(args: argparse.Namespace) -> LabelledClips:
    """The clips that are asked for; says what is odd about the table.

    Raises:
        UserError: see `read_labelled_clips`; fewer than two labels, or two that read the same in a prompt.
    """
    if args.name is not None and (not args.name or "/" in args.name or args.name.startswith(".")):
        raise UserError(f"--name: found '{args.name}', expected a plain name, without slashes")
    clips = read_labelled_clips(_table(args), _filters(args))
    if args.classes is not None:
        labels = [line.strip() for line in read_lines(args.classes)]
        clips = clips.with_labels(labels, f"--classes {args.classes}")
    for note in clips.notes:
        print(printable(note))
    if len(clips.labels) < 2:
        raise UserError(f"{args.labels}: all clips are {clips.labels[0]}; expected two labels or more to choose among")
    said: dict[str, str] = {}
    for label in clips.labels:
        if (other := said.setdefault(spoken(label), label)) != label:
            raise UserError(f"{args.labels}: '{other}' and '{label}' read the same in a prompt; rename one")
    return clips


def _table(args: argparse.Namespace) -> Path:
    """The CSV; of ESC-50's folder the one in meta/."""
    return args.labels / "meta" / "esc50.csv" if args.labels.is_dir() else args.labels


def _filters(args: argparse.Namespace) -> dict[str, set[str]]:
    """Column -> values: several of one column are alternatives, several columns must all hold."""
    found: dict[str, set[str]] = {}
    for condition in args.where:
        column, equals, value = condition.partition("=")
        if not equals or not column:
            raise UserError(f"--where {condition}: expected COLUMN=VALUE, such as fold=1")
        found.setdefault(column.strip(), set()).add(value)
    if args.folds:
        found.setdefault("fold", set()).update(args.folds)
    if args.only_esc10:
        found["esc10"] = {"True"}
    return found


def _templates(args: argparse.Namespace) -> list[str]:
    if args.templates is not None:
        return read_templates(args.templates)
    return check_templates(args.template or DEFAULT_TEMPLATES, "--template")


def _audio_folder(args: argparse.Namespace) -> Path:
    beside = _table(args).parent.parent / "audio"
    if args.audio is None and not (_table(args).parent.name == "meta" and beside.is_dir()):
        raise UserError("--audio: name the folder of the clips; only ESC's layout, audio/ beside meta/, tells it")
    return existing_folder(args.audio or beside, "--audio", "name the folder of the clips")


def _check_source(trained: TrainedRun[DualEncoderRun], args: argparse.Namespace) -> None:
    """Vectors for a run on vectors, and only for one; before anything is loaded.

    Raises:
        UserError: the run's audio cannot be made of what was given.
    """
    wanted, known = trained.run.model.audio_encoder.input, trained.run.data.audio_embeddings
    if args.embeddings and wanted != "vector":
        raise UserError(f"--embeddings: the run hears sound itself ({wanted}), not vectors; give --audio FOLDER")
    if not args.embeddings and wanted == "vector" and (known is None or known.model is None):
        source = trained.run.data.pairs if known is None else known.file
        raise UserError(
            f"the run's audio vectors come from {source}, and the encoder that made them is not known; give the "
            "vectors of these clips, made by the same program, with --embeddings FILE"
        )


def class_vectors(embedder: DualEncoderEmbedder, labels: Sequence[str], templates: Sequence[str]) -> Array:
    """(K, E) float32 unit vectors: of each label, the mean over the unit vectors of its prompts.

    Source: prompt ensembling of CLIP (Radford et al. 2021, section 3.1.4); zero-shot classification of LAION-CLAP.
    """
    prompts = [prompt for label in labels for prompt in prompts_of(label, templates)]
    vectors = embedder.texts(prompts).reshape(len(labels), len(templates), -1)  # (K, P, E)
    return _unit(_unit(vectors).mean(axis=1))


def _unit(vectors: Array) -> Array:
    """The same, of length 1; a vector of zeros stays."""
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    unit: Array = vectors / np.maximum(length, np.finfo(np.float32).tiny)
    return unit


def _embedded(task: DualEncoderTask, clips: LabelledClips, folder: Path, workers: int) -> tuple[Array, dict[str, str]]:
    """(N, E) embeddings by the run's own audio side, and the clips that have none."""
    there = [row for row, name in enumerate(clips.names) if (folder / name).is_file()]
    missing = sorted(set(range(len(clips))) - set(there))
    table = np.zeros((len(clips), task.dual_encoder.out_dim), np.float32)
    with progress_bar(len(there), "embedding", "clip", disable=not there) as bar:
        found = task.embedder.sounds([folder / clips.names[row] for row in there], workers, bar.update)
    table[there] = found.embeddings
    reasons = dict.fromkeys(missing, f"is not in {folder}") | {there[n]: why for n, why in found.refused.items()}
    return table, {clips.names[row]: reasons[row] for row in sorted(reasons)}


def _projected(
    task: DualEncoderTask, trained: TrainedRun[DualEncoderRun], clips: LabelledClips, path: Path
) -> tuple[Array, dict[str, str]]:
    """(N, E) embeddings of vectors that a file holds, and the clips that it lacks.

    Raises:
        UserError: it holds none of the clips, or vectors of another width than those of the training.
    """
    repair = "name a file with the vectors of these clips with --embeddings"
    asked = [Clip(name, Path(name).name, name, 0.0, 0, 0, name) for name in clips.names]
    with open_foreign(path, repair) as foreign:
        known = foreign.keys_among(key for clip in asked for key in _keys(clip, trained.split))
    held = [row for row, clip in enumerate(asked) if any(key in known for key in _keys(clip, trained.split))]
    rows = held or list(range(len(asked)))  # without any, the reader says what it looked for
    source = AudioSource(path, None, None, repair, trained.run.data.features)
    table = read_audio_embeddings(source, [asked[row] for row in rows], trained.split)
    wanted = task.data(trained.split).audio.width
    if table.vectors.shape[1] != wanted:
        raise UserError(
            f"{path}: holds vectors of {table.vectors.shape[1]} dimensions, the run was trained on {wanted}; {repair}"
        )
    audio = np.zeros((len(asked), task.dual_encoder.out_dim), np.float32)
    audio[rows] = task.embedder.vectors(table.vectors)
    reasons = {clips.names[row]: f"is not in {path}" for row in sorted(set(range(len(asked))) - set(rows))}
    return audio, reasons | table.left_out


def _keys(clip: Clip, split: str) -> tuple[str, ...]:
    """What a file of vectors may call a clip."""
    return clip.fname, clip.path, f"{split}/{clip.fname}"


def _scores(trained: TrainedRun[DualEncoderRun], clips: LabelledClips, audio: Array, classes: Array) -> Array:
    """(N, K) cosine.

    Raises:
        UserError: an embedding is not finite.
    """
    try:
        source = EmbeddingScores(audio, classes, similarity="cosine")
    except NonFiniteEmbeddingError as error:
        name = clips.names[error.row] if error.side == "query" else clips.labels[error.row]
        raise UserError(
            f"{trained.checkpoint}: the embedding of '{name}' holds {error.value}; choose another one with "
            "--checkpoint, or train again with a lower optimizer.lr"
        ) from error
    return np.concatenate([block.copy() for _, block in source.blocks()])


def write_results(
    trained: TrainedRun[DualEncoderRun], scored: Scored, templates: Sequence[str], args: argparse.Namespace
) -> None:
    """Measure; print the table; write JSON, CSV and, for one label a clip, the confusion matrix."""
    clips, scores = scored.clips, scored.scores
    truth = clips.truth()
    report = _report(trained, scored, truth, args.resamples)
    report |= {"templates": list(templates), "made_from": _made_from(trained, args)}
    name = args.name or _table(args).stem
    _tell(trained, name, scored, report)
    stem = trained.trial.folder / f"{name}_zero_shot"
    table, numbers = stem.with_name(f"{stem.name}.csv"), stem.with_name(f"{stem.name}.json")
    write_rows(table, ["file_name", "label", "predicted", "score", "rank"], _rows(clips, scores, truth))
    write_json(numbers, report)
    for path in (table, numbers):
        print(f"wrote {trained.publish(path)}")
    if has_one_label(truth):
        picture = stem.with_name(f"{stem.name}_confusion.png")
        counts = confusion_matrix(truth.argmax(axis=1), scores.argmax(axis=1), len(clips.labels))
        title = f"{name}: accuracy {report['metrics']['accuracy']:.3f} of {len(clips)} clips"
        plot_confusion(picture, title, [spoken(label) for label in clips.labels], counts)
        print(f"wrote {trained.publish(picture)}")
    hardest = min(report["classes"], key=lambda label: _key(report["classes"][label]))
    print(f"next: {trained.command_for('postprocessing.search', prompts_of(hardest, templates)[0])}")


def _report(
    trained: TrainedRun[DualEncoderRun], scored: Scored, truth: NDArray[np.bool_], resamples: int
) -> dict[str, Any]:
    """The numbers, and what they are numbers of."""
    clips, scores = scored.clips, scored.scores
    clusters = clips.clusters()
    intervals: Mapping[str, Sequence[float]] = {}
    if len(np.unique(clusters)) > 1:
        intervals = classification_intervals(scores, truth, clusters, resamples)
    precisions = class_average_precisions(scores, truth)
    accuracies = class_accuracies(label_ranks(scores, truth), truth)
    counts = truth.sum(axis=0)
    return {
        "leading": "accuracy" if has_one_label(truth) else MEAN_AP,
        "metrics": classification_metrics(scores, truth),
        "chance": chance_of_classification(truth),
        "intervals": {"level": 0.95, "bootstrap": {key: list(interval) for key, interval in intervals.items()}},
        "clips": len(clips),
        "recordings": int(clusters.max()) + 1,
        "classes": {
            label: {"clips": int(counts[k]), "accuracy": _plain(accuracies[k]), "AP": _plain(precisions[k])}
            for k, label in enumerate(clips.labels)
        },
        "left_out": scored.left_out,
    }


def _made_from(trained: TrainedRun[DualEncoderRun], args: argparse.Namespace) -> dict[str, Any]:
    source = str(args.embeddings) if args.embeddings else str(_audio_folder(args))
    where = {column: sorted(values) for column, values in _filters(args).items()}
    return {"checkpoint": trained.checkpoint, "labels": str(_table(args)), "audio": source, "where": where}


def _plain(value: float) -> float | None:
    """As JSON holds it; None of a class without clips."""
    return None if np.isnan(value) else float(value)


def _rows(clips: LabelledClips, scores: Array, truth: NDArray[np.bool_]) -> Iterator[Sequence[object]]:
    best, ranks = scores.argmax(axis=1), label_ranks(scores, truth)
    for row, (name, labels) in enumerate(zip(clips.names, clips.label_sets, strict=True)):
        predicted = clips.labels[best[row]]
        yield name, SEVERAL.join(labels), predicted, f"{scores[row, best[row]]:.6f}", int(ranks[row])


def _key(found: Mapping[str, Any]) -> tuple[float, float]:
    """Sorts the hardest class first, those without clips last."""
    return (2.0, 2.0) if found["AP"] is None else (found["accuracy"], found["AP"])


def _tell(trained: TrainedRun[DualEncoderRun], name: str, scored: Scored, report: Mapping[str, Any]) -> None:
    """What was left out, and the table: each number with its interval and chance, the leading one first."""
    left_out, labels, total = scored.left_out, scored.clips.labels, len(scored.clips) + len(scored.left_out)
    if left_out:
        first = printable(" ".join(next(iter(left_out.items()))))
        print(f"{len(left_out)} of {total} clips are left out, all listed in the JSON; the first: {first}")
    bare = [printable(label) for label in labels if report["classes"][label]["AP"] is None]
    if bare:
        print(f"{len(bare)} of {len(labels)} labels have no clip, and no part in means over classes: {', '.join(bare)}")
    metrics, chance, intervals = report["metrics"], report["chance"], report["intervals"]["bootstrap"]
    rows = []
    for key in sorted(metrics, key=lambda key: key != report["leading"]):
        between = " - ".join(f"{end:.4f}" for end in intervals.get(key, []))
        rows.append([key, f"{metrics[key]:.4f}", between, f"{chance[key]:.4f}"])
    recordings = f" of {report['recordings']} recordings" if report["recordings"] < len(scored.clips) else ""
    title = f"Zero-shot on '{name}', {trained.checkpoint}: {len(scored.clips)} clips{recordings}, {len(labels)} labels"
    print_table(title, ["", "", "95 % interval", "chance"], rows)
    print(f"{MEAN_AP} of equal scores (the prevalence): {chance[PREVALENCE]:.4f}")


if __name__ == "__main__":
    main()
