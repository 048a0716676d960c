"""Which split a track belongs to: the one that its data set names, or one by artist, with the genres spread evenly.

All tracks of an artist are in one split: voice, instruments and studio of an artist are heard in all of them, so that
a test track whose artist was trained on tells nothing of others (the artist effect: Pampalk, Flexer and Widmer 2005).
FMA's own splits keep artists apart and spread genres evenly, too.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from utils.cli_utils import UserError
from utils.data_utils.spec import SplitsSpec
from utils.dataset_utils.clips import Rejected
from utils.dataset_utils.music import RawMusic, RawTrack
from utils.dataset_utils.splitting import content_keys, split_keys

# What the splits of a data set are called, by role: train, val, eval.
CALLED = (
    ("training", "train", "development", "dev"),
    ("validation", "val", "valid"),
    ("test", "testing", "eval", "evaluation"),
)


class MusicSplit(NamedTuple):
    """The tracks of a split, and what is refused with it."""

    tracks: list[RawTrack]
    refused: list[Rejected]


def split_of_names(found: RawMusic, splits: SplitsSpec, root: Path) -> dict[str, MusicSplit]:
    """Sort tracks by the splits that the data set names; tracks of no known split are refused with the first one.

    Args:
        found: tracks, some of which have a `split`.
        splits: of the run; a data set's `train` is the split of training, whatever the run calls it.
        root: of the data, for the names of refused tracks.
    """
    roles = (splits.train, splits.val, splits.eval)
    called = {name: role for role, names in zip(roles, CALLED, strict=True) for name in names} | {r: r for r in roles}
    made: dict[str, MusicSplit] = {split: MusicSplit([], []) for split in splits.names()}
    refused = made[splits.train].refused
    refused += found.refused
    for track in found.tracks:
        split = called.get(track.split) or called.get(track.split.casefold())
        if split is None:
            reason = f"its split is '{track.split}', expected one of {', '.join(made)}"
            refused.append(Rejected("clip", track.file.relative_to(root).as_posix(), reason))
        else:
            made[split].tracks.append(track)
    return made


def names_a_split(name: str) -> bool:
    """Whether a data set calls a split so: training, dev, test ..."""
    return any(name.casefold() in names for names in CALLED)


def split_by_artist(
    found: RawMusic, splits: SplitsSpec, shares: Sequence[float], seed: int, workers: int = 1
) -> dict[str, MusicSplit]:
    """Share the artists out, each with all tracks; equal files and tracks without an artist stay together, too.

    Args:
        found: the tracks.
        splits: of the run.
        shares: of the tracks: train, val, eval.
        seed: another one shares the same artists out otherwise.
        workers: threads that read the files.
    Raises:
        UserError: the run has not three splits, or one of them would be empty.
    """
    names = splits.names()
    if len(names) != 3:
        raise UserError(f"data.splits: expected three different splits, found {', '.join(names)}")
    files = [track.file for track in found.tracks]
    artists = {track.file: track.artist for track in found.tracks if track.artist}
    keys = split_keys(content_keys(files, workers), artists)
    genres = {track.file: track.genre for track in found.tracks}
    of_key = spread([(keys[file], genres[file]) for file in files], dict(zip(names, shares, strict=True)), seed)
    made = {split: MusicSplit([], found.refused if number == 0 else []) for number, split in enumerate(names)}
    for track in found.tracks:
        made[of_key[keys[track.file]]].tracks.append(track)
    if empty := next((split for split in names if not made[split].tracks), None):
        raise UserError(
            f"none of the {len(files)} tracks of {len(of_key)} artists falls to '{empty}'; add music of other artists, "
            "or give a table with a column split: data.table"
        )
    return made


def spread(members: Sequence[tuple[str, str]], shares: Mapping[str, float], seed: int) -> dict[str, str]:
    """The split of each key, such that every split has about its share of every genre.

    Keys go through the splits genre by genre, in the order of a hash, and each falls to the split that is owed most.
    It is systematic sampling: what a genre of few artists leaves over is carried on to the next one.

    Args:
        members: key and genre of each track; a key of several genres counts as that of most of its tracks.
        shares: split -> its part of the tracks; they sum to 1.
        seed: of the hash.
    """
    genres: dict[str, Counter[str]] = defaultdict(Counter)
    for key, genre in members:
        genres[key][genre] += 1
    main = {key: min(counts, key=lambda genre: (-counts[genre], genre)) for key, counts in genres.items()}
    owed = dict.fromkeys(shares, 0.0)
    of_key: dict[str, str] = {}
    for key in sorted(genres, key=lambda key: (main[key], _hash(key, seed))):
        tracks = genres[key].total()
        for split, share in shares.items():
            owed[split] += share * tracks
        chosen = max(owed, key=lambda split: owed[split])
        owed[chosen] -= tracks
        of_key[key] = chosen
    return of_key


def _hash(key: str, seed: int) -> bytes:
    return hashlib.blake2b(f"{seed}\0{key}".encode("utf-8", "surrogateescape"), digest_size=8).digest()
