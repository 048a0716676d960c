"""The tables of recommendations: on the terminal and a page, and in full as CSV."""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import zip_longest
from pathlib import Path
from typing import Any, NamedTuple

from tasks.music.lists import Comparison, Listed, track_title
from tasks.music.results import PairedDifference, RecommendationResults
from tasks.music.systems import MFCC_STANDARDISED
from utils.artefact_utils import write_json, write_rows
from utils.cli_utils import printable
from utils.config_utils import read_json
from utils.metric_utils.recommendation.tracks import FILTERS
from utils.report_utils import print_table

CSV_COLUMNS = ["system", "filter", "metric", "value", "low", "high"]
# Metric -> its column, where there is room for some of them; g: of genre, a: of artist.
_SHOWN = {
    "genre_precision@1": "g P@1",
    "genre_precision@5": "g P@5",
    "genre_mAP": "g mAP",
    "genre_nDCG@10": "g nDCG",
    "artist_precision@5": "a P@5",
    "artist_mAP": "a mAP",
}
_COMPARED = ("genre_precision@5", "genre_precision@10", "genre_mAP", "artist_precision@5", "artist_mAP")
_BY_FILTER = ("genre_precision@10", "artist_precision@10")
_TITLE_LETTERS = 30


class ResultTable(NamedTuple):
    """A table for people; its first column is text."""

    title: str
    columns: list[str]
    rows: list[list[str]]


def result_tables(results: RecommendationResults) -> list[ResultTable]:
    """Everything that was measured, in tables of at most 100 letters."""
    tables = [_systems(results), *(_filters(results, metric) for metric in _BY_FILTER)]
    tables += [_differences(results), _effects(results)]
    tables += [_similarities(results)] + ([_controls(results)] if results.controls else [])
    return [table for table in tables if table.rows]


def print_results(results: RecommendationResults) -> None:
    """Print them."""
    for table in result_tables(results):
        print_table(*table)


def write_metrics(stem: Path, results: RecommendationResults, made_from: Mapping[str, Any]) -> list[Path]:
    """Write everything that was measured as .json, and every metric under every filter as .csv; return their paths.

    Where no copies were altered this time, shares that the same checkpoints have reached before are taken over.

    Args:
        stem: of both paths.
        results: what was measured.
        made_from: checkpoint, split, ...
    """
    paths = [stem.with_name(f"{stem.name}.{kind}") for kind in ("json", "csv")]
    found = results.as_json(made_from)
    if not results.controls:
        found["controls"] = _earlier_controls(paths[0], found)
    write_json(paths[0], found)
    _write_csv(paths[1], results)
    return paths


def _earlier_controls(path: Path, found: Mapping[str, Any]) -> dict[str, Any]:
    try:
        held = read_json(path)
        same = all(held[key] == found[key] for key in ("made_from", "settings", "tracks", "baseline"))
        return dict(held["controls"]) if same else {}
    except (OSError, ValueError, LookupError, TypeError):  # no file yet, or none that is worth keeping
        return {}


def _write_csv(path: Path, results: RecommendationResults) -> None:
    rows = []
    for name, result in results.systems.items():
        for filter_, metrics in result.measures.metrics().items():
            for metric, value in metrics.items():
                interval = result.intervals[filter_].get(metric, ("", ""))
                rows.append([name, filter_, metric, value, *interval])
    write_rows(path, CSV_COLUMNS, rows)


def _systems(results: RecommendationResults) -> ResultTable:
    measured = {name: result.measures.metrics()["none"] for name, result in results.systems.items()}
    shown = {key: column for key, column in _SHOWN.items() if any(key in metrics for metrics in measured.values())}
    rows = []
    for name, metrics in measured.items():
        hubs = results.systems[name].measures.filters["none"].hubness
        cells = [_number(metrics.get(key)) for key in shown]
        rows.append([_marked(name, results), *cells, f"{hubs.skewness:.2f}", f"{hubs.never_recommended:.0%}"])
    title = (
        f"{len(results.tracks)} tracks, each a query among all others, no filter, {results.settings}; g: genre, "
        "a: artist, *: chosen on validation"
    )
    return ResultTable(title, ["", *shown.values(), "hubs", "never"], rows)


