"""What other files call captions and clips, matched to those of a split: by id, by text, by name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from utils.artefact_utils import Caption, Clip
from utils.artefact_utils.retrieval import ForeignScores, RelevanceList
from utils.cli_utils import ArtefactError
from utils.dataset_utils.clips import match_key
from utils.text_utils import normalise_caption

Indices = NDArray[np.int64]


class MatchedQueries(NamedTuple):
    """Queries that are captions of a split, with their relevant clips: Q' queries, R pairs."""

    rows: Indices  # (Q',) the caption of each query; none twice
    query_index: Indices  # (R,) in [0, Q')
    item_index: Indices  # (R,) the clip
    gains: NDArray[np.float64]  # (R,) above 0
    unmatched: list[str]  # queries that are no caption
    duplicates: list[str]  # queries that several captions share, or that are in the lists more than once
    unknown_files: list[str]  # relevant files that are no clip of the split, once each
    without_clips: list[str]  # queries whose files are all unknown


class AlignedScores(NamedTuple):
    """Foreign scores in the order of a split."""

    scores: NDArray[Any]  # (Q, C), rows as the captions, columns as the clips
    depth: int | None  # as in ForeignScores
    duplicate_queries: list[str]  # queries that are in the file more than once; their first row counts
    surplus_queries: int  # rows of the file that are no caption of the split
    surplus_files: int  # its columns that are no clip


def match_queries(lists: Sequence[RelevanceList], captions: Sequence[Caption], clips: Sequence[Clip]) -> MatchedQueries:
    """Find the caption of each query and the clips of each list.

    A query is the caption with this tid, or with this id of the data set; or else the one with the same text, outer
    blanks aside; where there is none, that with the same `normalise_caption`. Where several captions share the text,
    the first in table order wins; where a query is in the lists more than once, its first list wins; both are in
    `duplicates`. A query that is no caption is left out, and so is one whose files are all unknown.

    Args:
        lists: the relevant files of each query.
        captions: of the split, the rows of its scores.
        clips: of the split, the columns of its scores.
    """
    texts = _Texts([caption.raw_text for caption in captions])
    by_id = {id_: row for row, caption in enumerate(captions) for id_ in (caption.source_id, caption.tid) if id_}
    columns = _columns([clip_names(clip) for clip in clips])
    matched = MatchedQueries(*(np.zeros(0, np.int64),) * 3, np.zeros(0), [], [], [], [])
    rows: list[int] = []
    pairs: list[tuple[int, int, float]] = []
    taken: set[int] = set()
    unknown: dict[str, None] = {}
    for query, names, gains in lists:
        found = [by_id[query]] if query in by_id else texts.find(query)
        if not found:
            matched.unmatched.append(query)
            continue
        if len(found) > 1 or found[0] in taken:
            matched.duplicates.append(query)
        if found[0] in taken:
            continue
        items = {c: gain for name, gain in zip(names, gains, strict=True) if (c := _find(columns, name)) is not None}
        unknown |= dict.fromkeys(name for name in names if _find(columns, name) is None)
        taken.add(found[0])
        if not items:
            matched.without_clips.append(query)
            continue
        pairs += [(len(rows), column, gain) for column, gain in items.items()]
        rows.append(found[0])
    query_index, item_index, gains_of_pairs = zip(*pairs, strict=True) if pairs else ((), (), ())
    return matched._replace(
        rows=np.array(rows, np.int64),
        query_index=np.array(query_index, np.int64),
        item_index=np.array(item_index, np.int64),
        gains=np.array(gains_of_pairs, np.float64),
        unknown_files=list(unknown),
    )


def caption_rows(queries: Sequence[str], captions: Sequence[Caption]) -> Indices:
    """(N,) the caption that each query is, as in `match_queries`; -1 where it is none."""
    texts = _Texts([caption.raw_text for caption in captions])
    return np.array([next(iter(texts.find(query)), -1) for query in queries], np.int64)


