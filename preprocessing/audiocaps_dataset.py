"""AudioCaps, as TSV or as the official CSV -> audio_info.pkl, <split>_text.csv, vocab_info.pkl.

    python -m preprocessing.audiocaps_dataset --conf tasks/clap_projection.yaml

Reads data.root, for each split of data.splits one of

    <split>.tsv     uniq_id, audio, text: `audio` such as audiocaps/audio/val/0.flac; folders that lead to data.root
                    itself are left out
    <split>.csv     audiocap_id, youtube_id, start_time, caption: the clip is <youtube_id>_<start_time>.* or
                    <youtube_id>.* in <split>/, audio/<split>/, audio/ or data.root itself; or, where no other can be
                    meant, with a Y before it, its end behind it, in milliseconds: Y<id>.*, <id>_30.000_40.000.*, ...

Columns may be in any order, and others are ignored. Malformed rows are repaired and counted; what cannot be used,
such as a row whose recording is missing, is listed in <split>_rejected.csv.
"""

from __future__ import annotations

import argparse
import os
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath

from tasks import Commands, command, load_run
from tasks.base import CaptionRun
from utils.cli_utils import UserError, existing_folder, positive
from utils.data_utils import making
from utils.dataset_utils import (
    AUDIO_SUFFIXES,
    LooseTable,
    RawCaption,
    RawSplit,
    Rejected,
    TableForm,
    TableRow,
    audio_files,
    match_key,
    read_loose_table,
    require_layout,
    write_tables,
)
from utils.process_utils import all_cores

SCRIPT = "preprocessing.audiocaps_dataset"
CORPUS_SCRIPT = "preprocessing.synthetic_corpus"


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Write the tables of every split; returns 1 when --strict finds rejected clips or captions."""
    parser = argparse.ArgumentParser(prog=f"python -m {SCRIPT}", description=__doc__.splitlines()[0])
    parser.add_argument("--strict", action="store_true", help="exit with 1 if any clip or caption is rejected")
    parser.add_argument("--workers", type=positive, default=all_cores(), help="processes (default: all cores)")
    run, args = load_run(argv, parser, CaptionRun)
    commands = Commands.of(args, run.script_of)
    data = run.data
    require_layout(data, commands.make("tables"))
    existing_folder(data.root, "data.root", f"correct it, or make the corpus: {commands.line(CORPUS_SCRIPT)}")
    raw = {split: raw_split(data.root, split) for split in data.splits.names()}
    with making(data, "tables"):
        code = write_tables(data, raw, args.workers, strict=args.strict, made_by=commands.line(SCRIPT))
    print(f"next: {commands.following(run, SCRIPT)}")
    return code


def raw_split(root: Path, split: str) -> RawSplit:
    """The captions of a split, each with its recording, and the rows that have none.

    Raises:
        UserError: there is no table, or it is none of the two forms.
    """
    path, form = _find_table(root, split)
    table = read_loose_table(path, form)
    _print_repairs(split, path, table)
    found = tsv_files(root, table.rows) if form is TSV_FORM else csv_files(root, split, table.rows)
    id_column, clip_column, *_ = form.columns
    captions: list[RawCaption] = []
    refused = list(table.refused)
    source_ids: dict[str, str] = {}
    for row, file in zip(table.rows, found, strict=True):
        source_id = row.values[id_column] or f"{path.name} line {row.line}"
        if isinstance(file, str):
            refused.append(Rejected("caption", source_id, file))
            continue
        name = file.relative_to(root).as_posix()
        source_ids.setdefault(name, row.values[clip_column])
        captions.append(RawCaption(name, row.values[form.columns[-1]], None, source_id))
    files = [root / name for name in source_ids]
    without = _without_row(root, split, files, path)
    return RawSplit(files, captions, [*refused, *without], source_ids, _files_there(root, split))


def _find_table(root: Path, split: str) -> tuple[Path, TableForm]:
    tsv, official = root / f"{split}.tsv", root / f"{split}.csv"
    if tsv.is_file():
        if official.is_file():
            print(f"{split}: reads {tsv}, not {official.name}, which is there too")
        return tsv, TSV_FORM
    if official.is_file():
        return official, CSV_FORM
    raise UserError(
        f"{root}: found no captions of split '{split}', expected {tsv} or {official}; correct data.root or data.splits"
    )


def _print_repairs(split: str, path: Path, table: LooseTable) -> None:
    repairs = "; ".join(f"{kind}: {count}" for kind, count in table.repairs.most_common()) or "none"
    print(f"{split}: {len(table.rows)} rows of {path.name}; repairs: {repairs}")


def tsv_files(root: Path, rows: Sequence[TableRow]) -> list[Path | str]:
    """The recording that each row of a TSV names, or why there is none.

    How many leading folders of `audio` lead to `root` is decided once for the whole table, by what most rows need:
    decided row by row, a missing recording could be taken for another one of the same name.

    Args:
        root: data.root.
        rows: of the table.
    """
    names = [row.values["audio"] for row in rows]
    parts = [() if _why_unusable(name) else PurePosixPath(name).parts for name in names]
    folders = _Folders(root)

    def hits(depth: int) -> int:
        return sum(folders.file(those[depth:]) is not None for those in parts)

    depth = max(range(max(map(len, parts), default=0)), key=hits, default=0)
    found = [folders.file(those[depth:]) for those in parts]
    return [
        file or f"without a clip: '{name}': {_why_unusable(name) or 'no such file'}"
        for name, file in zip(names, found, strict=True)
    ]


def _why_unusable(name: str) -> str | None:
    """Say why a path of a table is refused; None for one under data.root."""
    if not name:
        return "no file is named"
    if name.startswith("/") or ".." in name.split("/"):
        return "leads out of data.root, expected a path under it"
    return None


class _Folders:
    """The files of each folder; a folder is listed once, since a look-up on disk for every row is slow."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._files: dict[tuple[str, ...], dict[str, Path]] = {}

    def file(self, parts: tuple[str, ...]) -> Path | None:
        """The file of this path under the root; Unicode composition does not count where only one can be meant."""
        if not parts:
            return None
        files = self._files.get(parts[:-1])
        if files is None:
            files = self._files[parts[:-1]] = self._list(self._root.joinpath(*parts[:-1]))
        return files.get(parts[-1]) or files.get(match_key(parts[-1]))

    @staticmethod
    def _list(folder: Path) -> dict[str, Path]:
        try:
            with os.scandir(folder) as entries:
                files = {entry.name: folder / entry.name for entry in entries if entry.is_file()}
        except (OSError, ValueError):  # no folder, or no name that a folder could have
            return {}
        return {match_key(name): file for name, file in files.items()} | files


