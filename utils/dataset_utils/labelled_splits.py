"""Which split a labelled recording belongs to: with all that is like it, and every category in every split.

What is like it: sections of one recording (also by file names such as ESC's), recordings of one channel, equal sound,
and near-duplicates.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from utils.cli_utils import UserError, printable
from utils.data_utils.spec import SplitsSpec
from utils.dataset_utils.music_splits import CALLED
from utils.dataset_utils.splitting import recording_of
from utils.dataset_utils.video_list import ListedRecording


class Assigned(NamedTuple):
    """The split of each recording.

    Attributes:
        splits: (N,) of the N recordings.
        lines: what was moved, and what a user should know.
    """

    splits: list[str]
    lines: list[str]


class Groups:
    """N recordings in groups that must not be torn apart.

    Args:
        count: N.
    """

    def __init__(self, count: int) -> None:
        self._parent = list(range(count))

    def join(self, first: int, second: int) -> None:
        """Put the groups of two recordings together."""
        first, second = self.of(first), self.of(second)
        self._parent[max(first, second)] = min(first, second)

    def join_equal(self, values: Iterable[str]) -> None:
        """Put recordings of one value together; those with an empty one are left alone."""
        first: dict[str, int] = {}
        for number, value in enumerate(values):
            if value:
                self.join(number, first.setdefault(value, number))

    def of(self, number: int) -> int:
        """The first recording of its group."""
        while self._parent[number] != number:
            self._parent[number] = number = self._parent[self._parent[number]]
        return number

    def members(self) -> dict[int, list[int]]:
        """Every group, by its first recording."""
        found: dict[int, list[int]] = defaultdict(list)
        for number in range(len(self._parent)):
            found[self.of(number)].append(number)
        return found


def groups_of(
    recordings: Sequence[ListedRecording],
    sounds: Sequence[str],
    pairs: Iterable[tuple[int, int]],
    *,
    by_channel: bool,
) -> Groups:
    """The groups of recordings.

    Args:
        recordings: N of them.
        sounds: (N,) digests of their samples; empty: silence.
        pairs: two rows each, of near-duplicates.
        by_channel: whether a channel is a group.
    """
    groups = Groups(len(recordings))
    groups.join_equal(recording.recording for recording in recordings)
    groups.join_equal(recording_of(recording.path) or "" for recording in recordings)
    groups.join_equal(sounds)
    if by_channel:
        groups.join_equal(recording.channel for recording in recordings)
    for first, second in pairs:
        groups.join(first, second)
    return groups


def named_splits(recordings: Sequence[ListedRecording], splits: SplitsSpec, groups: Groups) -> Assigned:
    """The splits that the list names; a group in several of them is moved into that of most of its recordings.

    Args:
        recordings: N of them, all with a split.
        splits: of the run; a list's `train` is the split of training, whatever the run calls it.
        groups: without channels, which the list has shared out itself.
    Raises:
        UserError: a recording has no split, or one that is not known.
    """
    roles = (splits.train, splits.val, splits.eval)
    called = {name: role for role, names in zip(roles, CALLED, strict=True) for name in names} | {r: r for r in roles}
    found = []
    for recording in recordings:
        split = called.get(recording.split) or called.get(recording.split.casefold())
        if split is None:
            what = f"its split is '{printable(recording.split)}'" if recording.split else "no split, others have one"
            raise UserError(f"{recording.where}: {what}; expected one of {', '.join(splits.names())}; correct it")
        found.append(split)
    moved = 0
    for members in groups.members().values():
        counts = Counter(found[number] for number in members)
        most = min(counts, key=lambda split: (-counts[split], roles.index(split)))
        moved += len(members) - counts[most]
        for number in members:
            found[number] = most
    lines = ["splits: as the list names them"]
    if moved:
        lines.append(f"moved into another split, since nearly the same sound or recording is there: {moved} recordings")
    channels: dict[str, set[str]] = defaultdict(set)
    for recording, split in zip(recordings, found, strict=True):
        channels[recording.channel].add(split)
    several = [channel for channel, names in channels.items() if channel and len(names) > 1]
    if several:
        lines.append(
            f"{len(several)} channels, such as '{printable(several[0])}', are in more than one split, as the list has "
            "it: what is measured is in part how well known channels are recognised"
        )
    return Assigned(found, lines)


def shared_out(
    recordings: Sequence[ListedRecording],
    shares: Mapping[str, float],
    seed: int,
    groups: Groups,
    earlier: Mapping[str, str],
) -> Assigned:
    """Share groups out, such that every split has about its share of every category.

    Args:
        recordings: N of them.
        shares: split -> its part of the recordings: train, val, eval.
        seed: of the hash that orders groups of equal size.
        groups: of the recordings.
        earlier: id -> split of an earlier run of the same shares and seed: these stay where they are, so that a list
            that grows moves nothing from training into evaluation. Groups that grew together are moved into one.
    """
    train, val, evaluation = shares
    categories: dict[str, list[tuple[int, bytes, list[int]]]] = defaultdict(list)
    for members in groups.members().values():
        counts = Counter(recordings[number].category for number in members)
        main = min(counts, key=lambda category: (-counts[category], category))
        key = min(recordings[number].id for number in members)
        categories[main].append((-len(members), _hash(key, seed), members))
    found = [""] * len(recordings)
    moved = 0
    for _, of_category in sorted(categories.items()):
        owed = {split: share * -sum(size for size, _, _ in of_category) for split, share in shares.items()}
        fresh: list[list[int]] = []
        given: set[str] = set()
        for _, _, members in sorted(of_category):
            known = Counter(earlier[recordings[n].id] for n in members if earlier.get(recordings[n].id) in shares)
            if not known:
                fresh.append(members)
                continue
            split = min(known, key=lambda name: (-known[name], list(shares).index(name)))
            moved += known.total() - known[split]
            _give(members, split, found, owed, given)
        for members in fresh:  # the largest first: what is left over can then be evened out
            lacking = [split for split in (train, evaluation, val) if split not in given and shares[split] > 0]
            _give(members, lacking[0] if lacking else max(owed, key=lambda name: owed[name]), found, owed, given)
    lines = [f"splits: {':'.join(f'{share:g}' for share in shares.values())} of each category, data.seed {seed}"]
    if moved:
        lines.append(f"moved into another split, since what is like them is there: {moved} recordings")
    return Assigned(found, lines)


def _give(members: Sequence[int], split: str, found: list[str], owed: dict[str, float], given: set[str]) -> None:
    for number in members:
        found[number] = split
    owed[split] -= len(members)
    given.add(split)


def _hash(key: str, seed: int) -> bytes:
    return hashlib.blake2b(f"{seed}\0{key}".encode("utf-8", "surrogateescape"), digest_size=8).digest()


def check_splits(recordings: Sequence[ListedRecording], splits: Sequence[str], names: Sequence[str]) -> list[str]:
    """Check that training has every category, and that no split is empty.

    Args:
        recordings: N of them.
        splits: (N,) of each.
        names: of all splits, that of training first.
    Returns:
        Lines on categories that only training has.
    Raises:
        UserError: an empty split, or a category that training lacks.
    """
    found: dict[str, set[str]] = {name: set() for name in names}
    for recording, split in zip(recordings, splits, strict=True):
        found[split].add(recording.category)
    train, *others = names
    for split in others:
        if lacking := sorted(found[split] - found[train]):
            where = next(
                recording.where
                for recording, name in zip(recordings, splits, strict=True)
                if (recording.category, name) == (lacking[0], split)
            )
            raise UserError(
                f"{where}: category '{printable(lacking[0])}' is in '{split}', and '{train}' has no recording of it; "
                "add recordings of other channels, or give others the split of training"
            )
    if empty := [name for name in names if not found[name]]:
        raise UserError(f"split '{empty[0]}' is empty: {_why_empty(recordings, len(names))}")
    unheard = sorted(found[train] - found[names[-1]])
    if not unheard:
        return []
    few = ", ".join(printable(category) for category in unheard[:3])
    return [f"categories without a recording in '{names[-1]}', on which nothing is measured: {len(unheard)} ({few})"]


def _why_empty(recordings: Sequence[ListedRecording], count: int) -> str:
    """Why not all of `count` splits have recordings, and what to do about it."""
    if named := sorted({recording.split for recording in recordings if recording.split}):
        found = ", ".join(printable(split) for split in named)
        return (
            f"the list, or the folders, name {found} alone; give it some recordings, or name no splits: data.shares "
            "then decides"
        )
    channels = {recording.channel for recording in recordings}
    if len(channels) < count and "" not in channels:
        return (
            f"all recordings are of {len(channels)} channels, such as '{printable(min(channels))}', each of which is "
            "in one split; add recordings of others, or leave the column channel out"
        )
    return (
        f"{len(recordings)} recordings are too few, or too much alike, for {count} splits; add recordings of other "
        "channels"
    )