def captions_among(queries: Sequence[str], captions: Sequence[Caption]) -> Indices:
    """Which captions (by row, ascending) a file of scores has: those that `align_scores` finds there."""
    return np.flatnonzero(_query_rows(queries, captions) >= 0)


def align_scores(foreign: ForeignScores, captions: Sequence[Caption], clips: Sequence[Clip]) -> AlignedScores:
    """Foreign scores in the order of a split.

    A row belongs to a caption by its tid, by the data set's own id, or by its text as in `match_queries`. Where as many
    rows as captions have one text, the first row belongs to the first caption, and so on; else all get the first row.
    A column belongs to a clip by its fid, its path in data.root, its file name or the data set's own id where only one
    clip has it. Ranked lists (`depth`) must name clips of the split only, since a rank among other candidates is not
    comparable; a clip that a row does not name scores 0, below all names. Scores that are in order already are not
    copied, so that a memory map stays one.

    Raises:
        ArtefactError: a caption or a clip is not in the file, or a ranked list names what is no clip of the split.
    """
    rows = _query_rows(foreign.queries, captions)
    missing = np.flatnonzero(rows < 0)
    if len(missing):
        raise ArtefactError(
            f"{foreign.path}: {len(missing)} of {len(captions)} captions have no row, the first is "
            f"'{captions[missing[0]].raw_text}'; name each row by the caption's text or tid"
        )
    if foreign.depth is None:
        columns = _clip_columns(foreign, clips)
        scores, surplus_files = _taken(foreign.scores, rows, columns), len(foreign.files) - len(np.unique(columns))
    else:
        scores, surplus_files = _ranked(foreign, foreign.depth, rows, clips), 0
    unused = np.setdiff1d(np.arange(len(foreign.queries)), rows).tolist()
    taken = {foreign.queries[row].strip() for row in rows.tolist()}
    again = [query for row in unused if (query := foreign.queries[row].strip()) in taken]
    return AlignedScores(scores, foreign.depth, list(dict.fromkeys(again)), len(unused) - len(again), surplus_files)


def clip_names(clip: Clip) -> tuple[str, str, str, str]:
    """What a file may call a clip by, the surest first."""
    return clip.fid, clip.path, clip.fname, clip.source_id


