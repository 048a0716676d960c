"""Write the tables of stage 1 of a music data set; unchanged tracks are not decoded again."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from pathlib import Path

from utils.artefact_utils import Clip, Track, remove_table, write_audio_info, write_catalogue, write_rows
from utils.audio_utils import DECODING_VERSION
from utils.audio_utils.fingerprints import Fingerprint
from utils.cli_utils import UserError
from utils.data_utils.music_spec import MusicDataSpec
from utils.data_utils.products import GENRE_COLUMNS
from utils.dataset_utils.checksums import CHECKSUMS, damaged_files, read_checksums
from utils.dataset_utils.clips import Rejected, decode_clips
from utils.dataset_utils.music import Genre, RawTrack
from utils.dataset_utils.music_splits import MusicSplit
from utils.dataset_utils.similar_music import BeginningPrint, write_similar_tracks
from utils.dataset_utils.tables import known_clips, write_duplicates, write_rejected
from utils.dataset_utils.unchanged import notes_of
from utils.report_utils import print_table


def write_music_tables(
    data: MusicDataSpec,
    raw: Mapping[str, MusicSplit],
    tree: Sequence[Genre],
    workers: int,
    *,
    strict: bool,
    made_by: str,
) -> int:
    """Decode tracks, write all tables, and print a summary.

    Args:
        data: the run's `data:` block.
        raw: the content of each split.
        tree: the genres of the data set; empty: it has no tree.
        workers: number of processes.
        strict: return 1 if anything was rejected.
        made_by: the command that makes these tables again.
    Returns:
        The exit code.
    Raises:
        UserError: a split has no track that can be used.
    """
    sums = _checksums(data.root)
    known = {clip.fid for split in raw for clip in known_clips(data, split).values()}
    clips: dict[str, list[Clip]] = {}
    tracks: dict[str, list[Track]] = {}
    rejected: dict[str, list[Rejected]] = {}
    prints: dict[str, Fingerprint] = {}
    for split, found in raw.items():
        clips[split], broken, heard = _clips(data, split, found.tracks, sums, workers)
        prints |= heard
        tracks[split] = _tracks(data.root, split, found.tracks, clips[split])
        rejected[split] = [*found.refused, *broken]
        write_rejected(data.rejected(split), rejected[split])
        if not found.tracks:
            left_out = [row for other in raw.values() for row in other.refused]
            first = f" ({len(left_out)} are left out: {left_out[0].name}: {left_out[0].reason})" if left_out else ""
            raise UserError(
                f"split '{split}' of {data.root} is empty: no track with a file belongs to it{first}; name it for some "
                "tracks, add their files, or correct data.splits"
            )
        if not clips[split]:
            first = f", the first: {rejected[split][0].name}: {rejected[split][0].reason}" if rejected[split] else ""
            raise UserError(
                f"split '{split}' of {data.root} is empty: none of its {len(found.tracks)} tracks can be used; reasons "
                f"are in {data.rejected(split)}{first}; repair the files, or correct data.splits"
            )
    # before the clips are written: a run that is stopped here compares them again
    if {clip.fid for clip in chain.from_iterable(clips.values())} != known:
        write_similar_tracks(data, clips, prints, workers)
    of_all = list(chain.from_iterable(tracks.values()))
    write_catalogue(data.catalogue, of_all)
    _write_tree(data.genre_tree, tree, of_all)
    notes = notes_of(data.root, DECODING_VERSION, chain.from_iterable(clips.values()), data.root.joinpath)
    # last, so that it never lists tracks that the catalogue does not
    write_audio_info(data.audio_info, clips, notes | {"made_by": made_by})
    _print_summary(data, tracks, rejected)
    write_duplicates(data, clips)
    print(f"wrote {data.catalogue}, {data.audio_info}")
    return int(strict and any(rejected.values()))


def _checksums(root: Path) -> dict[Path, str]:
    """The checksums beside the data: in its folder, and in those of archives that were unpacked there."""
    sums: dict[Path, str] = {}
    for folder in [root, *sorted(path for path in root.iterdir() if (path / CHECKSUMS).is_file())]:
        listed = read_checksums(folder)
        sums |= listed.sums
        for note in listed.notes:
            print(note)
    return sums


def _clips(
    data: MusicDataSpec, split: str, tracks: Sequence[RawTrack], sums: Mapping[Path, str], workers: int
) -> tuple[list[Clip], list[Rejected], dict[str, Fingerprint]]:
    """The tracks of a split that can be used, as clips; the others with the reason; fingerprints of what is new."""
    known = known_clips(data, split)
    ids = {_path(data.root, track): track.track_id for track in tracks}
    fresh = {data.root / path: path for path in ids if path not in known}
    damaged = set(damaged_files(list(fresh), sums, workers))
    whole = [path for file, path in fresh.items() if file not in damaged]
    decoded = decode_clips(whole, data.root, split, workers, BeginningPrint)
    broken = [of.clip._replace(name=path) for path, of in decoded.items() if isinstance(of.clip, Rejected)]
    usable = known | {path: of.clip for path, of in decoded.items() if isinstance(of.clip, Clip)}
    # a known clip may come from the table of another script, with other ids
    found = [usable[path]._replace(source_id=track_id) for path, track_id in ids.items() if path in usable]
    clips = [clip for clip in found if clip.duration_s >= data.min_duration_s]
    reason = f"its content differs from the file '{CHECKSUMS}'; download or unpack it again"
    rejected = [Rejected("clip", file.relative_to(data.root).as_posix(), reason) for file in sorted(damaged)]
    rejected += broken
    rejected += [
        Rejected("clip", clip.path, f"lasts {clip.duration_s:.2f} s, data.min_duration_s is {data.min_duration_s:g}")
        for clip in found
        if clip.duration_s < data.min_duration_s
    ]
    return clips, rejected, {path: of.heard for path, of in decoded.items() if of.heard is not None}


def _path(root: Path, track: RawTrack) -> str:
    return track.file.relative_to(root).as_posix()


def _tracks(root: Path, split: str, raw: Sequence[RawTrack], clips: Sequence[Clip]) -> list[Track]:
    by_path = {_path(root, track): track for track in raw}
    tracks = []
    for clip in clips:
        of = by_path[clip.path]
        described = (of.title, of.artist, of.album, of.genre, of.genres)
        tracks.append(Track(clip.fid, of.track_id, split, clip.path, *described, clip.duration_s))
    return tracks


def _write_tree(path: Path, tree: Sequence[Genre], tracks: Iterable[Track]) -> None:
    """Write genres.csv, with the number of tracks that have each genre; otherwise remove an old one."""
    if not tree:
        remove_table(path, GENRE_COLUMNS)
        return
    counts = Counter(name for track in tracks for name in track.genres)
    write_rows(path, GENRE_COLUMNS, ([genre.name, genre.parent, genre.top, counts[genre.name]] for genre in tree))


def _print_summary(
    data: MusicDataSpec, tracks: Mapping[str, Sequence[Track]], rejected: Mapping[str, Sequence[Rejected]]
) -> None:
    rows = [
        [
            split,
            len(rows),
            len({track.artist for track in rows if track.artist}),
            len({track.genre for track in rows if track.genre}),
            sum(not track.genre for track in rows),
            f"{sum(track.duration_s for track in rows) / 60:.1f}",
            len(rejected[split]),
        ]
        for split, rows in tracks.items()
    ]
    print_table(
        f"Music {data.root}", ["split", "tracks", "artists", "genres", "without genre", "minutes", "rejected"], rows
    )
    for split in tracks:
        if rejected[split]:
            print(f"{split}: the rejected ones, with reasons: {data.rejected(split)}")
    if any(not track.genre for track in chain.from_iterable(tracks.values())):
        print("tracks without a genre are trained on and recommended; measures of genre leave them out as queries")
    splits_of: dict[str, set[str]] = defaultdict(set)
    for track in chain.from_iterable(tracks.values()):
        splits_of[track.artist].add(track.split)
    several = [artist for artist, splits in splits_of.items() if artist and len(splits) > 1]
    if several:
        print(
            f"{len(several)} artists, such as {several[0]!r}, are in more than one split, as the data set has it: what "
            "is measured is in part how well known artists are recognised"
        )
