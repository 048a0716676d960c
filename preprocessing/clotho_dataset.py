"""Clips and caption CSVs in Clotho's layout -> audio_info.pkl, <split>_text.csv, vocab_info.pkl.

    python -m preprocessing.clotho_dataset

Reads data.root: a folder of clips a split, and beside them clotho_captions_<split>.csv or <split>_captions.csv.
Own data without splits, one folder of clips and one CSV:

    python -m preprocessing.clotho_dataset --make-splits 0.8,0.1,0.1 --captions mine.csv --audio clips
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from tasks import Commands, command, load_run
from tasks.base import CaptionRun
from utils.artefact_utils.csv_rows import check_columns
from utils.cli_utils import UserError, existing_folder, positive
from utils.data_utils import making
from utils.data_utils.spec import CaptionDataSpec
from utils.dataset_utils import RawCaption, RawSplit, Rejected, audio_files, match_key, require_layout, write_tables
from utils.dataset_utils.splitting import assign_splits, content_keys, fair_seed, recordings_of, split_keys
from utils.process_utils import all_cores

SCRIPT = "preprocessing.clotho_dataset"
CORPUS_SCRIPT = "preprocessing.synthetic_corpus"


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Write the tables of every split; returns 1 when --strict finds rejected clips or captions."""
    parser = argparse.ArgumentParser(prog=f"python -m {SCRIPT}", description=__doc__.splitlines()[0])
    parser.add_argument("--strict", action="store_true", help="exit with 1 if any clip or caption is rejected")
    parser.add_argument("--make-splits", metavar="SHARES", help="shares of train,val,eval, such as 0.8,0.1,0.1")
    parser.add_argument("--captions", type=Path, help="the CSV to split (default: the one CSV in data.root)")
    parser.add_argument("--audio", type=Path, help="the folder of clips to split (default: data.root itself)")
    parser.add_argument("--seed", type=int, default=0, help="seed of --make-splits (default 0)")
    parser.add_argument("--workers", type=positive, default=all_cores(), help="processes (default: all cores)")
    run, args = load_run(argv, parser, CaptionRun)
    commands = Commands.of(args, run.script_of)
    data = run.data
    require_layout(data, commands.make("tables"))
    existing_folder(data.root, "data.root", f"correct it, or make the corpus: {commands.line(CORPUS_SCRIPT)}")
    raw = (
        _one_folder(data, OneFolder.of(args))
        if args.make_splits
        else {split: _raw_split(data, split) for split in data.splits.names()}
    )
    with making(data, "tables"):
        code = write_tables(data, raw, args.workers, strict=args.strict, made_by=commands.line(SCRIPT))
    print(f"next: {commands.following(run, SCRIPT)}")
    return code


def _raw_split(data: CaptionDataSpec, split: str) -> RawSplit:
    folder = existing_folder(data.root / split, f"data.splits: '{split}'", "correct data.root or data.splits")
    choices = [data.root / f"clotho_captions_{split}.csv", data.root / f"{split}_captions.csv"]
    table = next((path for path in choices if path.is_file()), None)
    if table is None:
        raise UserError(f"{data.root}: found no captions of split '{split}', expected {' or '.join(map(str, choices))}")
    files, strange = audio_files(folder)
    captions, twice = read_captions(table)
    return RawSplit(files, captions, [*strange, *twice])


def read_captions(path: Path) -> tuple[list[RawCaption], list[Rejected]]:
    """Captions of a CSV: `file_name, caption_1, ...` (official Clotho) or `fname, raw_text, text` (DCASE 2023).

    Returns:
        The captions; and those refused, because their row has too many fields or, in the official form, an earlier
        row has the same file name.
    Raises:
        UserError: not a CSV in UTF-8, or neither of the two forms.
    """
    columns, rows, refused = _read_rows(path)
    numbered = [column for column in columns if column.startswith("caption_")]
    if "file_name" in columns and numbered:
        captions, twice = _wide_captions(rows, numbered)
        return captions, [*refused, *twice]
    if {"fname", "raw_text"} <= set(columns):
        fields = [(row["fname"], row["raw_text"], row.get("text")) for row in rows]
        return [RawCaption(n, raw, text, f"{n}#{i}") for i, (n, raw, text) in enumerate(fields)], refused
    raise UserError(
        f"{path}: found the columns {', '.join(columns)}, expected file_name, caption_1, ... or fname, raw_text, text"
    )


def _read_rows(path: Path) -> tuple[list[str], list[dict[str, str]], list[Rejected]]:
    """The columns, the rows, and the rows with too many fields: a caption with a comma outside quotes."""
    table: list[tuple[int, list[str]]] = []  # line, fields
    line = 1
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.reader(stream, strict=True)
            for row in reader:
                table += [(line, row)] if any(field.strip() for field in row) else []
                line = reader.line_num + 1
    except (csv.Error, UnicodeDecodeError) as error:
        raise UserError(
            f"{path}: not a CSV table in UTF-8 (the row of line {line}: {error}); repair the file"
        ) from error
    columns = [column.strip() for column in table[0][1]] if table else []
    check_columns(path, columns)
    fitting = [row for _, row in table[1:] if len(row) <= len(columns)]
    rows = [dict(zip(columns, [*row, *[""] * (len(columns) - len(row))], strict=True)) for row in fitting]
    reason = f"fields, the header has {len(columns)}; put captions with commas in quotes"
    refused = [
        Rejected("caption", f"{path.name} line {line}", f"{len(row)} {reason}")
        for line, row in table[1:]
        if len(row) > len(columns)
    ]
    return columns, rows, refused