def csv_files(root: Path, split: str, rows: Sequence[TableRow]) -> list[Path | str]:
    """The recording of each row of an official CSV, or why there is none.

    Args:
        root: data.root.
        split: its name.
        rows: of the table.
    """
    by_stem: dict[str, Path] = {}
    for file in _files_there(root, split):
        by_stem.setdefault(file.stem, file)
    starts: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        starts[row.values["youtube_id"]].add(_start(row))
    # a file with exactly the name of one row's clip is not matched to another row
    own = {stem for row in rows for stem in [row.values["youtube_id"], *_own_stems(row)]} & by_stem.keys()
    segments = _segments(file for stem, file in by_stem.items() if stem not in own)
    found = [_csv_file(row, by_stem, segments, starts[row.values["youtube_id"]]) for row in rows]
    owners: dict[Path, set[str]] = defaultdict(set)
    for row, clip in zip(rows, found, strict=True):
        if isinstance(clip, Path):
            owners[clip].add(_own_stems(row)[1])
    return [
        f"without a clip: '{clip.name}': may be {' or '.join(sorted(owners[clip]))}; name it so"
        if isinstance(clip, Path) and len(owners[clip]) > 1
        else clip
        for clip in found
    ]


def _files_there(root: Path, split: str) -> list[Path]:
    """Every audio file in a folder that may hold a split's clips."""
    folders = (root / split, root / "audio" / split, root / "audio", root)
    return [file for folder in folders if folder.is_dir() for file in audio_files(folder)[0]]


