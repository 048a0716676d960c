"""Pictures -> files in Flickr8k's layout: parallel, resumable, with bounded memory.

    <root>/corpus.json                      what is in the folder; `complete` once everything is there
    <root>/Images/train_000000.jpg ...
    <root>/captions.txt                     image, caption: a row a caption
    <root>/Flickr_8k.trainImages.txt ...    the pictures of each split (train, dev, test), one a line
    <root>/shapes.csv                       image, group, shape, colour, size, x, y: what each picture shows

A row of `shapes.csv` is one shape; x and y are those of its centre, as shares of width and height. A file appears under
its name only when it is whole, so that a run that was stopped at any instant goes on where it was.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from preprocessing.synthetic_pictures.pictures import Plan, plan_picture, render
from utils.dataset_utils.corpus_folder import PART, CorpusKind, Record, prefixed
from utils.dataset_utils.corpus_writing import Chunk, Row, chunks_of, complete_corpus, writing_table
from utils.process_utils import ordered_map
from utils.report_utils import progress_bar

SPLITS = ("train", "dev", "test")  # as the names of Flickr8k's lists spell them
CAPTION_FILE, SHAPE_FILE, PICTURE_FOLDER = "captions.txt", "shapes.csv", "Images"
CAPTION_COLUMNS = ("image", "caption")
SHAPE_COLUMNS = ("image", "group", "shape", "colour", "size", "x", "y")

_CHUNK = 16  # pictures a task: about 0.4 s of work
_TABLE_BYTES = 600  # of a picture, in all tables
_JPEG_START, _JPEG_END = b"\xff\xd8", b"\xff\xd9"


class PictureRows(NamedTuple):
    """What the tables say of one picture."""

    captions: list[Row]
    shapes: list[Row]


def list_file(split: str) -> str:
    """The list of a split's pictures, named as Flickr8k names it."""
    return f"Flickr_8k.{split}Images.txt"


def _tables(splits: Iterable[str]) -> list[str]:
    return [CAPTION_FILE, SHAPE_FILE, *map(list_file, splits)]


# Raise the version when shapes, scenes, captions or drawing change.
KIND = CorpusKind("synthetic_pictures", 1, "pictures", prefixed(SPLITS, ".jpg"), lambda split: PICTURE_FOLDER, _tables)


def write_corpus(root: Path, sizes: Mapping[str, int], seed: int, workers: int) -> bool:
    """Write the corpus, or what is missing of it; what it needs on the disk is printed first.

    Args:
        root: its folder; made if need be.
        sizes: pictures of each of `SPLITS`, in that order.
        seed: 0 or more; a picture depends on it, its split and its number alone.
        workers: processes.
    Returns:
        Whether anything was written; False when the corpus was there already.
    Raises:
        UserError: the folder holds something else, another run writes there, or the disk has no room.
    """
    wanted = Record(KIND, seed, dict(sizes))
    return complete_corpus(root, wanted, lambda: _mean_picture_bytes(seed), lambda: _write_all(root, wanted, workers))


def _write_all(root: Path, record: Record, workers: int) -> None:
    """All pictures, then the tables take their names."""
    folder = root / PICTURE_FOLDER
    folder.mkdir(exist_ok=True)
    of_splits = chunks_of(root, record, _CHUNK)
    chunks = list(itertools.chain.from_iterable(of_splits.values()))
    for split, members in of_splits.items():
        names = [KIND.file_name(c.split_number, index) for c in members for index in range(c.start, c.stop)]
        with writing_table(root / list_file(split), ()) as write_names:
            write_names([name] for name in names)
    results = ordered_map(_make_pictures, chunks, min(workers, len(chunks)))
    captions = writing_table(root / CAPTION_FILE, CAPTION_COLUMNS)
    shapes = writing_table(root / SHAPE_FILE, SHAPE_COLUMNS)
    bar = progress_bar(record.count, "pictures", "picture")
    with contextlib.closing(results), bar as progress, captions as write_captions, shapes as write_shapes:
        for made in results:
            write_captions(row for picture in made for row in picture.captions)
            write_shapes(row for picture in made for row in picture.shapes)
            progress.update(len(made))


def _make_pictures(chunk: Chunk) -> list[PictureRows]:
    """Write the pictures of a chunk that are not there yet, and return the rows of all of them."""
    made = []
    for index in range(chunk.start, chunk.stop):
        plan = plan_picture(chunk.seed, chunk.split_number, index)
        path = chunk.folder / KIND.file_name(chunk.split_number, index)
        if not _is_whole(path):
            _write_picture(path, plan)
        made.append(_rows(path.name, plan))
    return made


def _rows(name: str, plan: Plan) -> PictureRows:
    return PictureRows(
        [(name, caption) for caption in plan.captions],
        [
            (name, number, group.shape, group.colour, group.size, f"{x:.4f}", f"{y:.4f}")
            for number, group in enumerate(plan.scene.groups)
            for x, y in group.centres
        ],
    )


def _write_picture(path: Path, plan: Plan) -> None:
    """Write a JPEG, whole or not at all."""
    part = path.with_name(path.name + PART)
    part.write_bytes(render(plan))
    part.replace(path)


def _is_whole(path: Path) -> bool:
    """Whether a JPEG is there from its first to its last marker: a power cut may leave a file of zeros."""
    if not path.is_file():
        return False
    content = path.read_bytes()
    return content.startswith(_JPEG_START) and content.endswith(_JPEG_END)


def _mean_picture_bytes(seed: int, sample: int = 20) -> float:
    """Bytes of a picture with its rows, from the first ones."""
    return float(np.mean([len(render(plan_picture(seed, 0, index))) for index in range(sample)])) + _TABLE_BYTES