class _Texts:
    """Texts, to be found by their spelling, or else by their words."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._texts = texts
        self._exact = _positions([text.strip() for text in texts])
        self._normalised: dict[str, list[int]] | None = None  # made when it is first needed

    def find(self, *spellings: str) -> list[int]:
        """Positions of the texts that are the same; ascending, empty if there is none.

        Args:
            spellings: of one text; an earlier one counts more, and so does a spelling than its words alone.
        """
        for text in spellings:
            if text.strip() and (exact := self._exact.get(text.strip())):
                return exact
        if self._normalised is None:
            self._normalised = _positions([normalise_caption(text) for text in self._texts])
        for text in spellings:
            words = normalise_caption(text)
            if words and (same := self._normalised.get(words)):
                return same
        return []


def _positions(keys: Sequence[str]) -> dict[str, list[int]]:
    positions: dict[str, list[int]] = {}
    for number, key in enumerate(keys):
        positions.setdefault(key, []).append(number)
    return positions


def _columns(names: Sequence[Sequence[str]]) -> dict[str, int]:
    """Name -> column; a name that two columns share means neither."""
    columns: dict[str, int] = {}
    shared: set[str] = set()
    for column, given in enumerate(names):
        for name in {*given, *map(match_key, given)}:
            if columns.setdefault(name, column) != column:
                shared.add(name)
    return {name: column for name, column in columns.items() if name not in shared}


def _find(columns: dict[str, int], name: str) -> int | None:
    return columns.get(name, columns.get(match_key(name)))


def _query_rows(queries: Sequence[str], captions: Sequence[Caption]) -> Indices:
    """(Q,) the row of each caption, -1 where there is none."""
    texts = _Texts(queries)
    by_id = {query.strip(): row for row, query in reversed(list(enumerate(queries)))}  # the first one wins
    by_id.pop("", None)  # the id of a data set without ids
    rows = np.full(len(captions), -1, np.int64)
    sharing: dict[tuple[int, ...], list[int]] = {}  # rows of one text -> the captions that have it
    for number, caption in enumerate(captions):
        by_own_id = by_id.get(caption.tid, by_id.get(caption.source_id))
        if by_own_id is not None:
            rows[number] = by_own_id
        elif found := texts.find(caption.raw_text, caption.text):
            rows[number] = found[0]
            sharing.setdefault(tuple(found), []).append(number)
    for same, numbers in sharing.items():
        if len(same) == len(numbers):
            rows[numbers] = same
    return rows


def _clip_columns(foreign: ForeignScores, clips: Sequence[Clip]) -> Indices:
    """(C,) the column of each clip."""
    shared = Counter(name for clip in clips for name in {clip.fname, clip.source_id})
    by_name = _columns([(name,) for name in foreign.files])
    columns = np.full(len(clips), -1, np.int64)
    for number, clip in enumerate(clips):
        names = [*clip_names(clip)[:2], *(name for name in clip_names(clip)[2:] if shared[name] == 1)]
        columns[number] = next((c for name in names if (c := _find(by_name, name)) is not None), -1)
    missing = np.flatnonzero(columns < 0)
    if len(missing):
        raise ArtefactError(
            f"{foreign.path}: {len(missing)} of {len(clips)} clips have no column, the first is "
            f"'{clips[missing[0]].fname}'; name each column by the file name or fid of a clip"
        )
    return columns


def _taken(scores: NDArray[Any], rows: Indices, columns: Indices) -> NDArray[Any]:
    if scores.shape == (len(rows), len(columns)) and all(
        np.array_equal(index, np.arange(len(index))) for index in (rows, columns)
    ):
        return scores
    taken: NDArray[Any] = scores[np.ix_(rows, columns)]
    return taken


def _ranked(foreign: ForeignScores, depth: int, rows: Indices, clips: Sequence[Clip]) -> NDArray[np.float32]:
    """(Q, C) depth, depth - 1, ..., 1 for the clips that each row names, 0 for the others.

    Raises:
        ArtefactError: a row names what is no clip, or a clip twice.
    """
    if depth > len(clips):
        raise ArtefactError(
            f"{foreign.path}: names {depth} clips a query, but the split has only {len(clips)}; name clips of the split"
        )
    columns = _columns([clip_names(clip) for clip in clips])
    clip_of_name = np.array([-1 if (c := _find(columns, name)) is None else c for name in foreign.files], np.int64)
    named = foreign.scores[rows]
    found = clip_of_name[named]
    strange = np.argwhere(found < 0)
    if len(strange):
        row, place = map(int, strange[0])
        raise ArtefactError(
            f"{foreign.path}: names {len(np.unique(named[found < 0]))} files that are no clips of the split, the first "
            f"is '{foreign.files[named[row, place]]}' of query '{foreign.queries[rows[row]]}'; a rank among other "
            "files is not comparable: name clips of the split, as its tables spell them"
        )
    ordered = np.sort(found, axis=1)
    twice = np.argwhere(ordered[:, 1:] == ordered[:, :-1])
    if len(twice):
        row, place = map(int, twice[0])
        raise ArtefactError(
            f"{foreign.path}: query '{foreign.queries[rows[row]]}' names clip '{clips[ordered[row, place]].fname}' "
            "twice, in two spellings; name different clips"
        )
    scores = np.zeros((len(rows), len(clips)), np.float32)
    np.put_along_axis(scores, found, np.arange(depth, 0, -1, dtype=np.float32)[None], axis=1)
    return scores
