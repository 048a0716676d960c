"""Scores -> the submission file of a year of DCASE's language-based audio retrieval; or a file checked.

    python -m postprocessing.submission --year 2024
    python -m postprocessing.submission --year 2025 --check FILE

2022 to 2024: each raw caption and its ten best clips. 2025: a matrix of scores, queries by clips; the queries are those
of metadata_eval.csv in data.root, or of --relevance FILE, or else all captions. A check lists what is wrong, by line,
and exits with 1 if anything is.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks.retrieval.dual_encoder import DualEncoderRun
from tasks.retrieval.matching import caption_rows
from tasks.retrieval.scores import ScoredSplit, add_scored_arguments, open_scored
from tasks.runs import load_run
from tasks.trained import split_name
from utils.artefact_utils.retrieval import (
    SUBMISSION_YEARS,
    check_submission,
    read_relevance,
    write_matrix_submission,
    write_ranked_submission,
)
from utils.cli_utils import UserError, command, printable
from utils.data_utils import read_tables
from utils.metric_utils.ranking import top_k
from utils.metric_utils.scores import NonFiniteScoreError, ScoreSource, checked_blocks

SCRIPT = "postprocessing.submission"
TOP = 10
RELEVANCE_FILE = "metadata_eval.csv"
_MATRIX_YEAR = 2025

Indices = NDArray[np.int64]


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Write a submission, or check one."""
    parser = argparse.ArgumentParser(prog=f"python -m {SCRIPT}", description=__doc__.splitlines()[0])
    parser.add_argument("--year", type=int, choices=SUBMISSION_YEARS, required=True, help="whose format")
    parser.add_argument("--output", type=Path, help="the file to write (default: beside the scores)")
    parser.add_argument("--relevance", type=Path, help=f"the queries of 2025 (default: {RELEVANCE_FILE} in data.root)")
    parser.add_argument("--check", type=Path, metavar="FILE", help="write nothing; list what is wrong with FILE")
    only_check = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    only_check.add_argument("--check")
    if only_check.parse_known_args(argv)[0].check is None:
        with open_scored(argv, parser) as (scored, run, args):
            return _write(scored, run, args)
    add_scored_arguments(parser)
    run, args = load_run(argv, parser, DualEncoderRun)
    return _check(args.check, run, split_name(run, args.split), args)


def _write(scored: ScoredSplit, run: DualEncoderRun, args: argparse.Namespace) -> int:
    """Write the file, then check it as any other: a clip without scores would be missing.

    Raises:
        UserError: a score is not finite, or the scores tell too little.
    """
    path: Path = args.output or scored.folder / f"{scored.split}_submission_{args.year}.csv"
    needed = min(TOP, len(scored.clips))
    if scored.depth is not None and (args.year == _MATRIX_YEAR or scored.depth < needed):
        wanted = "the scores of all clips" if args.year == _MATRIX_YEAR else f"{needed} clips a caption"
        raise UserError(f"{scored.path}: names {scored.depth} clips a query, {args.year} wants {wanted}; give scores")
    try:
        if args.year == _MATRIX_YEAR:
            texts, rows = _scored_queries(scored, _queries_file(run, scored.split, args))
            names = [clip.fname for clip in scored.clips]
            write_matrix_submission(path, texts, names, _rows_of(scored.text_to_audio(), rows))
        else:
            best, _ = top_k(scored.text_to_audio(), TOP)
            raw = [caption.raw_text for caption in scored.captions]
            write_ranked_submission(path, raw, ([scored.clips[c].fname for c in row] for row in best))
    except NonFiniteScoreError as error:
        raise scored.not_finite(error) from error
    shown = path if args.output else scored.publish(path)
    print(f"{scored.label}: wrote {shown}")
    return _check(shown, run, scored.split, args)


def _rows_of(source: ScoreSource, rows: Indices) -> Iterator[NDArray[Any]]:
    """(C,) scores of some queries, in the order asked for; streamed where it is that of the source."""
    ascending = bool(np.all(np.diff(rows) > 0))
    kept: NDArray[Any] | None = None  # of the source's own type, which its blocks tell
    for start, block in checked_blocks(source):
        wanted = np.flatnonzero((rows >= start) & (rows < start + len(block)))
        found = block[rows[wanted] - start]
        if ascending:
            yield from found
            continue
        if kept is None:
            kept = np.empty((len(rows), source.shape[1]), block.dtype)
        kept[wanted] = found
    if kept is not None:
        yield from kept


def _scored_queries(scored: ScoredSplit, listed: Path | None) -> tuple[list[str], Indices]:
    """The queries of 2025, and the row of each.

    Raises:
        UserError: no query of the list is a caption of the split, or the list is broken.
    """
    if listed is None:
        return [caption.raw_text for caption in scored.captions], np.arange(len(scored.captions))
    texts = _listed_queries(listed)
    rows = caption_rows(texts, scored.captions)
    missing = np.flatnonzero(rows < 0)
    if len(missing) == len(texts):
        raise UserError(
            f"{listed}: none of its {len(texts)} queries is a caption of '{scored.split}', the first is '{texts[0]}'; "
            "give the list of this split with --relevance, or another --split"
        )
    if len(missing):
        example = printable(texts[missing[0]])
        print(f"{listed}: {len(missing)} of {len(texts)} queries are no caption, such as '{example}'")
    return [text for text, row in zip(texts, rows, strict=True) if row >= 0], rows[rows >= 0]


def _queries_file(run: DualEncoderRun, split: str, args: argparse.Namespace) -> Path | None:
    """The list of queries: the one that is given, or else that of the evaluation split in data.root."""
    standing = run.data.root / RELEVANCE_FILE
    if args.relevance is None and split == run.data.splits.eval and standing.is_file():
        return standing
    return args.relevance


def _listed_queries(path: Path) -> list[str]:
    """The queries of a list, each once, as the list spells them."""
    spelled: dict[str, str] = {}
    for one in read_relevance(path):
        spelled.setdefault(one.query.strip(), one.query)
    return list(spelled.values())


def _check(path: Path, run: DualEncoderRun, split: str, args: argparse.Namespace) -> int:
    """Print what is wrong with a file; returns the exit code."""
    clips, captions = read_tables(run.data, split, run.repairs().tables)
    listed = _queries_file(run, split, args) if args.year == _MATRIX_YEAR else None
    raw, names = [caption.raw_text for caption in captions], [clip.fname for clip in clips]
    if listed is None:
        found = check_submission(path, args.year, raw, names)
    else:
        found = check_submission(path, args.year, _listed_queries(listed), names, raw, listed.name)
    for problem in found.problems:
        print(printable(problem))
    counts = f"{found.rows} queries, {found.files} different clips of {len(clips)}"
    if not found.total:
        print(f"{path}: right for {args.year}: {counts}")
        return 0
    print(f"{path}: {found.total} problems: {counts}")
    return 1


if __name__ == "__main__":
    main()
