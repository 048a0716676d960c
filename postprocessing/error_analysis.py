"""Scores -> an HTML page with sound: metrics with intervals, clips that were found or missed, and players for them.

    python -m postprocessing.error_analysis

Writes <split>_error_analysis.html: the metrics with 95 % intervals beside chance, how the ranks are spread, R@k by the
length of the caption and by the number of relevant clips, which clips come up too often, and the hardest and easiest
queries with players for the clips that were sought and those that were found. Takes the scores of other systems too
(--scores FILE), and every year's protocol (--protocol).
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tasks import Commands, command
from tasks.retrieval.errors import Errors
from tasks.retrieval.evaluation import Direction, Indices, evaluate_split
from tasks.retrieval.score_choice import scores_of_command_line
from utils.cli_utils import positive
from utils.metric_utils.breakdown import Bin, chance_by_rank, even_bins, rank_bins
from utils.metric_utils.intervals import Interval, bootstrap_intervals
from utils.metric_utils.protocols import DEFAULT_PROTOCOL, PROTOCOLS
from utils.report_utils import (
    BarChart,
    Block,
    Card,
    Content,
    Details,
    Figure,
    Grid,
    Note,
    Number,
    Page,
    Paragraph,
    Player,
    Table,
    print_table,
)

SCRIPT = "postprocessing.error_analysis"
# Best clips read of each query: more than any query of the challenges has relevant ones, so that a wrong one is there.
_BEST = 16
_BINS = 6  # of caption lengths, and of numbers of relevant clips
_SOUGHT_SHOWN = 6  # players of a query with many relevant clips
_TILE_PX = 300  # of a clip: the sought one and the five best make two rows of three
_INTRUDERS = 12  # clips that come up too often


@command
def main(argv: Sequence[str] | None = None) -> None:
    """Measure, write the page, print the short of it."""
    parser = argparse.ArgumentParser(prog=f"python -m {SCRIPT}", description=__doc__.splitlines()[0])
    parser.add_argument("--top", type=positive, default=5, help="clips shown of each query (default 5)")
    parser.add_argument("--hardest", type=positive, default=30, help="how many of the hardest queries (default 30)")
    parser.add_argument("--easiest", type=positive, default=10, help="how many of the easiest queries (default 10)")
    parser.add_argument("--protocol", choices=sorted(PROTOCOLS), help=f"of which year (default {DEFAULT_PROTOCOL})")
    parser.add_argument("--relevance", type=Path, help="CSV with the relevant clips of every query")
    with scores_of_command_line(argv, parser) as (scores, run, args):
        protocol = PROTOCOLS[args.protocol or DEFAULT_PROTOCOL]
        evaluation = evaluate_split(scores, run, protocol, args.relevance, max(args.top, _BEST))
        errors = Errors.of(scores, run, evaluation, args.top)
    page = page_of(errors, args.hardest, args.easiest)
    suffix = f"_{args.protocol}" if args.protocol else ""
    path = scores.folder / f"{scores.split}_error_analysis{suffix}.html"
    page.write(path)
    public = scores.publish(path)
    if public != path:
        page.write(public)  # not a copy: links to the sounds are relative to the page's folder
    _print(errors)
    print(f"wrote {public}: open it in a browser")
    if scores.trained is not None:
        print(f"next: {scores.command_for('postprocessing.search', errors.text(errors.hardest(1)[0]))}")
    elif run.folder.is_dir():
        commands = Commands.of(args, run.script_of)
        print(f"next: {commands.line('postprocessing.compare', str(run.folder), str(scores.path))}")


def page_of(errors: Errors, hardest: int, easiest: int) -> Page:
    """The page, section by section."""
    scores, protocol = errors.scores, errors.evaluation.protocol
    page = Page(f"Error analysis: retrieval on '{scores.split}'", f"{scores.label}, measured as {protocol.name}")
    page.section("Metrics", *_metrics(errors))
    page.section("Ranks", *_ranks(errors))
    page.section("Caption length", *_broken_down(errors, errors.lengths, "words of the caption"))
    page.section("Relevant clips", *_by_relevant(errors))
    page.section("Found too often", *_intruders(errors))
    order = f"Lowest {errors.leading} first; among equals the later rank, then the wider miss."
    page.section("Hardest queries", Note(order), *(_card(errors, query) for query in errors.hardest(hardest)))
    order = f"Highest {errors.leading} first; among equals the clearer lead over the best wrong clip."
    page.section("Easiest queries", Note(order), *(_card(errors, query) for query in errors.easiest(easiest)))
    return page


def _metrics(errors: Errors) -> list[Content]:
    forward, backward = errors.forward, errors.evaluation.audio_to_text
    blocks: list[Content] = [
        Paragraph([f"Text to audio, {forward.shape[0]} captions, each against {forward.shape[1]} clips:"])
    ]
    blocks.append(_metric_table(forward))
    if backward is not None:
        blocks.append(
            Paragraph([f"Audio to text, {backward.shape[0]} clips, each against {backward.shape[1]} captions:"])
        )
        blocks.append(_metric_table(backward))
    blocks.append(
        Note(
            "Intervals are of 95 %: clips are drawn (bootstrap) or left out (jackknife) with all their captions, since "
            "the captions of a clip are not independent. Chance is a random order. R@k counts all relevant items of a "
            "query; hit@k is whether any of them is among the first k. Higher is better, but for median_rank."
        )
    )
    if errors.evaluation.shared is not None:
        blocks.append(Note(f"{errors.evaluation.shared.describe()}."))
    matched, file = errors.evaluation.judgements.matched, errors.evaluation.judgements.file
    if matched is not None and file is not None:
        left = {
            "are no caption": matched.unmatched,
            "are listed twice": matched.duplicates,
            "have no clip here": matched.without_clips,
        }
        counts = "; ".join(f"{len(queries)} {what}" for what, queries in left.items())
        blocks.append(Note(f"Relevant clips are those of {file.name}. Of its queries {counts}."))
    return blocks


def _metric_table(direction: Direction) -> Table:
    found, chance = direction.metrics(), direction.chance()
    intervals = _intervals(direction)
    rows = [
        [key, found[key], *(_shown(intervals[name].get(key)) for name in intervals), chance[key]]
        for key in sorted(chance, key=_order)
    ]
    return Table(["metric", "value", *(f"{name}, 95 %" for name in intervals), "chance"], rows)


def _intervals(direction: Direction) -> dict[str, dict[str, Interval]]:
    """By bootstrap and by jackknife; none where there is only one clip to draw."""
    return direction.intervals() if len(np.unique(direction.clusters)) > 1 else {}


def _ranks(errors: Errors) -> list[Content]:
    """How many queries have their first relevant clip at which rank."""
    depth, clips = errors.scores.depth, len(errors.scores.clips)
    bins = rank_bins(clips if depth is None else min(depth, clips))
    labels = [b.label for b in bins]
    found = [int(b.holds(errors.ranks).sum()) for b in bins]
    counts = np.bincount(errors.forward.query_index)
    chance = chance_by_rank(bins, counts, clips)
    if depth is not None and depth < clips:
        labels.append("not named")
        found.append(len(counts) - sum(found))
        chance.append(len(counts) - sum(chance))
    chart = BarChart(
        labels,
        {"queries": found},
        "how many queries have their first relevant clip at which rank",
        x_label="rank of the first relevant clip",
        y_label="queries",
        marks={"chance": chance},
    )
    shares = np.cumsum(found) / len(counts)
    rows = [[label, n, share, c] for label, n, share, c in zip(labels, found, shares.tolist(), chance, strict=True)]
    table = Table(["rank", "queries", "share up to here", "chance"], rows, decimals=3)
    return [Figure(chart, "The bins widen with the rank; the line is what a random order gives."), table]


def _broken_down(errors: Errors, keys: Indices, name: str) -> list[Content]:
    """R@k and the leading metric of the queries in each bin of `keys`."""
    bins = even_bins(keys, _BINS)
    recalls = [key for key in errors.values if key.startswith("R@")]
    shown = list(dict.fromkeys([*recalls, errors.leading]))
    means = {key: [float(errors.values[key][b.holds(keys)].mean()) for b in bins] for key in shown}
    rows = [
        [b.label, int(b.holds(keys).sum()), *(means[key][n] for key in shown), _shown(_bin_interval(errors, keys, b))]
        for n, b in enumerate(bins)
    ]
    title = f"R@k by {name}"
    labels = [b.label for b in bins]
    chart = BarChart(labels, {key: means[key] for key in recalls}, title, x_label=name, y_label="R@k")
    columns = [name, "queries", *shown, f"{errors.leading}, 95 %"]
    return [Figure(chart), Table(columns, rows)]


def _bin_interval(errors: Errors, keys: Indices, within: Bin) -> Interval | None:
    """Of the leading metric, by bootstrap; None of a single clip."""
    held = within.holds(keys)
    clusters = errors.forward.clusters[held]
    if len(np.unique(clusters)) < 2:
        return None
    return bootstrap_intervals({errors.leading: errors.values[errors.leading][held]}, clusters)[errors.leading]


def _by_relevant(errors: Errors) -> list[Content]:
    counts = np.bincount(errors.forward.query_index)
    if (counts == counts[0]).all():
        clips = "one relevant clip" if counts[0] == 1 else f"{counts[0]} relevant clips"
        return [Paragraph([f"Every query has {clips}: there is nothing to compare."])]
    cap = Note("With m relevant clips R@k cannot exceed k / m.")
    return [*_broken_down(errors, counts, "relevant clips of the query"), cap]


def _intruders(errors: Errors) -> list[Content]:
    """Show the clips that are often among the best of queries to which they are not relevant."""
    clips = len(errors.scores.clips)
    wrong = errors.wrong[:, : errors.top]
    counts = np.bincount(errors.evaluation.best_clips[:, : errors.top][wrong], minlength=clips)
    mean = counts.sum() / clips
    worst = [clip for clip in np.argsort(-counts, kind="stable")[:_INTRUDERS].tolist() if counts[clip] > mean]
    note = (
        f"How often a clip is among the first {errors.top} of a query that it is not relevant to; on average "
        f"{mean:.1f} times."
    )
    if not worst:
        return [Paragraph([f"No clip is among the first {errors.top} of more wrong queries than the others."])]
    return [Note(note), Grid([_player(errors, clip, f"{counts[clip]} times") for clip in worst], _TILE_PX)]


def _card(errors: Errors, query: int) -> Block:
    """A query, the clips that were sought, and those that were found."""
    pairs = np.flatnonzero(errors.forward.query_index == query)
    pairs = pairs[np.argsort(errors.forward.ranks[pairs])]
    shown = errors.evaluation.best_clips[query, : errors.top].tolist()
    sought = errors.evaluation.judgements.item_index[pairs].tolist()
    missed = [(pair, clip) for pair, clip in zip(pairs.tolist(), sought, strict=True) if clip not in shown]
    players: list[Content] = [
        _player(errors, clip, f"sought, {_rank(errors, pair)}{_score(errors, errors.sought_scores[pair])}", good=True)
        for pair, clip in missed[:_SOUGHT_SHOWN]
    ]
    clips, alike = errors.scores.clips, errors.fids_of_text[errors.text(query).strip()]
    alike = alike - {clips[clip].fid for clip in sought}
    for place, clip in enumerate(shown, 1):
        kind = "sought, " * (clip in sought) + "has this caption too, " * (clips[clip].fid in alike)
        line = f"{kind}rank {place}{_score(errors, errors.best_scores[query, place - 1])}"
        players.append(_player(errors, clip, line, good=clip in sought))
    of = f" of {len(clips)}"
    ranks = ", ".join(_rank(errors, pair) for pair in pairs.tolist()[:_SOUGHT_SHOWN])
    more = f" and {len(pairs) - _SOUGHT_SHOWN} more" if len(pairs) > _SOUGHT_SHOWN else ""
    line = f"sought: {ranks}{of}{more}; {errors.leading.removeprefix('m')} {errors.values[errors.leading][query]:.4f}"
    if alike:
        line += f"; {len(alike)} other clip{'s have' if len(alike) > 1 else ' has'} this caption, word for word"
    return Card(errors.text(query), line, [Grid(players, _TILE_PX)])


def _rank(errors: Errors, pair: int) -> str:
    rank, depth = errors.forward.ranks[pair], errors.scores.depth
    return f"rank {rank}" if depth is None or rank <= depth else f"not among the {depth} named"


def _score(errors: Errors, score: float) -> str:
    """Lists of names have no scores."""
    return f", score {score:.4f}" if errors.scores.depth is None else ""


def _player(errors: Errors, column: int, line: str, good: bool = False) -> Player:
    clip = errors.scores.clips[column]
    captions = errors.captions_of.get(clip.fid, [])
    shown: list[Content] = [Details(captions[0], captions[1:])] if len(captions) > 1 else [*captions]
    below = [Paragraph([line], quiet=True), *shown, Paragraph([clip.fname], quiet=True)]
    return Player(errors.root / clip.path, below, good)


def _print(errors: Errors) -> None:
    """The metrics of text to audio."""
    found, chance, intervals = errors.forward.metrics(), errors.forward.chance(), _intervals(errors.forward)
    drawn = intervals.get("bootstrap", {})
    rows = []
    for key in sorted(chance, key=_order):
        interval = drawn.get(key)
        rows.append([key, f"{found[key]:.4f}", "" if interval is None else _both(interval), f"{chance[key]:.4f}"])
    title = f"Text to audio on '{errors.scores.split}', {errors.scores.label}, {errors.evaluation.protocol.name}"
    print_table(title, ["", "value", "95 % (bootstrap by clip)", "chance"], rows)


def _shown(interval: Interval | None) -> Number | None:
    return None if interval is None else Number(interval.low, _both(interval))


def _both(interval: Interval) -> str:
    return f"{interval.low:.4f} to {interval.high:.4f}"


def _order(key: str) -> tuple[int, int]:
    """R@1, R@5, ..., mAP@10, ..., nDCG@10, hit@1, ..., median_rank."""
    name, _, k = key.partition("@")
    return (["R", "mAP", "nDCG", "hit", "median_rank"].index(name), int(k or 0))


if __name__ == "__main__":
    main()
