"""Which split a clip belongs to: a hash of its content decides, so that clips that come later move no earlier one."""

from __future__ import annotations

import hashlib
import itertools
import re
from bisect import bisect
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

# Cuts of one recording, by their names: ESC-50's `1-187207-A` (fold, Freesound id, take), and clips of YouTube
# with the id, start and end of AudioSet. Names such as `dog_1` do not count: every dog would be one recording.
_TAKE = re.compile(r"(?:^|.*\D)(\d-\d+)-[A-Z]")
_SEGMENT = re.compile(r"Y?([\w-]{11})_(\d+(?:\.\d+)?)_(\d+(?:\.\d+)?)")
_LONGEST_SEGMENT_S = 10
# Another seed is tried where one leaves a split less than this part of its share.
_LEAST_PART = 0.6
_MAX_SEEDS = 100


def content_keys(files: Sequence[Path], workers: int = 1) -> dict[Path, str]:
    """A digest of the bytes of each file; files that cannot be read have that of their name.

    Args:
        files: the clips.
        workers: threads; reading and hashing release the interpreter lock.
    """
    with ThreadPoolExecutor(workers) as pool:
        return dict(zip(files, pool.map(_digest, files), strict=True))


def _digest(file: Path) -> str:
    try:
        with file.open("rb") as stream:
            return hashlib.file_digest(stream, "blake2b").hexdigest()
    except OSError:  # whoever decodes it reports it
        return f"unreadable {file.name}"


def recording_of(name: str) -> str | None:
    """The recording that a clip is cut from, from its file name; None where that names none.

    Args:
        name: of the file, with or without folders and extension.
    """
    stem = Path(name).stem
    if take := _TAKE.fullmatch(stem):
        return take[1]
    segment = _SEGMENT.fullmatch(stem)
    if segment is None:
        return None
    start, end = segment[2], segment[3]
    length = float(end) - float(start)
    # two small whole numbers may count anything: `dog_barking_3_7` is no segment
    in_seconds = length == _LONGEST_SEGMENT_S or ("." in start and "." in end and 0 < length < _LONGEST_SEGMENT_S)
    in_milliseconds = 1000 <= length <= 1000 * _LONGEST_SEGMENT_S and length % 1000 == 0
    return segment[1] if in_seconds or in_milliseconds else None


def recordings_of(files: Iterable[Path]) -> dict[Path, str]:
    """The files that are cut from a recording, by their names, each with its recording."""
    return {file: recording for file in files if (recording := recording_of(file.name))}


def split_keys(contents: Mapping[Path, str], groups: Mapping[Path, str]) -> dict[Path, str]:
    """The key of each clip: its group where it has one, else its content; clips of equal content share one.

    Args:
        contents: of each clip, as `content_keys` gives them.
        groups: clip -> what it belongs to (a recording, a speaker); clips that are missing belong to themselves.
    """
    # union-find over contents: those of one group are joined, so that equal content in two groups joins the groups
    parent: dict[str, str] = {content: content for content in contents.values()}

    def root(key: str) -> str:
        while parent[key] != key:
            parent[key] = key = parent[parent[key]]
        return key

    first: dict[str, str] = {}
    for file, group in groups.items():
        parent[root(contents[file])] = root(first.setdefault(group, contents[file]))
    names: dict[str, list[str]] = defaultdict(list)
    for file, group in groups.items():
        names[root(contents[file])].append(f"group {group}")
    return {file: min(names.get(root(content), [content])) for file, content in contents.items()}


def assign_splits(keys: Iterable[str], shares: Mapping[str, float], seed: int = 0) -> dict[str, str]:
    """The split of each key; it depends on the key, the shares and the seed alone, not on the other keys.

    Args:
        keys: of `split_keys`.
        shares: split -> its part of the clips; they sum to 1.
        seed: another one shares the same clips out otherwise.
    """
    splits = list(shares)
    ends = list(itertools.accumulate(shares.values()))[:-1]
    return {key: splits[bisect(ends, _uniform(key, seed))] for key in keys}


def _uniform(key: str, seed: int) -> float:
    """A number from 0 to below 1."""
    digest = hashlib.blake2b(f"{seed}\0{key}".encode("utf-8", "surrogateescape"), digest_size=6).digest()
    return int.from_bytes(digest) / 2**48


def fair_seed(keys: Sequence[str], shares: Mapping[str, float]) -> int | None:
    """The first seed that gives each split at least 0.6 of its share of the clips; None if there is none.

    With hundreds of clips it is 0. With twenty, one in four seeds would leave a split of a tenth without any clip.

    Args:
        keys: of every clip, as `split_keys` gives them; a key occurs once for each of its clips.
        shares: split -> its part of the clips.
    """
    for seed in range(_MAX_SEEDS):
        of_key = assign_splits(set(keys), shares, seed)
        counts = Counter(of_key[key] for key in keys)
        if all(counts[split] >= max(1, _LEAST_PART * share * len(keys)) for split, share in shares.items()):
            return seed
    return None
