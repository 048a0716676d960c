"""Write a generated corpus: what is missing of it, once, by one process at a time."""

from __future__ import annotations

import contextlib
import csv
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from utils.cli_utils import UserError
from utils.dataset_utils import corpus_folder
from utils.dataset_utils.corpus_folder import PART, Record

DEFAULT_SIZES = (1200, 150, 200)  # training, validation, evaluation

Row = Sequence[str | int]


def share_out(total: int, noun: str, ratio: tuple[int, int, int] = DEFAULT_SIZES) -> tuple[int, int, int]:
    """Sizes of training, validation and evaluation, in a ratio, adding up to `total`.

    Args:
        total: clips, pictures or tracks in all.
        noun: what they are, in the plural.
        ratio: of the sizes.
    Raises:
        UserError: too few for one a split.
    """
    if total < len(ratio):
        raise UserError(f"--{noun} {total}: expected at least {len(ratio)}, one for each split")
    validation, evaluation = (max(1, round(total * size / sum(ratio))) for size in ratio[1:])
    return total - validation - evaluation, validation, evaluation


def share_evenly(total: int, noun: str, categories: Sequence[str], least: int = 3) -> dict[str, int]:
    """Sizes of categories that differ by one at most, the larger ones first, adding up to `total`.

    Args:
        total: clips in all.
        noun: what they are, in the plural.
        categories: their names.
        least: of each; three are one for each split.
    Raises:
        UserError: too few.
    """
    count = len(categories)
    if total < least * count:
        raise UserError(f"--{noun} {total}: expected at least {least * count}, {least} of each of {count} categories")
    return {name: total // count + (number < total % count) for number, name in enumerate(categories)}


@dataclass(frozen=True)
class Chunk:
    """Files `start` to `stop` of a split: what one worker makes at a time."""

    folder: Path
    seed: int
    split_number: int
    start: int
    stop: int


def chunks_of(root: Path, record: Record, length: int) -> dict[str, list[Chunk]]:
    """Cut a corpus into the shares of its workers: split -> chunks.

    Args:
        root: its folder.
        record: the corpus.
        length: files of a chunk.
    """
    return {
        split: [
            Chunk(root / record.kind.folder(split), record.seed, number, start, min(start + length, size))
            for start in range(0, size, length)
        ]
        for number, (split, size) in enumerate(record.sizes.items())
    }


def complete_corpus(root: Path, wanted: Record, mean_bytes: Callable[[], float], write: Callable[[], None]) -> bool:
    """Write the corpus, or what is missing of it; what it needs on the disk is printed first.

    Args:
        root: its folder; made if need be.
        wanted: the corpus.
        mean_bytes: measures one clip or picture with its captions; called where there is something to write.
        write: writes everything that is missing.
    Returns:
        Whether anything was written; False when the corpus was there already.
    Raises:
        UserError: the folder holds something else, another run writes there, or the disk has no room.
    """
    found = corpus_folder.check_root(root, wanted)
    if found == wanted.finished() and corpus_folder.all_there(root, wanted):
        print(f"{root}: {wanted.summary()} are there already; the corpus is reused")
        return False
    corpus_folder.check_disk(root, wanted.kind.noun, corpus_folder.still_to_write(root, wanted), mean_bytes())
    root.mkdir(parents=True, exist_ok=True)
    with corpus_folder.only_writer(root):
        corpus_folder.write_record(root, wanted)
        write()
        corpus_folder.write_record(root, wanted.finished())
    return True


@contextlib.contextmanager
def writing_table(path: Path, columns: Row, delimiter: str = ",") -> Iterator[Callable[[Iterable[Row]], None]]:
    """A table that takes its name when the block ends well; what is yielded writes rows.

    Args:
        path: of the table.
        columns: its header; none where it is empty.
        delimiter: between the columns.
    """
    part = path.with_name(path.name + PART)
    with part.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, delimiter=delimiter, lineterminator="\n")
        writer.writerows([columns] if columns else [])
        yield writer.writerows
    part.replace(path)
