"""A trained classifier -> how often it is right, where it errs, whether its probabilities mean what they say.

    python -m postprocessing.classification_report --conf tasks/classification.yaml
    python -m postprocessing.classification_report --beside runs/other --conf tasks/classification.yaml
    python -m postprocessing.classification_report --file a.wav --conf tasks/classification.yaml
    python -m postprocessing.classification_report --predict FOLDER --conf tasks/classification.yaml

Measures the best trial on data.splits.eval, beside the most frequent category, a logistic regression on statistics of
the MFCC, and experiments that --beside names. Writes <split>_classification_metrics.json, <split>_confusion,
<split>_classes and <split>_predictions as CSV, pictures, and <split>_classification.html, with players of the errors.
With --file the categories of sound files are printed, window by window where they are long; with --predict those of all
sound files below a folder are written as CSV. Nothing is measured then.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

from tasks import command, load_run
from tasks.classification.compared import TrainedClassifier, compare_systems, load_classifier
from tasks.classification.costs import measure_cost
from tasks.classification.predictions import predict_files, predict_folder
from tasks.classification.report import print_results, report_page, write_pictures, write_tables
from tasks.classification.results import Cost, measure_systems
from tasks.classification.run import ClassificationRun
from tasks.classification.sounds import SoundClassifier
from tasks.trained import CheckpointChoice, add_checkpoint_arguments, find_trained_run
from utils.artefact_utils import write_json
from utils.artefact_utils.labels import LabelledRecording
from utils.cli_utils import UserError
from utils.cli_utils.repairs import with_commands
from utils.model_utils import choose_device

SCRIPT = "postprocessing.classification_report"
# What --beside takes over of --set: where the data are.
_MOVED = ("data.root", "data.features")


@command
def main(argv: Sequence[str] | None = None) -> None:
    """Measure, or classify files."""
    parser = argparse.ArgumentParser(prog=f"python -m {SCRIPT}", description=__doc__.splitlines()[0])
    parser.add_argument("--beside", nargs="+", default=[], type=Path, metavar="RUN", help="experiments, to compare")
    parser.add_argument("--file", nargs="+", default=[], type=Path, metavar="FILE", help="print categories of files")
    parser.add_argument("--predict", type=Path, metavar="FOLDER", help="write the categories of its files as CSV")
    parser.add_argument("--out", type=Path, metavar="CSV", help="of --predict (default: beside the results)")
    add_checkpoint_arguments(parser)
    conf, args = load_run(argv, parser, ClassificationRun)
    _check_options({"--beside": args.beside, "--file": args.file, "--predict": args.predict}, args.out)
    choice = CheckpointChoice.of(args)
    trained = find_trained_run(conf, choice, ClassificationRun)
    with trained.commands.completing():
        own = load_classifier(trained, measures=not args.file and args.predict is None)
        if args.file:
            predict_files(own, args.file)
        elif args.predict is not None:
            predict_folder(own, args.predict, args.out)
        else:
            _measure(own, [_beside(conf, choice, trained.split, folder) for folder in args.beside])


def _check_options(uses: Mapping[str, object], out: Path | None) -> None:
    """Refuse options that do not go together.

    Args:
        uses: option -> what is given with it.
        out: of --out.
    Raises:
        UserError: they do not.
    """
    if len(several := [option for option, value in uses.items() if value]) > 1:
        raise UserError(f"{' and '.join(several)}: each is a use of its own; give one of them")
    if out is not None and not uses["--predict"]:
        raise UserError("--out: goes with --predict alone; add it, or leave --out out")


def _beside(conf: ClassificationRun, choice: CheckpointChoice, split: str, folder: Path) -> TrainedClassifier:
    """The best trial of another experiment, on the same split."""
    moved = [key for key in choice.changed if key in _MOVED]
    other = CheckpointChoice(folder, None, None, split, moved, choice.conf)
    return load_classifier(find_trained_run(conf, other, ClassificationRun))


def _measure(own: TrainedClassifier, others: Sequence[TrainedClassifier]) -> None:
    """Measure, print and write."""
    trained, split = own.trained, own.trained.split
    compared = compare_systems(own, others)
    cost, notes = _cost_of(own, compared.recordings)
    if split == own.run.data.splits.val:
        notes.append(f"the temperatures are fitted on '{split}' itself: after them, ECE is too low")
    results = measure_systems(compared, cost, notes)
    print_results(results, split)
    for note in results.notes:
        print(with_commands(note, trained.commands.make))
    folder = trained.trial.folder
    metrics = folder / f"{split}_classification_metrics.json"
    made_from = {
        "split": split,
        "checkpoint": trained.checkpoint,
        "epoch": trained.trial.checkpoint.epoch,
        "select_on": own.run.training.select_on,
        "beside": {one.name: one.trained.checkpoint for one in others},
    }
    write_json(metrics, results.as_json(made_from))
    pictures = write_pictures(folder, split, results)
    for path in [metrics, *write_tables(folder, split, results), *pictures.values()]:
        print(f"wrote {trained.publish(path)}")
    page = report_page(split, trained.checkpoint, own.run.data.root, results, pictures)
    path = folder / f"{split}_classification.html"
    page.write(path)
    public = trained.publish(path)
    if public != path:
        page.write(public)  # not a copy: links are relative to the page's folder
    print(f"wrote {public}: open it in a browser")
    if compared.chosen != own.name:
        print(f"on validation, {compared.chosen} is better than {own.name}")
    print(f"next: the categories of a file: {trained.command_for(SCRIPT, '--file', 'FILE')}")


def _cost_of(own: TrainedClassifier, recordings: Sequence[LabelledRecording]) -> tuple[Cost | None, list[str]]:
    """What a recording costs, or a line that says why it is not known."""
    device = choose_device(own.run.training.device, "fp32")
    try:
        classifier = SoundClassifier(own.run, own.task, own.trained.split)
        return measure_cost(classifier, recordings, own.run.data.root, device), []
    except UserError as error:
        return None, [f"seconds and memory of a recording are left out: {error}"]


if __name__ == "__main__":
    main()
