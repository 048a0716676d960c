"""Pictures and captions in Flickr8k's layout or in parquet files -> image_info.pkl, <split>_text.csv.

    python -m preprocessing.flickr8k_dataset --conf tasks/captioning_images.yaml

Reads data.root: a folder of pictures (Images, Flicker8k_Dataset) with captions.txt or Flickr8k.token.txt; or parquet
files with image and caption_0 ... caption_4, whose pictures are extracted under data.features. The lists
Flickr_8k.trainImages.txt, .devImages.txt and .testImages.txt decide the splits, or the names of the parquet files;
without them each picture's content does, and the seed.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from tasks import Commands, command, load_run
from tasks.base import ImageRun
from utils.cli_utils import UserError, existing_folder, positive
from utils.data_utils import making
from utils.data_utils.image_spec import ImageDataSpec
from utils.dataset_utils import RawCaption, RawSplit, Rejected
from utils.dataset_utils.flickr8k import (
    CAPTION_FILES,
    list_key,
    picture_files,
    read_captions,
    read_lists,
    text_file,
)
from utils.dataset_utils.parquet_pictures import extract, find_shards, role_of
from utils.dataset_utils.picture_tables import write_picture_tables
from utils.dataset_utils.splitting import assign_splits, content_keys, fair_seed
from utils.process_utils import all_cores

SCRIPT = "preprocessing.flickr8k_dataset"
CORPUS_SCRIPT = "preprocessing.synthetic_pictures"
SHARES = (0.8, 0.1, 0.1)


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Write the tables of every split; returns 1 when --strict finds rejected pictures or captions."""
    parser = argparse.ArgumentParser(prog=f"python -m {SCRIPT}", description=__doc__.splitlines()[0])
    parser.add_argument("--strict", action="store_true", help="exit with 1 if any picture or caption is rejected")
    parser.add_argument(
        "--seed", type=int, default=0, help="of the splits 8:1:1 where nothing decides them (default 0)"
    )
    parser.add_argument("--workers", type=positive, default=all_cores(), help="processes (default: all cores)")
    run, args = load_run(argv, parser, ImageRun)
    commands = Commands.of(args, run.script_of)
    data = run.data
    existing_folder(data.root, "data.root", f"correct it, or make the corpus: {commands.line(CORPUS_SCRIPT)}")
    splits = data.splits.names()
    if len(splits) != 3:
        raise UserError(f"data.splits: expected three different splits, found {', '.join(splits)}")
    with making(data, "tables"):
        shards = find_shards(data.root)
        found = _parquet(data, shards, splits) if shards else _folder(data, splits)
        split_of = found.split_of or _shared_out(found.files, splits, args.seed, args.workers)
        raw = _sorted_out(found, split_of, splits)
        code = write_picture_tables(data, raw, args.workers, strict=args.strict, made_by=commands.line(SCRIPT))
    print(f"next: {commands.line(run.next_script(SCRIPT))}")
    return code


class _Found(NamedTuple):
    """A data set before it is split.

    Attributes:
        files: the pictures.
        captions: of all of them.
        refused: what is left out already.
        split_of: name without suffix -> split; None: nothing says so.
    """

    files: list[Path]
    captions: list[RawCaption]
    refused: list[Rejected]
    split_of: dict[str, str] | None


def _folder(data: ImageDataSpec, splits: Sequence[str]) -> _Found:
    """Find a folder of pictures, a file of captions, and the lists."""
    files, strange = picture_files(data.root)
    table = next((path for name in CAPTION_FILES if (path := text_file(data.root, name))), None)
    if table is None:
        raise UserError(f"{data.root}: found no captions, expected {' or '.join(CAPTION_FILES)}; correct data.root")
    captions, refused = read_captions(table)
    split_of = read_lists(data.root, splits)
    there = {list_key(file.name) for file in files}
    missing = [name for name in split_of or {} if name not in there]
    refused += [Rejected("clip", name, f"in the list of '{(split_of or {})[name]}': no such file") for name in missing]
    return _Found(files, captions, [*strange, *refused], split_of)


def _parquet(data: ImageDataSpec, shards: dict[str, list[Path]], splits: Sequence[str]) -> _Found:
    """Extract the pictures of parquet files; one split alone is split by content."""
    roles = {split: role_of(split) for split in shards}
    if len(shards) > 1 and sorted(role for role in roles.values() if role is not None) != [0, 1, 2]:
        raise UserError(
            f"{data.root}: found parquet files of the splits {', '.join(shards)}, expected train, validation and test, "
            "or one split alone"
        )
    found = extract(shards, data.extracted)
    files = [file for those in found.files.values() for file in those]
    refused = [row for those in found.refused.values() for row in those]
    if len(shards) == 1:
        return _Found(files, found.captions, refused, None)
    of = {split: splits[role] for split, role in roles.items() if role is not None}
    split_of = {list_key(file.name): of[split] for split, those in found.files.items() for file in those}
    return _Found(files, found.captions, refused, split_of)


def _shared_out(files: Sequence[Path], splits: Sequence[str], seed: int, workers: int) -> dict[str, str]:
    """The split of each picture by its content, so that equal files are in one split.

    Raises:
        UserError: a split would be empty, which another seed or more pictures repair.
    """
    keys = content_keys(files, workers)
    shares = dict(zip(splits, SHARES, strict=True))
    of_key = assign_splits(keys.values(), shares, seed)
    empty = next((split for split in splits if split not in of_key.values()), None)
    if empty is not None:
        fair = fair_seed(list(keys.values()), shares)
        repair = "add pictures" if fair is None else f"take another seed: --seed {fair}"
        raise UserError(f"none of the {len(files)} pictures falls to '{empty}' with --seed {seed}; {repair}")
    print(f"splits: no lists; {len(files)} pictures are split 8:1:1 by their content, with --seed {seed}")
    return {list_key(file.name): of_key[key] for file, key in keys.items()}


def _sorted_out(found: _Found, split_of: dict[str, str], splits: Sequence[str]) -> dict[str, RawSplit]:
    """The content of each split; what belongs to none is reported once, in the first one."""
    first = splits[0]
    unlisted = [file for file in found.files if list_key(file.name) not in split_of]
    refused = [*found.refused, *(Rejected("clip", file.name, "is in no list of a split") for file in unlisted)]
    return {
        split: RawSplit(
            [file for file in found.files if split_of.get(list_key(file.name)) == split],
            [caption for caption in found.captions if split_of.get(list_key(caption.name), first) == split],
            refused if split == first else [],
        )
        for split in splits
    }


if __name__ == "__main__":
    main()
