"""The corpus folder as a whole: what lies in it, whether it may be written, and whether it fits."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from utils.cli_utils import UserError
from utils.config_utils import read_json

# Raised when recipes, scenes or captions change: another version is another corpus.
FORMAT_VERSION = 3
RECORD_NAME = "corpus.json"
PART = ".part"
SPLIT_PREFIXES = ("dev", "val", "eval")

_CLIP_NAME = re.compile(rf"({'|'.join(SPLIT_PREFIXES)})_\d{{6,}}\.wav({re.escape(PART)})?")


@dataclass(frozen=True)
class Record:
    """What `corpus.json` says of its folder.

    Attributes:
        seed: that the clips were drawn with.
        sizes: clips of each split, by folder name.
        complete: False from the first clip on until everything is there.
        version: of recipes, scenes, captions and files.
    """

    seed: int
    sizes: dict[str, int]
    complete: bool = False
    version: int = FORMAT_VERSION

    def finished(self) -> Record:
        """The same, with everything there."""
        return replace(self, complete=True)

    @property
    def clips(self) -> int:
        """Of all splits."""
        return sum(self.sizes.values())

    def summary(self) -> str:
        """Such as `1550 clips (development 1200, validation 150, evaluation 200) of seed 0`."""
        sizes = ", ".join(f"{split} {size}" for split, size in self.sizes.items())
        return f"{self.clips} clips ({sizes}) of seed {self.seed}"

    def command(self) -> str:
        """The command that makes this corpus again."""
        return f"python -m preprocessing.synthetic_corpus --clips {self.clips} --seed {self.seed}"


def file_name(split_number: int, index: int) -> str:
    """Of a clip: unique in the corpus, and no hint of what is heard."""
    return f"{SPLIT_PREFIXES[split_number]}_{index:06d}.wav"


def caption_file(root: Path, split: str) -> Path:
    """The captions of a split, named as Clotho names them."""
    return root / f"clotho_captions_{split}.csv"


def event_file(root: Path, split: str) -> Path:
    """What is heard when, in a split."""
    return root / f"{split}_events.csv"


def row_file(root: Path, split: str) -> Path:
    """The captions of a split again, one a row, as AudioCaps' TSV has them."""
    return root / f"{split}.tsv"


def clip_names(folder: Path) -> set[str]:
    """The whole clips of a split's folder; empty when there is no such folder."""
    return {name for name in _names(folder) if not name.endswith(PART)}


def all_there(root: Path, sizes: dict[str, int]) -> bool:
    """Whether every clip and every table of every split exist."""
    for number, (split, size) in enumerate(sizes.items()):
        expected = {file_name(number, index) for index in range(size)}
        if not all(table.is_file() for table in _tables(root, split)) or expected - clip_names(root / split):
            return False
    return True


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
    found = _read_record(root / RECORD_NAME)
    strangers = _strangers(root, wanted, found)
    if strangers:
        raise UserError(
            f"data.root: {root} holds files that are not of a synthetic corpus (such as {strangers[0]}), "
            f"expected a new or empty folder; {_elsewhere()}"
        )
    if found is not None:
        _check_extends(root, found, wanted)
    return found


def write_record(root: Path, record: Record) -> None:
    """Write `corpus.json`, whole or not at all."""
    content = {
        "format": "synthetic_corpus",
        "version": record.version,
        "seed": record.seed,
        "sizes": record.sizes,
        "complete": record.complete,
        "command": record.command(),
    }
    part = root / (RECORD_NAME + PART)
    part.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    part.replace(root / RECORD_NAME)


def check_disk(root: Path, new_clips: int, clip_bytes: float) -> None:
    """Print what the new clips will take, and make sure that it is there.

    Args:
        root: the corpus folder, which need not exist.
        new_clips: still to write.
        clip_bytes: mean size of one, with its captions.
    Raises:
        UserError: the disk has no room.
    """
    home = next(folder for folder in (root, *root.absolute().parents) if folder.exists())
    needed, free = 1.05 * new_clips * clip_bytes, shutil.disk_usage(home).free
    print(f"{root}: {new_clips} clips to write, about {_size(needed)}; {_size(free)} are free", flush=True)
    if needed > free:
        raise UserError(
            f"{root}: the disk has {_size(free)} free, the corpus needs {_size(needed)} more; "
            f"free some space, ask for fewer --clips, or {_elsewhere()}"
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


def _read_record(path: Path) -> Record | None:
    """The record, or None where there is none.

    Raises:
        UserError: the file is not a record.
    """
    if not path.is_file():
        return None
    try:
        content = read_json(path)
        sizes = {str(split): int(size) for split, size in content["sizes"].items()}
        return Record(int(content["seed"]), sizes, bool(content["complete"]), int(content["version"]))
    except (ValueError, KeyError, TypeError, AttributeError):
        raise UserError(
            f"{path}: is not the record of a synthetic corpus; delete the folder {path.parent}, or {_elsewhere()}"
        ) from None


def _check_extends(root: Path, found: Record, wanted: Record) -> None:
    """Raises: UserError: what is wanted is not what was found, or more of the same."""
    problem = ""
    if found.version != wanted.version:
        problem = f"a corpus of format {found.version}, expected format {wanted.version}"
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
    ours = {RECORD_NAME}
    splits = sorted({*wanted.sizes, *(found.sizes if found else ())})
    if found is not None:  # a run writes its record before anything else
        ours |= {*splits, *(table.name for split in splits for table in _tables(root, split))}
    strangers = [name for name in _names(root) if not name.startswith(".") and name.removesuffix(PART) not in ours]
    for split in splits:
        strangers += [f"{split}/{name}" for name in _names(root / split) if not _CLIP_NAME.fullmatch(name)]
    return strangers


def _tables(root: Path, split: str) -> tuple[Path, ...]:
    return caption_file(root, split), event_file(root, split), row_file(root, split)


def _names(folder: Path) -> list[str]:
    """What lies in a folder, sorted; nothing when there is no such folder."""
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []


def _elsewhere() -> str:
    return "name another folder with --set data.root=FOLDER"


def _size(count: float) -> str:
    """Bytes as people read them."""
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"
