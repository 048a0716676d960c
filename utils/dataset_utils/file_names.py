"""The files that a table means, however it spells their names."""

from __future__ import annotations

import os
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from utils.dataset_utils.clips import AUDIO_SUFFIXES

_EXACT = "as they are"


class FoundFiles(NamedTuple):
    """What the names of a table mean.

    Attributes:
        files: of each name the file, or why there is none.
        ways: how names are spelled -> how many are spelled so.
    """

    files: list[Path | str]
    ways: Counter[str]


class FileNames:
    """The audio files below a folder, by every spelling that means one of them.

    Args:
        root: the folder.
        files: below it.
    """

    def __init__(self, root: Path, files: Sequence[Path]) -> None:
        self._root = root
        # a relative root may begin with .., and be a link
        self._absolute = (Path(os.path.normpath(root.absolute())), root.resolve())
        paths = {file.relative_to(root).as_posix(): file for file in files}
        self._lookups: list[tuple[str, dict[str, list[Path]], Callable[[str], str]]] = []
        # from the strictest way to the loosest: the first that finds a file is taken
        for case, fold in (("", _composed), (" in another case", _folded)):
            for how, of_file, of_name in (
                (_EXACT, _same, _same),
                ("without extension", _without_suffix, _same),
                ("with another extension", _without_suffix, _without_audio_suffix),
            ):
                table: dict[str, list[Path]] = defaultdict(list)
                for path, file in paths.items():
                    table[fold(of_file(path))].append(file)
                way = case.strip() if case and how == _EXACT else how + case
                self._lookups.append((way, table, _chain(of_name, fold)))
        self._by_name: dict[str, list[str]] = defaultdict(list)  # file name -> paths
        for path in paths:
            for spelled in {_folded(PurePosixPath(path).name), _folded(_without_suffix(PurePosixPath(path).name))}:
                self._by_name[spelled].append(path)

    def find(self, names: Sequence[str]) -> FoundFiles:
        """The files of the names of a table.

        How many leading folders of the names lead to the root is decided once for the whole table, by what most names
        need: decided name by name, a missing file could be taken for another one of the same name.
        """
        spelled = [self._relative(name) for name in names]
        deepest = max((len(parts) for parts in spelled), default=0)
        depth = max(range(max(1, deepest)), key=lambda d: sum(bool(self._lookup(p, d)[1]) for p in spelled))
        found = FoundFiles([], Counter())
        for name, parts in zip(names, spelled, strict=True):
            way, files = self._lookup(parts, depth)
            if len(files) == 1:
                found.files.append(files[0])
                found.ways[way if depth == 0 or len(parts) == 1 else _after(depth, way)] += 1
            elif files:
                paths = " or ".join(sorted(file.relative_to(self._root).as_posix() for file in files)[:3])
                found.files.append(f"without a clip: '{name}': may be {paths}; write which")
            else:
                found.files.append(f"without a clip: '{name}': {self._why_not(name) if parts else 'no file is named'}")
        return found

    def _why_not(self, name: str) -> str:
        path = Path(os.path.normpath(self._root.absolute() / name.strip()))
        # `Path.is_file` refuses names that no file system takes
        if not os.path.isfile(path):  # noqa: PTH113
            return "no such file"
        if not any(path.is_relative_to(root) for root in self._absolute):
            return f"is not below {self._root}"
        if path.suffix.lower() not in AUDIO_SUFFIXES:
            return f"extension '{path.suffix}' is none of {', '.join(sorted(AUDIO_SUFFIXES))}"
        return "is hidden, or behind a link to a folder, and those are not searched"

    def _relative(self, name: str) -> tuple[str, ...]:
        """The parts of a name; those of an absolute path below the root are relative to it."""
        name = name.strip()
        if "/" not in name:
            name = name.replace("\\", "/")  # as Windows writes folders
        path = PurePosixPath(name)
        for root in self._absolute:
            if path.is_relative_to(root):
                path = path.relative_to(root)
                break
        return tuple(part for part in path.parts if part not in ("/", ".", ".."))

    def _lookup(self, parts: tuple[str, ...], depth: int) -> tuple[str, list[Path]]:
        """How a name is spelled, and the files that it may mean, without its first `depth` folders."""
        if not parts:
            return _EXACT, []
        path = "/".join(parts[min(depth, len(parts) - 1) :])
        for way, table, key in self._lookups:
            if files := table.get(key(path)):
                return way, files
        if len(parts) == 1:  # the table does not name folders
            for spelled in (_folded(parts[0]), _folded(_without_audio_suffix(parts[0]))):
                if paths := self._by_name.get(spelled):
                    return "without their folders", [self._root / path for path in paths]
        return _EXACT, []


def describe_ways(ways: Counter[str]) -> str:
    """How names are spelled, such as '280 as they are, 10 without extension'."""
    return ", ".join(f"{count} {way}" for way, count in ways.most_common())


def audio_below(root: Path) -> list[Path]:
    """The audio files below a folder, by path; hidden files and folders are left out."""
    return sorted(file for file in _walk(root) if file.suffix.lower() in AUDIO_SUFFIXES and file.is_file())


def linked_folders(root: Path) -> list[Path]:
    """The links to folders below a folder, which are not searched."""
    return sorted(path for path in _walk(root) if path.is_dir())


def _walk(folder: Path) -> Iterable[Path]:
    for path in folder.iterdir():
        if not path.name.startswith("."):
            # a link to a folder may lead in a circle
            yield from _walk(path) if path.is_dir() and not path.is_symlink() else [path]


def _after(depth: int, way: str) -> str:
    folders = "first folder" if depth == 1 else f"first {depth} folders"
    return f"without their {folders}" + ("" if way == _EXACT else f", {way}")


def _same(path: str) -> str:
    return path


def _without_suffix(path: str) -> str:
    return str(PurePosixPath(path).with_suffix(""))


def _without_audio_suffix(path: str) -> str:
    return _without_suffix(path) if PurePosixPath(path).suffix.lower() in AUDIO_SUFFIXES else path


def _composed(path: str) -> str:
    return unicodedata.normalize("NFC", path)


def _folded(path: str) -> str:
    return _composed(path).casefold()


def _chain(first: Callable[[str], str], then: Callable[[str], str]) -> Callable[[str], str]:
    return lambda path: then(first(path))
