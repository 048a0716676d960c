"""What was measured of a split's scores, as tables on the terminal."""

from __future__ import annotations

from tasks.retrieval.evaluation import Judgements
from tasks.retrieval.results import AUDIO_TO_TEXT, TEXT_TO_AUDIO, DirectionResults, RetrievalResults
from tasks.retrieval.scores import SplitScores
from utils.cli_utils import printable
from utils.report_utils import print_table

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


def print_results(scores: SplitScores, results: RetrievalResults, items: str = "audio") -> None:
    """Print a table for each direction: the metrics with intervals and chance.

    Args:
        scores: of the split.
        results: what was measured of them.
        items: what the clips are, such as pictures.
    """
    evaluation = results.evaluation
    protocol = evaluation.protocol
    titles = {TEXT_TO_AUDIO: f"text to {items}", AUDIO_TO_TEXT: f"{items} to text"}
    if results.left_out_clips:
        print(
            f"{results.left_out_clips} clips and {results.left_out_captions} captions of '{scores.split}' are left out "
            f"of all numbers: {scores.why_left_out}"
        )
    print(f"\n'{scores.split}', {scores.label}; {protocol.name}, {protocol.leading} of text to {items} leads")
    for name, found in results.directions.items():
        rows = [[key, *_cells(found, protocol.interval, key)] for key in sorted(found.metrics, key=_order)]
        print_table(f"Retrieval, {titles[name]}", ["", "", f"95 % {protocol.interval}", "chance"], rows)
    if evaluation.shared is not None:
        print(evaluation.shared.describe(items))
    if (backward := results.directions.get(AUDIO_TO_TEXT)) is not None:
        for metric, note in _NOTES.items():
            print(f"{metric}@k of {titles[AUDIO_TO_TEXT]}: {note}")
        if factors := backward.factor_over_chance:
            print("over chance: " + ", ".join(f"{key} {factor:.1f} x" for key, factor in factors.items()))
    _print_relevance(evaluation.judgements)


def _print_relevance(judgements: Judgements) -> None:
    """Print which entries of the relevance lists are ignored."""
    matched = judgements.matched
    if matched is None:
        return
    mean = len(matched.item_index) / len(matched.rows)
    print(f"{judgements.file}: {len(matched.rows)} queries, {mean:.2f} relevant clips each")
    for names, what in (
        (matched.unmatched, "queries are no caption of the split"),
        (matched.duplicates, "queries are listed twice or shared by captions; the first one counts"),
        (matched.unknown_files, "relevant files are no clip of the split"),
        (matched.without_clips, "queries have no relevant clip in the split"),
    ):
        if names:
            print(f"  {len(names)} {what}, such as '{printable(names[0])}'")


def _cells(found: DirectionResults, interval: str, key: str) -> list[str]:
    ends = found.intervals[interval].get(key)
    between = "" if ends is None else f"{_cell(ends.low)} - {_cell(ends.high)}"
    return [_cell(found.metrics[key]), between, _cell(found.chance.get(key))]


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
