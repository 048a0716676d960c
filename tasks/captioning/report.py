"""What is shown of measured captions: tables on the terminal, and a page with every clip."""

from __future__ import annotations

from pathlib import Path

from tasks.captioning.chosen import Captions
from tasks.captioning.results import MODEL, MOST_FREQUENT, SHUFFLED, CaptionResults
from utils.cli_utils import printable
from utils.data_utils import ImageDataSpec
from utils.metric_utils.captions.embeddings import SIMILARITY
from utils.metric_utils.captions.statistics import Difference
from utils.metric_utils.intervals import Interval
from utils.report_utils import CaptionedClip, Content, Note, Table, caption_page, print_table

_COLUMNS = ["", "model", "95 %", "most frequent", "shuffled", "use of the input", "over most frequent"]
_OF_ONE_CLIP = ("", "model", "most frequent")
_NOTE = (
    "Higher is better. Intervals are of 95 %, clips drawn (bootstrap). 'most frequent' says the most frequent training "
    "caption of every clip, 'shuffled' the system's caption of another clip; use of the input is the model less "
    "'shuffled', with its paired interval: around 0, the captions do not depend on the input."
)


def print_results(captions: Captions, results: CaptionResults, most_frequent: str) -> None:
    """Print the table, and what it was measured on."""
    count, rows = len(results.hypotheses), _rows(results)
    title = f"Captions of '{captions.split}', {captions.label}, {_measured(captions)}"
    shown = [number for number in _columns_of(results) if number < 5]
    print_table(title, [_COLUMNS[n] for n in shown], [[row[n] for n in shown] for row in rows])
    if differences := [[row[0], *row[5:]] for row in rows if row[5]]:
        print_table("What the model has more, 95 %, paired by clip", ["", *_COLUMNS[5:]], differences)
    for key, why in results.absent.items():
        print(f"{key} is left out: {why}")
    print(f"most frequent: '{printable(most_frequent)}'")
    if results.empty:
        print(f"{results.empty} of {count} hypotheses are empty")
    if missing := captions.matched.missing:
        first, of_split = printable(missing[0].fname), f"of '{captions.split}'"
        if len(missing) == 1:
            print(f"1 clip {of_split} has no row in {captions.path}, '{first}'; it is not measured")
        else:
            print(
                f"{len(missing)} clips {of_split} have no row in {captions.path}, such as '{first}'; they are not "
                "measured"
            )
    if unknown := [row.id for row in captions.matched.rows if row.id not in captions.matched.clips]:
        print(
            f"{len(unknown)} of {count} ids are no clip of '{captions.split}', such as '{printable(unknown[0])}'; "
            "measured by the references in the file"
        )
    for line in (captions.remark, results.collapse):
        if line is not None:
            print(printable(line))


def _measured(captions: Captions) -> str:
    """How many clips are measured, such as '6 of 8 clips'."""
    count, missing = len(captions.matched.rows), len(captions.matched.missing)
    if missing and captions.matched.clips:
        return f"{count} of {count + missing} clips"
    return "1 clip" if count == 1 else f"{count} clips"


def _rows(results: CaptionResults) -> list[list[str]]:
    """A row a metric: the model with its interval, both baselines, and the differences; empty where there is none."""
    found = {system: results.metrics(system) for system in results.statistics}
    rows = [
        [
            key,
            _number(value),
            _between(results.intervals[MODEL].get(key)),
            _number(found[MOST_FREQUENT][key]),
            _number(found[SHUFFLED][key]) if SHUFFLED in found else "",
            _difference(results.use_of_input.get(key)),
            _difference(results.over_most_frequent.get(key)),
        ]
        for key, value in found[MODEL].items()
    ]
    return [*rows, *([key, *[""] * (len(_COLUMNS) - 1)] for key in results.absent)]


def _columns_of(results: CaptionResults) -> list[int]:
    """Which columns have values: of a single clip there is neither a shuffled input nor an interval."""
    return [n for n, name in enumerate(_COLUMNS) if SHUFFLED in results.statistics or name in _OF_ONE_CLIP]


def _number(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:.4f}"


def _between(interval: Interval | None) -> str:
    return "" if interval is None else f"{interval.low:.4f} to {interval.high:.4f}"


def _difference(found: Difference | None) -> str:
    return "" if found is None else f"{found.value:.4f} ({found.low:.4f} to {found.high:.4f})"


def write_page(captions: Captions, results: CaptionResults, shown: int) -> Path:
    """Write the page into the folder of the trial and, of the best trial, of the experiment; return the public path."""
    cider, similarity = (results.statistics[MODEL][key].values[:, 0].tolist() for key in ("CIDEr-D", SIMILARITY))
    clips, data = captions.matched.clips, captions.run.data
    file_of = data.picture if isinstance(data, ImageDataSpec) else data.root.joinpath
    examples = [
        CaptionedClip(
            clips[row.id].fname if row.id in clips else row.id,
            file_of(clips[row.id].path) if row.id in clips else None,
            row.references,
            row.hypothesis,
            cider[number],
            similarity[number],
        )
        for number, row in enumerate(captions.matched.rows)
    ]
    absent = [f"{key} is left out: {why}" for key, why in results.absent.items()]
    lines = [Note(line) for line in (_NOTE, *absent, captions.remark, results.collapse) if line is not None]
    columns = _columns_of(results)
    rows = [[row[number] for number in columns] for row in _rows(results)]
    metrics: list[Content] = [Table([_COLUMNS[number] for number in columns], rows, texts=len(columns)), *lines]
    title, pictures = f"Captions of '{captions.split}'", isinstance(data, ImageDataSpec)
    page = caption_page(title, f"{captions.label}, {_measured(captions)}", metrics, examples, shown, pictures=pictures)
    path = captions.folder / f"{captions.split}_captions.html"
    page.write(path)
    public = captions.publish(path)
    if public != path:
        page.write(public)  # not a copy: links to the clips are relative to the page's folder
    return public
