"""FMA's layout: fma_<subset>/NNN/NNNNNN.mp3, fma_metadata/tracks.csv and, where it is there, genres.csv."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

from utils.cli_utils import UserError
from utils.dataset_utils.checksums import damaged_files, read_checksums
from utils.dataset_utils.clips import Rejected
from utils.dataset_utils.file_names import audio_below
from utils.dataset_utils.fma_tables import FmaRow, read_genres, read_tracks
from utils.dataset_utils.music import Genre, RawMusic, RawTrack

_SUBSETS = ("small", "medium", "large")  # each holds those before it
_FOLDERS = ("fma_small", "fma_medium", "fma_large", "fma_full")  # the last: the tracks of large, not cut to 30 s


def tracks_file(root: Path) -> Path | None:
    """The tracks.csv of a folder in FMA's layout; None: it is in another."""
    return next((path for path in (root / "fma_metadata" / "tracks.csv", root / "tracks.csv") if path.is_file()), None)


def read_fma(root: Path, table: Path, subset: str | None) -> RawMusic:
    """Find the tracks of a subset and their files.

    Args:
        root: the folder that holds fma_<subset>.
        table: tracks.csv.
        subset: small, medium or large; None: that of the largest folder.
    Raises:
        UserError: a table is none of FMA's, there is no folder of the subset, or no track has a file.
    """
    folder, wanted = _folder(root, subset)
    rows = read_tracks(table)
    genre_file = table.with_name("genres.csv")
    tree = read_genres(genre_file) if genre_file.is_file() else {}
    refused: list[Rejected] = []
    by_id = _by_id(rows, refused)
    chosen = _chosen(by_id, wanted, refused)
    files = {file.relative_to(folder).as_posix(): file for file in audio_below(folder)}
    tracks = []
    for number, row in chosen.items():
        file = files.get(_path(number))
        if file is None:
            refused.append(Rejected("clip", f"{folder.name}/{_path(number)}", "no such file, which tracks.csv has"))
        else:
            tracks.append(_track(row, file, tree))
    known = set(map(_path, by_id))
    strange = [path for path in files if path not in known]
    refused += [Rejected("clip", f"{folder.name}/{path}", "tracks.csv has no such track") for path in strange]
    if not tracks:
        example = next(map(_path, chosen), "NNN/NNNNNN.mp3")
        raise UserError(
            f"{root}: none of the {len(chosen)} tracks of {', '.join(wanted)} has a file such as "
            f"{folder.name}/{example}; unpack {folder.name}.zip there, or choose another data.subset"
        )
    return RawMusic(tracks, refused, _understood(table, folder, tracks, tree, rows), list(tree.values()))


def _folder(root: Path, subset: str | None) -> tuple[Path, Collection[str]]:
    """The folder of audio, and the values of set.subset that belong to the subset.

    Raises:
        UserError: there is none.
    """
    least = 0 if subset is None else _SUBSETS.index(subset)
    there = [name for name in _FOLDERS if (root / name).is_dir()]
    fitting = [name for name in there if _FOLDERS.index(name) >= least]
    if not fitting:
        expected = "fma_small, fma_medium, fma_large or fma_full" if subset is None else _FOLDERS[least]
        raise UserError(
            f"{root}: found {', '.join(there) or 'no folder of audio'}, expected {expected} with NNN/NNNNNN.mp3 in it; "
            "unpack it there, or correct data.root and data.subset"
        )
    # the smallest folder that has the subset; without a subset all that is there
    name = fitting[-1] if subset is None else fitting[0]
    last = min(_FOLDERS.index(name), len(_SUBSETS) - 1) if subset is None else least
    return root / name, _SUBSETS[: last + 1]


def _by_id(rows: list[FmaRow], refused: list[Rejected]) -> dict[int, FmaRow]:
    """The first row of each id; others, and those without a number, are appended to `refused`."""
    by_id: dict[int, FmaRow] = {}
    for row in rows:
        if not (row.track_id.isascii() and row.track_id.isdecimal()):
            refused.append(Rejected("clip", f"track_id '{row.track_id}'", "expected a whole number in tracks.csv"))
        elif int(row.track_id) in by_id:
            refused.append(Rejected("clip", f"track_id {row.track_id}", "twice in tracks.csv; the first row counts"))
        else:
            by_id[int(row.track_id)] = row
    return by_id


def _chosen(by_id: Mapping[int, FmaRow], wanted: Collection[str], refused: list[Rejected]) -> dict[int, FmaRow]:
    """The tracks of the wanted subsets, all if the table names no subsets; strange ones are appended to `refused`."""
    if not any(row.subset for row in by_id.values()):
        return dict(by_id)
    refused += [
        Rejected("clip", f"track_id {number}", f"set.subset is '{row.subset}', expected {', '.join(_SUBSETS)}")
        for number, row in by_id.items()
        if row.subset not in _SUBSETS
    ]
    return {number: row for number, row in by_id.items() if row.subset in wanted}


def _path(number: int) -> str:
    name = f"{number:06d}"
    return f"{name[:3]}/{name}.mp3"


def _track(row: FmaRow, file: Path, tree: Mapping[int, Genre]) -> RawTrack:
    named = [tree[number].name for number in row.genre_ids if number in tree]
    genres = tuple(dict.fromkeys(filter(None, [row.genre_top, *named])))
    track_id = str(int(row.track_id))
    return RawTrack(file, track_id, row.title, row.artist, row.album, row.genre_top, genres, row.split)


def _understood(
    table: Path, folder: Path, tracks: list[RawTrack], tree: Mapping[int, Genre], rows: list[FmaRow]
) -> list[str]:
    genres = f"a tree of {len(tree)} genres" if tree else "no genres.csv, so the top genres alone"
    lines = [f"{table}: {len(tracks)} tracks have a file in {folder}; {genres}"]
    unknown = sorted({number for row in rows for number in row.genre_ids} - set(tree)) if tree else []
    if unknown:
        lines.append(f"genres.csv lacks {len(unknown)} genres of tracks.csv, such as {unknown[0]}; they are left out")
    listed = read_checksums(table.parent)
    lines += [
        f"{file}: differs from {table.parent / 'checksums'}; unpack fma_metadata.zip again unless you changed it"
        for file in damaged_files([table, table.with_name("genres.csv")], listed.sums)
    ]
    return lines
