"""Checksums that lie beside the data: SHA-1 of files, in the lines that `sha1sum -c` reads."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

CHECKSUMS = "checksums"
# A backslash before the sum: backslashes and line ends of the name are escaped. Two blanks, or one and `*` for binary.
_LINE = re.compile(r"(\\?)([0-9a-fA-F]{40}) [ *](.+)")
_ESCAPES = {"\\n": "\n", "\\r": "\r", "\\\\": "\\"}


class Checksums(NamedTuple):
    """What a file of checksums says."""

    sums: dict[Path, str]  # file -> 40 hexadecimal digits
    notes: list[str]  # lines that are none


def read_checksums(folder: Path) -> Checksums:
    """The checksums of a folder's files; none where it has no file `checksums`."""
    path = folder / CHECKSUMS
    if not path.is_file():
        return Checksums({}, [])
    sums: dict[Path, str] = {}
    strange: list[int] = []
    for number, line in enumerate(path.read_text(encoding="utf-8", errors="surrogateescape").split("\n"), 1):
        found = _LINE.fullmatch(line.removesuffix("\r"))
        if found:
            name = re.sub(r"\\.", _unescaped, found[3]) if found[1] else found[3]
            sums[folder / name] = found[2].lower()
        elif line.strip():
            strange.append(number)
    if not strange:
        return Checksums(sums, [])
    note = f"{path}: {len(strange)} lines are no checksums, the first is line {strange[0]}; they are ignored"
    return Checksums(sums, [note])


def damaged_files(files: Sequence[Path], sums: Mapping[Path, str], workers: int = 1) -> list[Path]:
    """The files whose content has another sum than the listed one; files that are not listed or not there are none.

    Args:
        files: to check.
        sums: as `read_checksums` gives them.
        workers: threads; reading and hashing release the interpreter lock.
    """
    listed = [file for file in files if file in sums and file.is_file()]
    with ThreadPoolExecutor(workers) as pool:
        return [file for file, found in zip(listed, pool.map(_sha1, listed), strict=True) if found != sums[file]]


def _sha1(file: Path) -> str:
    try:
        with file.open("rb") as stream:
            return hashlib.file_digest(stream, "sha1").hexdigest()
    except OSError as error:  # a damaged disk: the file is as good as damaged
        return str(error)


def _unescaped(found: re.Match[str]) -> str:
    return _ESCAPES.get(found[0], found[0])