def _own_stems(row: TableRow) -> list[str]:
    youtube_id = row.values["youtube_id"]
    return [f"{youtube_id}_{row.values['start_time']}", f"{youtube_id}_{_start(row)}"]


def _csv_file(row: TableRow, by_stem: Mapping[str, Path], segments: _Segments, starts: set[str]) -> Path | str:
    youtube_id, start = row.values["youtube_id"], _start(row)
    if not youtube_id:
        return "without a clip: no youtube_id"
    named = next((by_stem[stem] for stem in _own_stems(row) if stem in by_stem), None)
    if named is not None:
        return named
    cut = segments.get((youtube_id, float(start)), [])
    if len(cut) > 1:
        found = ", ".join(file.name for file in cut)
        return f"without a clip: {found}: more than one file can be meant; keep one, or name it {youtube_id}_{start}.*"
    if cut:
        return cut[0]
    whole = by_stem.get(youtube_id) or next(iter(segments.get((youtube_id, None), [])), None)
    if whole is None:
        return f"without a clip: '{youtube_id}_{start}.*' or '{youtube_id}.*': no such file"
    if len(starts) > 1:
        return (
            f"without a clip: '{whole.name}': holds one of the starts {', '.join(sorted(starts))}, and does not say "
            f"which; name it {youtube_id}_<start_time>{whole.suffix}"
        )
    return whole


# YouTube id and start in seconds, or None where the name has no start -> the files that match
_Segments = dict[tuple[str, float | None], list[Path]]
_NUMBER = r"(\d+(?:\.\d+)?)"
_START_AND_END = re.compile(rf"(.+)_{_NUMBER}_{_NUMBER}")
_START = re.compile(rf"(.+)_{_NUMBER}")


def _segments(files: Iterable[Path]) -> _Segments:
    """What the names of files can mean that are spelled as programs and mirrors of AudioSet spell them.

    With or without a Y before the id (options of programs must not begin with the dash of some ids), the start, and
    the end or none, in seconds or in milliseconds. An id may itself end in _ and digits: then a name has two meanings.
    """
    found: _Segments = defaultdict(list)
    for file in files:
        meanings: set[tuple[str, float | None]] = {(file.stem, None)}
        if both := _START_AND_END.fullmatch(file.stem):
            start, end = float(both[2]), float(both[3])
            # a segment lasts 10 seconds or less
            meanings.add((both[1], start / 1000 if end - start > 100 else start))
        if one := _START.fullmatch(file.stem):
            meanings |= {(one[1], float(one[2])), (one[1], float(one[2]) / 1000)}
        meanings |= {(name[1:], start) for name, start in meanings if name.startswith("Y")}
        for meaning in meanings:
            found[meaning].append(file)
    return found


def _start(row: TableRow) -> str:
    """The start in seconds as file names spell it: 30, whether the table says 30 or 30.0."""
    whole, _, fraction = row.values["start_time"].partition(".")
    return row.values["start_time"] if fraction.strip("0") else whole


def _without_row(root: Path, split: str, files: Sequence[Path], table: Path) -> list[Rejected]:
    """List the unused files of folders that have the split's name."""
    used = set(files)
    refused: list[Rejected] = []
    for folder in sorted({file.parent for file in files if file.parent.name == split and file.parent != root}):
        there, strange = audio_files(folder)
        unused = [Rejected("clip", file.name, f"no row of {table.name} names it") for file in there if file not in used]
        home = folder.relative_to(root)
        refused += [r._replace(name=(home / r.name).as_posix()) for r in [*strange, *unused]]
    return refused


def _is_number(text: str) -> bool:
    return text.replace(".", "", 1).isdecimal()


def _names_audio(values: Mapping[str, str]) -> bool:
    return bool(values["uniq_id"]) and PurePosixPath(values["audio"]).suffix.lower() in AUDIO_SUFFIXES


def _has_start(values: Mapping[str, str]) -> bool:
    return bool(values["youtube_id"]) and _is_number(values["start_time"])


TSV_FORM = TableForm("\t", ("uniq_id", "audio", "text"), _names_audio)
CSV_FORM = TableForm(",", ("audiocap_id", "youtube_id", "start_time", "caption"), _has_start)


if __name__ == "__main__":
    main()
