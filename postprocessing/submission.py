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

from tasks import command
from tasks.retrieval.dual_encoder import DualEncoderRun
from tasks.retrieval.matching import caption_rows
from tasks.retrieval.score_choice import add_score_arguments, scores_of_command_line
from tasks.retrieval.scores import SplitScores
from tasks.runs import load_run
from tasks.trained import split_name
from utils.artefact_utils.retrieval import (
    SUBMISSION_YEARS,
    check_submission,
    read_relevance,
    write_matrix_submission,
    write_ranked_submission,
)
from utils.cli_utils import UserError, printable
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
        with scores_of_command_line(argv, parser) as (scores, run, args):
            queries = _queries_file(run, scores.split, args.year, args.relevance)
            path = write_submission(scores, args.year, queries, args.output)
            return print_problems(path, run, scores.split, args.year, queries)
    add_score_arguments(parser)
    run, args = load_run(argv, parser, DualEncoderRun)
    split = split_name(run, args.split)
    return print_problems(args.check, run, split, args.year, _queries_file(run, split, args.year, args.relevance))


def write_submission(scores: SplitScores, year: int, queries: Path | None, output: Path | None) -> Path:
    """Write the file of a year.

    Args:
        scores: of a split.
        year: whose format.
        queries: the list of queries of the matrix; None: all captions.
        output: the file; None: beside the scores.
    Returns:
        The path to name to the user.
    Raises:
        UserError: a score is not finite, or the ranked lists are too short for the format.
    """
    path = output or scores.folder / f"{scores.split}_submission_{year}.csv"
    needed = min(TOP, len(scores.clips))
    if scores.depth is not None and (year == _MATRIX_YEAR or scores.depth < needed):
        wanted = "the scores of all clips" if year == _MATRIX_YEAR else f"{needed} clips a caption"
        raise UserError(f"{scores.path}: names {scores.depth} clips a query, {year} wants {wanted}; give scores")
    names = [clip.fname for clip in scores.clips]
    try:
        if year == _MATRIX_YEAR:
            texts, rows = _scored_queries(scores, queries)
            write_matrix_submission(path, texts, names, _rows_of(scores.text_to_audio(), rows))
        else:
            best, _ = top_k(scores.text_to_audio(), TOP)
            raw = [caption.raw_text for caption in scores.captions]
            write_ranked_submission(path, raw, ([names[column] for column in row] for row in best))
    except NonFiniteScoreError as error:
        raise scores.not_finite(error) from error
    shown = path if output else scores.publish(path)
    print(f"{scores.label}: wrote {shown}")
    return shown


def _rows_of(source: ScoreSource, rows: Indices) -> Iterator[NDArray[Any]]:
    """Yield the (C,) scores of some queries in the order of `rows`; streamed where it is that of the source."""
    ascending = bool(np.all(np.diff(rows) > 0))
    buffer: NDArray[Any] | None = None  # of the source's own dtype, known from its first block
    for start, block in checked_blocks(source):
        wanted = np.flatnonzero((rows >= start) & (rows < start + len(block)))
        found = block[rows[wanted] - start]
        if ascending:
            yield from found
            continue
        if buffer is None:
            buffer = np.empty((len(rows), source.shape[1]), block.dtype)
        buffer[wanted] = found
    if buffer is not None:
        yield from buffer


def _scored_queries(scores: SplitScores, listed: Path | None) -> tuple[list[str], Indices]:
    """The queries of 2025, and the row of each.

    Raises:
        UserError: no query of the list is a caption of the split, or the list is broken.
    """
    if listed is None:
        return [caption.raw_text for caption in scores.captions], np.arange(len(scores.captions))
    texts = _listed_queries(listed)
    rows = caption_rows(texts, scores.captions)
    missing = np.flatnonzero(rows < 0)
    if len(missing) == len(texts):
        raise UserError(
            f"{listed}: none of its {len(texts)} queries is a caption of '{scores.split}', the first is '{texts[0]}'; "
            "give the list of this split with --relevance, or another --split"
        )
    if len(missing):
        example = printable(texts[missing[0]])
        print(f"{listed}: {len(missing)} of {len(texts)} queries are no caption, such as '{example}'")
    return [text for text, row in zip(texts, rows, strict=True) if row >= 0], rows[rows >= 0]


def _queries_file(run: DualEncoderRun, split: str, year: int, given: Path | None) -> Path | None:
    """The list of queries of a matrix: the one that is given, or else that of the evaluation split in data.root."""
    if year != _MATRIX_YEAR:
        return None
    beside = run.data.root / RELEVANCE_FILE
    return beside if given is None and split == run.data.splits.eval and beside.is_file() else given


def _listed_queries(path: Path) -> list[str]:
    """The queries of a list, each once, as the list spells them."""
    spelled: dict[str, str] = {}
    for one in read_relevance(path):
        spelled.setdefault(one.query.strip(), one.query)
    return list(spelled.values())


def print_problems(path: Path, run: DualEncoderRun, split: str, year: int, queries: Path | None) -> int:
    """Check a file, also one that was written here: a clip without scores would be missing; returns the exit code.

    Args:
        path: the submission.
        run: its tables say which clips and captions there are.
        split: its own name.
        year: whose format.
        queries: the list of queries of the matrix; None: all captions.
    Raises:
        UserError: the file, the list or a table cannot be read.
    """
    clips, captions = read_tables(run.data, split)
    raw, names = [caption.raw_text for caption in captions], [clip.fname for clip in clips]
    if queries is None:
        found = check_submission(path, year, raw, names)
    else:
        found = check_submission(path, year, _listed_queries(queries), names, raw, queries.name)
    for problem in found.problems:
        print(printable(problem))
    counts = f"{found.rows} queries, {found.files} different clips of {len(clips)}"
    print(f"{path}: {found.total} problems: {counts}" if found.total else f"{path}: right for {year}: {counts}")
    return int(found.total > 0)


if __name__ == "__main__":
    main()