def _wide_captions(rows: list[dict[str, str]], numbered: list[str]) -> tuple[list[RawCaption], list[Rejected]]:
    captions: list[RawCaption] = []
    twice: list[Rejected] = []
    seen: set[str] = set()
    for row in rows:
        name = row["file_name"]
        ids = [f"{name}#{column.removeprefix('caption_')}" for column in numbered]
        if match_key(name) in seen:
            twice += [Rejected("caption", source_id, "same file name as an earlier row") for source_id in ids]
            continue
        seen.add(match_key(name))
        captions += [RawCaption(name, row[c], None, i) for c, i in zip(numbered, ids, strict=True)]
    return captions, twice


class OneFolder(NamedTuple):
    """A folder of clips and a CSV that are not split yet, as the command line says it.

    Attributes:
        shares: of train, val and eval.
        seed: of the splits.
        audio: the folder, relative to data.root; None: data.root itself.
        captions: the CSV, relative to data.root; None: the only one there.
        workers: processes that decode.
    """

    shares: list[float]
    seed: int
    audio: Path | None
    captions: Path | None
    workers: int

    @classmethod
    def of(cls, args: argparse.Namespace) -> OneFolder:
        """Of the arguments of this script.

        Raises:
            UserError: --make-splits is not three shares.
        """
        return cls(_shares(args.make_splits), args.seed, args.audio, args.captions, args.workers)


def _one_folder(data: CaptionDataSpec, given: OneFolder) -> dict[str, RawSplit]:
    """Assign the clips of one folder and one CSV to the splits, by a hash of each clip's content."""
    shares = dict(zip(_three_splits(data), given.shares, strict=True))
    folder = data.root / (given.audio or ".")
    existing_folder(folder, "--audio", "name the folder of the clips, relative to data.root")
    if not folder.is_relative_to(data.root):
        raise UserError(f"--audio: found {folder}, expected a folder in data.root, {data.root}")
    tables = [data.root / given.captions] if given.captions else sorted(data.root.glob("*.csv"))
    if len(tables) != 1 or not tables[0].is_file():
        found = ", ".join(p.name for p in tables) or "none"
        raise UserError(f"{data.root}: found {found} as the CSV of captions, expected one; name it with --captions")
    files, strange = audio_files(folder)
    strange = [r for r in strange if r.name != tables[0].name]
    captions, twice = read_captions(tables[0])
    captioned = {match_key(caption.name) for caption in captions}
    usable = [file for file in files if match_key(file.name) in captioned]
    split_of = {
        match_key(file.name): split for file, split in _shared_out(usable, shares, given.seed, given.workers).items()
    }
    first = data.splits.train  # captions and files without a counterpart are reported once, in this split
    return {
        split: RawSplit(
            [f for f in files if split_of.get(match_key(f.name), first) == split],
            [c for c in captions if split_of.get(match_key(c.name), first) == split],
            [*strange, *twice] if split == first else [],
        )
        for split in shares
    }


def _shared_out(files: Sequence[Path], shares: Mapping[str, float], seed: int, workers: int) -> dict[Path, str]:
    """The split of each file.

    Raises:
        UserError: a split would be empty, which another seed repairs.
    """
    keys = split_keys(content_keys(files, workers), recordings_of(files))
    of_key = assign_splits(keys.values(), shares, seed)
    empty = next((split for split in shares if split not in of_key.values()), None)
    if empty is not None:
        fair = fair_seed(list(keys.values()), shares)
        repair = "add clips, or give it a larger share" if fair is None else f"take another seed: --seed {fair}"
        raise UserError(
            f"--make-splits: none of the {len(files)} clips with captions falls to '{empty}' with --seed {seed}; "
            f"{repair}"
        )
    return {file: of_key[key] for file, key in keys.items()}


def _three_splits(data: CaptionDataSpec) -> list[str]:
    names = data.splits.names()
    if len(names) != 3:
        raise UserError(f"data.splits: --make-splits needs three different splits, found {', '.join(names)}")
    return names


def _shares(text: str) -> list[float]:
    try:
        shares = [float(share) for share in text.split(",")]
    except ValueError:
        shares = []
    if len(shares) != 3 or min(shares) <= 0 or abs(sum(shares) - 1) > 1e-6:
        raise UserError(f"--make-splits: found {text}, expected three positive shares that sum to 1: 0.8,0.1,0.1")
    return shares


if __name__ == "__main__":
    main()
