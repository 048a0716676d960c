"""Clips and captions in no data set's layout: a folder and a table, or folders named by what is heard."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from utils.cli_utils import UserError
from utils.dataset_utils.captions import RawCaption
from utils.dataset_utils.clips import Rejected
from utils.dataset_utils.file_names import FileNames, audio_below, describe_ways
from utils.dataset_utils.own_table import read_own_table
from utils.dataset_utils.splitting import assign_splits, content_keys, recordings_of, split_keys
from utils.dataset_utils.tables import RawSplit
from utils.text_utils.prompts import spoken

_SPLIT_NAMES = {"train", "training", "development", "dev", "val", "valid", "validation", "test", "eval", "evaluation"}


@dataclass(frozen=True)
class OwnClips:
    """The clips of a folder with their captions.

    Attributes:
        root: the folder.
        files: the clips that have a caption.
        captions: of these, by their path relative to the root.
        refused: clips and captions that have no counterpart, each with its reason.
        groups: clip -> what it belongs to, from a column or its file name.
        understood: lines on how the folder and the table were read.
    """

    root: Path
    files: list[Path]
    captions: list[RawCaption]
    refused: list[Rejected]
    groups: Mapping[Path, str]
    understood: list[str]

    @property
    def captions_per_clip(self) -> int:
        """The most captions that a clip has."""
        return max(Counter(caption.name for caption in self.captions).values())

    def keys(self, workers: int) -> dict[Path, str]:
        """What decides the split of each clip: its content, or its group; see `split_keys`."""
        return split_keys(content_keys(self.files, workers), self.groups)

    def split(self, keys: Mapping[Path, str], shares: Mapping[str, float], seed: int) -> dict[str, RawSplit]:
        """Share the clips out; what belongs to no clip is reported with the first split.

        Args:
            keys: as `keys` gives them.
            shares: split -> its part of the clips.
            seed: of `assign_splits`.
        """
        of_key = assign_splits(keys.values(), shares, seed)
        of_path = {self._path(file): of_key[key] for file, key in keys.items()}
        captions: dict[str, list[RawCaption]] = defaultdict(list)
        for caption in self.captions:
            captions[of_path[caption.name]].append(caption)
        return {
            split: RawSplit(
                [file for file in self.files if of_path[self._path(file)] == split],
                captions[split],
                [] if number else self.refused,
                {path: path for path, its_split in of_path.items() if its_split == split},
                self.files,
            )
            for number, split in enumerate(shares)
        }

    def _path(self, file: Path) -> str:
        return file.relative_to(self.root).as_posix()


def read_own_clips(root: Path, table: Path | None, group: str | None) -> OwnClips:
    """Find the clips below a folder and their captions.

    Args:
        root: the folder.
        table: of captions; None: the name of a clip's folder is its caption.
        group: a column of the table; clips of equal values are in one split.
    Raises:
        UserError: no audio files, or none with a caption.
    """
    files = audio_below(root)
    if not files:
        raise UserError(f"{root}: no audio files in this folder or below it; name the folder of the clips")
    found = _of_folders(root, files, group) if table is None else _of_table(root, files, table, group)
    if not found.files:
        line = "; ".join(found.understood)
        first = f", the first {found.refused[0].reason}" if found.refused else ""
        example = files[0].relative_to(root).as_posix()
        raise UserError(f"{root}: no clip has a caption ({line}{first}; the first clip is '{example}'); correct names")
    return found


def _of_table(root: Path, files: Sequence[Path], path: Path, group: str | None) -> OwnClips:
    names = FileNames(root, files)
    table = read_own_table(path, group, lambda name: isinstance(names.find([name]).files[0], Path))
    found = names.find([row.name for row in table.rows])
    captions: list[RawCaption] = []
    refused = list(table.refused)
    groups: dict[Path, str] = {}
    numbers: Counter[Path] = Counter()
    for row, file in zip(table.rows, found.files, strict=True):
        if isinstance(file, str):
            refused.append(Rejected("caption", f"{path.name} line {row.line}", file))
            continue
        name = file.relative_to(root).as_posix()
        for caption in row.captions:
            numbers[file] += 1
            captions.append(RawCaption(name, caption, row.text, f"{name}#{numbers[file]}"))
        if row.group and row.group.strip():
            groups[file] = row.group.strip()
    captioned = [file for file in files if file in numbers]
    lines = [table.understood]
    if found.ways:
        lines.append(f"file names: {describe_ways(found.ways)}")
    groups = groups or _recordings(captioned, lines)
    return OwnClips(root, captioned, captions, [*refused, *_bare(root, files, captioned)], groups, lines)


def _of_folders(root: Path, files: Sequence[Path], group: str | None) -> OwnClips:
    if group is not None:
        raise UserError(f"--group {group}: names a column, and there is no table; leave it out, or give a table")
    captioned = [file for file in files if file.parent != root]
    kinds = sorted({file.parent.name for file in captioned})
    if strange := [kind for kind in kinds if kind.casefold() in _SPLIT_NAMES]:
        raise UserError(
            f"{root}: folder '{strange[0]}' is named after a split, not after what is heard; give a table of captions, "
            "or lay the data out as Clotho does (README, 'Your own data')"
        )
    if kinds and not any(map(str.isalpha, "".join(kinds))):
        raise UserError(
            f"{root}: the clips are in folders of numbers, such as '{kinds[0]}', which do not describe a sound; name "
            "a table of captions behind the folder"
        )
    if not captioned:
        tables = [p.name for p in sorted(root.iterdir()) if p.suffix.lower() in (".csv", ".tsv", ".txt")]
        hint = f"; is {tables[0]} the table?" if tables else ""
        raise UserError(
            f"{root}: the clips are in no folders named by what is heard, and no table is given{hint}; name a table of "
            "captions behind the folder"
        )
    paths = [file.relative_to(root).as_posix() for file in captioned]
    captions = [
        RawCaption(path, spoken(file.parent.name), None, f"{path}#1")
        for path, file in zip(paths, captioned, strict=True)
    ]
    lines = [f"captions: the names of the {len(kinds)} folders that clips are in, such as '{captions[0].raw_text}'"]
    return OwnClips(root, captioned, captions, _bare(root, files, captioned), _recordings(captioned, lines), lines)


def _recordings(captioned: Sequence[Path], lines: list[str]) -> dict[Path, str]:
    """Return the recording of each clip, from its name; append a line to `lines` where several clips share one."""
    groups = recordings_of(captioned)
    recordings = Counter(groups.values())
    if recordings and max(recordings.values()) > 1:
        lines.append(
            f"recordings: {len(groups)} clips are cut from {len(recordings)}, by their names; those of one are in "
            "one split"
        )
    return groups


def _bare(root: Path, files: Sequence[Path], captioned: Sequence[Path]) -> list[Rejected]:
    """The clips without a caption."""
    bare = sorted(set(files).difference(captioned))
    return [Rejected("clip", file.relative_to(root).as_posix(), "without a caption") for file in bare]
