"""The folder of a generated corpus: what lies in it, whether it may be written, and whether it fits."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from utils.cli_utils import UserError
from utils.config_utils import read_json

RECORD_NAME = "corpus.json"
PART = ".part"
_MOST_NAMED = 4  # folders in the line that says what a corpus has


class FileNames(NamedTuple):
    """How the files of a corpus are named.

    Attributes:
        of: the number of a split (training, validation, evaluation) and of a file in it -> its name.
        pattern: a regular expression that matches them all.
    """

    of: Callable[[int, int], str]
    pattern: str


def prefixed(prefixes: tuple[str, str, str], suffix: str) -> FileNames:
    """Names such as `dev_000012.wav`.

    Args:
        prefixes: of each split, in the order training, validation, evaluation.
        suffix: such as `.wav`.
    """
    return FileNames(
        lambda split_number, index: f"{prefixes[split_number]}_{index:06d}{suffix}",
        rf"({'|'.join(prefixes)})_\d{{6,}}{re.escape(suffix)}",
    )


@dataclass(frozen=True)
class CorpusKind:
    """What makes one kind of generated corpus different from another.

    Attributes:
        name: of its package in `preprocessing`, with the option that chooses it where a package makes several.
        version: raised when what is drawn or said changes: another version is another corpus.
        noun: what it consists of, in the plural; also the option that says how many.
        names: of its files, relative to `folder`.
        folder: split -> the folder of its files, relative to the root.
        tables: splits -> the names of all tables, relative to the root.
    """

    name: str
    version: int
    noun: str
    names: FileNames
    folder: Callable[[str], str]
    tables: Callable[[Iterable[str]], list[str]]

    def file_name(self, split_number: int, index: int) -> str:
        """Of a clip, picture or track, relative to its folder: unique in the corpus, and no hint of what is in it."""
        return self.names.of(split_number, index)

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """What matches every `file_name`, whole or still being written."""
        return re.compile(rf"({self.names.pattern})({re.escape(PART)})?")


@dataclass(frozen=True)
class Record:
    """What `corpus.json` says of its folder.

    Attributes:
        kind: of corpus.
        seed: that everything was drawn with.
        sizes: clips or pictures of each split, by name.
        complete: False from the first file on until everything is there.
    """

    kind: CorpusKind
    seed: int
    sizes: dict[str, int]
    complete: bool = False

    def finished(self) -> Record:
        """The same, with everything there."""
        return replace(self, complete=True)

    @property
    def count(self) -> int:
        """Clips or pictures of all splits."""
        return sum(self.sizes.values())

    def summary(self) -> str:
        """Such as `1550 clips (development 1200, validation 150, evaluation 200) of seed 0`."""
        sizes = ", ".join(f"{split} {size}" for split, size in self.sizes.items())
        if len(self.sizes) > _MOST_NAMED:
            fewest, most = min(self.sizes.values()), max(self.sizes.values())
            sizes = f"{len(self.sizes)} folders of {fewest}" + (f" to {most}" if most > fewest else "")
        return f"{self.count} {self.kind.noun} ({sizes}) of seed {self.seed}"

    def command(self) -> str:
        """The command that makes this corpus again."""
        return f"python -m preprocessing.{self.kind.name} --{self.kind.noun} {self.count} --seed {self.seed}"


def files_there(folder: Path) -> set[str]:
    """The whole files of a folder and of those below it, by relative path; empty when there is no such folder."""
    return {name for name in _files(folder) if not name.endswith(PART)}


def still_to_write(root: Path, wanted: Record) -> int:
    """How many clips or pictures are not there yet."""
    return sum(len(missing) for missing in _missing(root, wanted))


def all_there(root: Path, wanted: Record) -> bool:
    """Whether every clip or picture and every table exist."""
    return all((root / table).is_file() for table in wanted.kind.tables(wanted.sizes)) and not any(
        _missing(root, wanted)
    )


def _missing(root: Path, wanted: Record) -> Iterator[set[str]]:
    """Of each split, the names of the files that are not there."""
    there: dict[str, set[str]] = {}
    for number, (split, size) in enumerate(wanted.sizes.items()):
        folder = wanted.kind.folder(split)
        if folder not in there:
            there[folder] = files_there(root / folder)
        yield {wanted.kind.file_name(number, index) for index in range(size)} - there[folder]


def check_root(root: Path, wanted: Record) -> Record | None:
    """What the folder holds already, if it may be completed to what is wanted.

    Args:
        root: the corpus folder, which need not exist.
        wanted: the corpus to write there.
    Returns:
        The folder's record; None for a folder that is new or empty.
    Raises:
        UserError: it is a file, or holds another corpus, a larger one, or files of somebody else.
    """
    if not root.exists():
        return None
    if not root.is_dir():
        raise UserError(f"data.root: {root} is a file, expected a folder; {_elsewhere()}")
    found = _read_record(root / RECORD_NAME, wanted.kind)
    strangers = _strangers(root, wanted, found)
    if strangers:
        raise UserError(
            f"data.root: {root} holds files that are not of the corpus {wanted.kind.name} (such as {strangers[0]}), "
            f"expected a new or empty folder; {_elsewhere()}"
        )
    if found is not None:
        _check_extends(root, found, wanted)
    return found


def write_record(root: Path, record: Record) -> None:
    """Write `corpus.json`, whole or not at all."""
    content = {
        "format": record.kind.name,
        "version": record.kind.version,
        "seed": record.seed,
        "sizes": record.sizes,
        "complete": record.complete,
        "command": record.command(),
    }
    part = root / (RECORD_NAME + PART)
    part.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    part.replace(root / RECORD_NAME)


def check_disk(root: Path, noun: str, new: int, mean_bytes: float) -> None:
    """Print what the new clips or pictures will take, and make sure that it is there.

    Args:
        root: the corpus folder, which need not exist.
        noun: what they are, in the plural.
        new: how many are still to be written.
        mean_bytes: of one, with its captions.
    Raises:
        UserError: the disk has no room.
    """
    home = next(folder for folder in (root, *root.absolute().parents) if folder.exists())
    needed, free = 1.05 * new * mean_bytes, shutil.disk_usage(home).free
    print(f"{root}: {new} {noun} to write, about {_size(needed)}; {_size(free)} are free", flush=True)
    if needed > free:
        raise UserError(
            f"{root}: the disk has {_size(free)} free, the corpus needs {_size(needed)} more; "
            f"free some space, ask for fewer --{noun}, or {_elsewhere()}"
        )


@contextlib.contextmanager
def only_writer(root: Path) -> Iterator[None]:
    """Hold the folder against a second run; the lock goes with the process, however it ends.

    Raises:
        UserError: another process is writing there.
    """
    folder = os.open(root, os.O_RDONLY)
    try:
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(f"{root}: another run is writing there; wait for it, or {_elsewhere()}") from None
        except OSError:  # a network file system without locks: go on unguarded
            pass
        yield
    finally:
        os.close(folder)


def _read_record(path: Path, kind: CorpusKind) -> Record | None:
    """The record, or None where there is none.

    Raises:
        UserError: the file is not a record of this kind of corpus.
    """
    if not path.is_file():
        return None
    try:
        content = read_json(path)
        if content["format"] != kind.name:
            raise ValueError(content["format"])
        sizes = {str(split): int(size) for split, size in content["sizes"].items()}
        kind = replace(kind, version=int(content["version"]))
        return Record(kind, int(content["seed"]), sizes, bool(content["complete"]))
    except (ValueError, KeyError, TypeError, AttributeError):
        raise UserError(
            f"{path}: is not the record of the corpus {kind.name}; delete the folder {path.parent}, or {_elsewhere()}"
        ) from None


def _check_extends(root: Path, found: Record, wanted: Record) -> None:
    """Raises: UserError: what is wanted is not what was found, or more of the same."""
    problem = ""
    if found.kind.version != wanted.kind.version:
        problem = f"a corpus of format {found.kind.version}, expected format {wanted.kind.version}"
    elif found.seed != wanted.seed:
        problem = f"a corpus of seed {found.seed}, expected seed {wanted.seed}"
    elif list(found.sizes) != list(wanted.sizes):
        problem = f"the splits {', '.join(found.sizes)}, expected {', '.join(wanted.sizes)}"
    elif any(found.sizes[split] > size for split, size in wanted.sizes.items()):
        problem = f"{found.summary()}, expected {wanted.summary()}; a corpus is only ever enlarged"
    if problem:
        raise UserError(f"data.root: {root} holds {problem}; delete the folder (rm -r {root}), or {_elsewhere()}")


def _strangers(root: Path, wanted: Record, found: Record | None) -> list[str]:
    """Files, relative to the root, that no run of this script has written there."""
    kind, splits = wanted.kind, list(dict.fromkeys([*wanted.sizes, *(found.sizes if found else ())]))
    folders = dict.fromkeys(map(kind.folder, splits))
    ours = {RECORD_NAME}
    if found is not None:  # a run writes its record before anything else
        ours |= {*folders, *kind.tables(splits)}
    tops = {name.partition("/")[0] for name in ours}
    strangers = [name for name in _names(root) if not name.startswith(".") and name.removesuffix(PART) not in tops]
    inside = folders | dict.fromkeys(name.rpartition("/")[0] for name in ours if "/" in name)
    for folder in inside:
        for name in _files(root / folder):
            path = f"{folder}/{name}"
            if path.removesuffix(PART) not in ours and not (folder in folders and kind.pattern.fullmatch(name)):
                strangers.append(path)
    return strangers


def _names(folder: Path) -> list[str]:
    """What lies in a folder, sorted; nothing when there is no such folder."""
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []


def _files(folder: Path) -> list[str]:
    """The files in a folder and in those below it, by relative path, sorted."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def _elsewhere() -> str:
    return "name another folder with --set data.root=FOLDER"


def _size(count: float) -> str:
    """Bytes as people read them."""
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"
