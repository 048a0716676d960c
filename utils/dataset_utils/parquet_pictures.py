"""Captioned pictures in parquet files, as hubs of data sets pass them on: image (bytes, path), caption_0 ... caption_4.

Pictures are extracted to files: what comes later (encoders in threads, pages, people) opens each by its path, and one
picture alone cannot be read from a parquet file without decompressing its neighbours.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from utils.artefact_utils import replacing
from utils.cli_utils import UserError
from utils.dataset_utils.captions import RawCaption
from utils.dataset_utils.clips import Rejected
from utils.dataset_utils.flickr8k import PICTURE_SUFFIXES

_ROWS = 32  # in memory at a time
_SHARD = re.compile(r"(?P<split>\w+?)(?:-\d+-of-\d+.*)?\.parquet")
_CAPTION = re.compile(r"caption(?:_\d+)?")
_ROLES = {"train": 0, "validation": 1, "valid": 1, "val": 1, "dev": 1, "test": 2}


class ParquetPictures(NamedTuple):
    """Pictures that were extracted.

    Attributes:
        files: of each of the parquet's splits.
        captions: of all of them.
        refused: rows without a picture, by split.
    """

    files: dict[str, list[Path]]
    captions: list[RawCaption]
    refused: dict[str, list[Rejected]]


def find_shards(root: Path) -> dict[str, list[Path]]:
    """The parquet files of a folder and of `data` in it, by the split that their names begin with."""
    shards: dict[str, list[Path]] = defaultdict(list)
    for path in sorted([*root.glob("*.parquet"), *root.glob("data/*.parquet")]):
        match = _SHARD.fullmatch(path.name)
        shards[match["split"] if match else path.stem].append(path)
    return dict(shards)


def role_of(split: str) -> int | None:
    """0 for training, 1 for validation, 2 for evaluation; None for another name."""
    return _ROLES.get(split)


def extract(shards: dict[str, list[Path]], folder: Path) -> ParquetPictures:
    """Write every picture to a file of its own, complete or not at all; those that are there already stay.

    Args:
        shards: of `find_shards`.
        folder: for the pictures.
    Raises:
        UserError: a file is no parquet file, or has other columns.
    """
    folder.mkdir(parents=True, exist_ok=True)
    found = ParquetPictures(defaultdict(list), [], defaultdict(list))
    taken: set[str] = set()
    for split, paths in shards.items():
        number = 0
        for path in paths:
            for image, captions in _rows(path):
                name = _file_name(image, f"{split}_{number:06d}.jpg", taken)
                number += 1
                content = (image or {}).get("bytes")
                if not content:
                    found.refused[split].append(
                        Rejected("clip", name, f"a row of {path.name} has no bytes of a picture")
                    )
                    continue
                _write(folder / name, content)
                found.files[split].append(folder / name)
                found.captions.extend(
                    RawCaption(name, text or "", None, f"{name}#{i}") for i, text in enumerate(captions)
                )
    return found


def _rows(path: Path) -> Iterator[tuple[dict[str, Any] | None, Sequence[str | None]]]:
    """The picture and the captions of each row."""
    import pyarrow.parquet as pq
    from pyarrow import ArrowException

    try:
        # not memory-mapped and not buffered ahead: a row group of pictures may be larger than the memory
        with pq.ParquetFile(path, pre_buffer=False, buffer_size=2**20) as file:
            columns = file.schema_arrow.names
            captions = [column for column in columns if _CAPTION.fullmatch(column)]
            if "image" not in columns or not captions:
                raise UserError(f"{path}: found the columns {', '.join(columns)}, expected image, caption_0, ...")
            for batch in file.iter_batches(_ROWS, columns=["image", *captions]):
                for row in batch.to_pylist():
                    image = row["image"]
                    if image is not None and not isinstance(image, dict):
                        raise UserError(f"{path}: column image holds {type(image).__name__}, expected bytes and path")
                    texts = [row[column] for column in captions]
                    yield image, [text for cell in texts for text in (cell if isinstance(cell, list) else [cell])]
    except (ArrowException, OSError) as error:
        raise UserError(f"{path}: cannot be read as parquet ({str(error).splitlines()[0]}); copy it again") from error


def _file_name(image: dict[str, Any] | None, default: str, taken: set[str]) -> str:
    """The picture's own name where it has one that no earlier picture has; it leads into no other folder."""
    name = PurePosixPath((image or {}).get("path") or "").name
    usable = PurePosixPath(name).suffix.lower() in PICTURE_SUFFIXES and "\0" not in name and not name.startswith(".")
    chosen = name if usable and name not in taken else default
    taken.add(chosen)
    return chosen


def _write(path: Path, content: bytes) -> None:
    if path.is_file() and path.read_bytes() == content:
        return
    with replacing(path, lambda there: True) as beside:
        beside.write_bytes(content)