def _filters(results: RecommendationResults, metric: str) -> ResultTable:
    """One metric under each filter; an artist filter leaves nothing of the same artist to find."""
    measured = {name: result.measures.metrics() for name, result in results.systems.items()}
    filters = [name for name in FILTERS if any(metric in of_system[name] for of_system in measured.values())]
    rows = [
        [_marked(name, results), *(_number(of_system[filter_].get(metric)) for filter_ in filters)]
        for name, of_system in measured.items()
    ]
    return ResultTable(f"{_words(metric)} under each filter", ["", *filters], rows if filters else [])


def _differences(results: RecommendationResults) -> ResultTable:
    rows = [
        [
            _words(key) if name == "none" else f"{_words(key)}, {name} filter",
            *_difference(results.differences[name][key]),
        ]
        for name in FILTERS
        for key in _COMPARED
        if key in results.differences.get(name, {}) and (name == "none" or key == _COMPARED[0])
    ]
    title = f"{short_name(results.chosen)} less the better MFCC baseline, 95 %, paired by track"
    return ResultTable(title, ["", "baseline", "has", "chosen has", "difference (95 %)", "p"], rows)


def _difference(pair: PairedDifference) -> list[str]:
    found = pair.found
    interval = f"{found.difference:+.3f} ({found.interval.low:+.3f} to {found.interval.high:+.3f})"
    return [short_name(pair.baseline), f"{found.a:.3f}", f"{found.b:.3f}", interval, f"{found.p_value:.2g}"]


def _effects(results: RecommendationResults) -> ResultTable:
    rows = []
    for name, of_system in results.effects.items():
        for settings, measures in of_system.items():
            found = measures.filters["none"]
            metrics = [_number(found.metrics().get(key)) for key in _BY_FILTER]
            hubs = [f"{found.hubness.skewness:.2f}", f"{found.hubness.never_recommended:.0%}"]
            rows.append([f"{short_name(name)}: {settings}", *metrics, *hubs])
    columns = ["", "genre P@10", "artist P@10", "hubs", "never"]
    return ResultTable("What whitening and local scaling change", columns, rows)


def _similarities(results: RecommendationResults) -> ResultTable:
    rows = []
    for name in (results.chosen, results.baseline):
        found = results.systems[name].measures.similarities
        rows.append([short_name(name), *(_number(pair.mean) if pair.pairs else "-" for pair in found.values())])
    kinds = results.systems[results.chosen].measures.similarities
    columns = ["", *(f"{kind.replace('_', ' ')} ({pair.pairs})" for kind, pair in kinds.items())]
    return ResultTable("Mean cosine of pairs of tracks (how many pairs)", columns, rows)


def _controls(results: RecommendationResults) -> ResultTable:
    systems = [key for key in next(iter(results.controls.values())) if key != "tracks"]
    rows = [
        [name, *("-" if shares[key] is None else f"{shares[key]:.0%}" for key in systems), str(shares["tracks"])]
        for name, shares in results.controls.items()
    ]
    return ResultTable(
        "Altered copies whose nearest track is their original", ["", *map(short_name, systems), "copies"], rows
    )


def _marked(name: str, results: RecommendationResults) -> str:
    return f"{short_name(name)} *" if name == results.chosen else short_name(name)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _words(metric: str) -> str:
    return metric.replace("_", " ").replace("precision", "P")


def short_name(system: str) -> str:
    """The name of a system, where there is little room: trial_00002/MLPAutoencoder becomes MLP 2."""
    if system == MFCC_STANDARDISED:
        return "mfcc std"
    found = re.fullmatch(r"trial_0*(\d+)/(\w+?)(?:Autoencoder)?", system)
    return system if found is None else f"{found[2]} {found[1]}"


def print_lists(found: Comparison) -> None:
    """Print the lists of a query side by side; g and a mark those of its genre and its artist."""
    columns = ["", *map(short_name, found.lists)]
    rows = [
        [str(number), *("" if item is None else _listed(item) for item in items)]
        for number, items in enumerate(zip_longest(*found.lists.values()), 1)
    ]
    described = " + ".join(_described(track.genre, track.track_id) for track in found.queries)
    print_table(f"{found.title} {described}".strip(), columns, rows, texts=len(columns))
    for name in found.lists:
        print(f"{short_name(name)}: {found.counted(name)}")


def _listed(item: Listed) -> str:
    marks = f"{'g' if item.same_genre else ' '}{'a' if item.same_artist else ' '}"
    title = printable(track_title(item.track))
    return f"{marks} {title if len(title) <= _TITLE_LETTERS else f'{title[: _TITLE_LETTERS - 3]}...'}"


def _described(genre: str, track_id: str) -> str:
    return f"({', '.join(filter(None, (genre, track_id)))})"
