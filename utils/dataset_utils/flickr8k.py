"""Read Flickr8k's files as they are published: captions in two forms, lists of splits, folders of pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from utils.cli_utils import UserError, short_repr
from utils.dataset_utils.captions import RawCaption
from utils.dataset_utils.clips import Rejected, match_key
from utils.dataset_utils.loose_table import TableForm, read_loose_table

# "Flicker8k_Dataset" is how the published archive spells it.
PICTURE_FOLDERS = ("Images", "images", "Flicker8k_Dataset", "Flickr8k_Dataset", "Flickr8k_Dataset/Flicker8k_Dataset")
CAPTION_FILES = ("captions.txt", "Flickr8k.token.txt")
LIST_FILES = ("Flickr_8k.trainImages.txt", "Flickr_8k.devImages.txt", "Flickr_8k.testImages.txt")
PICTURE_SUFFIXES = {".jpg", ".jpeg", ".png", ".gif", ".webp", ".bmp", ".tif", ".tiff", ".ppm", ".jp2", ".avif"}
_TEXT_FOLDERS = (".", "Flickr8k_text")

_CSV_FORM = TableForm(
    ",",
    ("image", "caption"),
    lambda values: PurePosixPath(values["image"]).suffix.lower() in PICTURE_SUFFIXES,
)


def text_file(root: Path, name: str) -> Path | None:
    """A file of captions or of a split, in the root or in the folder of the published archive; None: there is none."""
    return next((path for folder in _TEXT_FOLDERS if (path := root / folder / name).is_file()), None)


def picture_files(root: Path) -> tuple[list[Path], list[Rejected]]:
    """The pictures of a data set by name, and what else lies among them; hidden files are ignored.

    Raises:
        UserError: there is no folder of pictures.
    """
    folder = next((root / name for name in PICTURE_FOLDERS if _holds_pictures(root / name)), None)
    if folder is None:
        raise UserError(
            f"{root}: found no folder of pictures, expected {', '.join(PICTURE_FOLDERS[:3])}, or parquet files; "
            "correct data.root"
        )
    found = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    strange = [path for path in found if path.suffix.lower() not in PICTURE_SUFFIXES or not path.is_file()]
    refused = [Rejected("clip", path.name, "is no picture, by its name, or no regular file") for path in strange]
    return [path for path in found if path not in set(strange)], refused


def _holds_pictures(folder: Path) -> bool:
    return folder.is_dir() and any(path.suffix.lower() in PICTURE_SUFFIXES for path in folder.iterdir())


def read_captions(path: Path) -> tuple[list[RawCaption], list[Rejected]]:
    r"""Captions of `captions.txt` (`image,caption`, quoted or not) or `Flickr8k.token.txt` (`NAME.jpg#0\tcaption`).

    Returns:
        The captions, and the rows that hold none.
    Raises:
        UserError: not UTF-8, or the columns image and caption are missing.
    """
    if not path.name.endswith(".token.txt"):
        table = read_loose_table(path, _CSV_FORM)
        rows = [(row.values["image"], row.values["caption"]) for row in table.rows]
        return [RawCaption(name, text, None, f"{name}#{i}") for i, (name, text) in _numbered(rows)], table.refused
    captions: list[RawCaption] = []
    refused: list[Rejected] = []
    for number, line in enumerate(_lines(path), start=1):
        source_id, tab, text = line.partition("\t")
        name, mark, _ = source_id.rpartition("#")
        if tab and mark:
            captions.append(RawCaption(name, text, None, source_id))
        elif line.strip():
            found = f"found {short_repr(line[:60])}, expected NAME.jpg#0, a tab and the caption"
            refused.append(Rejected("caption", f"{path.name} line {number}", found))
    return captions, refused


def _numbered(rows: Sequence[tuple[str, str]]) -> list[tuple[int, tuple[str, str]]]:
    """Each row with its number among those of its picture, as Flickr8k numbers captions."""
    counts: dict[str, int] = {}
    result = []
    for row in rows:
        counts[row[0]] = counts.get(row[0], -1) + 1
        result.append((counts[row[0]], row))
    return result


def read_lists(root: Path, splits: Sequence[str]) -> dict[str, str] | None:
    """The split of each listed picture, by its name without suffix; None where there are no lists.

    Args:
        root: data.root.
        splits: names of training, validation and evaluation.
    Raises:
        UserError: a list is missing beside others, or a picture is in two.
    """
    paths = [text_file(root, name) for name in LIST_FILES]
    if not any(paths):
        return None
    split_of: dict[str, str] = {}
    for name, path, split in zip(LIST_FILES, paths, splits, strict=True):
        if path is None:
            found = ", ".join(there.name for there in paths if there)
            raise UserError(f"{root}: found {found}, but no {name}; add it, or remove the others for a seeded split")
        for line in _lines(path):
            key = list_key(line)
            if key and split_of.setdefault(key, split) != split:
                raise UserError(f"{path}: {line.strip()} is in the list of '{split_of[key]}' too; remove it from one")
    return split_of


def list_key(name: str) -> str:
    """A picture's name as lists are compared: they name pictures with or without their suffix."""
    stem, dot, suffix = match_key(name).rpartition(".")
    return stem if dot + suffix.lower() in PICTURE_SUFFIXES else match_key(name)


def _lines(path: Path) -> list[str]:
    """Raises: UserError: not UTF-8."""
    try:
        return path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: is no text in UTF-8 ({error}); convert it") from error
