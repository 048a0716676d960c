"""Music in FMA's layout, with a table or with tags -> catalogue.csv, audio_info.pkl, genres.csv.

    python -m preprocessing.fma_dataset --conf tasks/music_autoencoder.yaml

Reads data.root, one of
- FMA's layout: fma_<subset>/NNN/NNNNNN.mp3, fma_metadata/tracks.csv and, where it is there, genres.csv;
- any folder of music and the table data.table: path, genre, artist, title, perhaps album, split, track_id;
- any folder of music without a table: tags of the files, and names of folders where a file has none.
Every track is decoded: broken and short ones are left out and reported, as those whose SHA-1 differs from a file
`checksums` beside them. New ones are then compared by the sound of their first two minutes: similar_tracks.csv. Where
nothing names splits, each artist falls to one, and genres are spread evenly.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from tasks import Commands, command, load_run
from tasks.base import TrackRun
from utils.cli_utils import UserError, existing_folder, positive
from utils.data_utils import MusicDataSpec, making
from utils.dataset_utils.fma import read_fma, tracks_file
from utils.dataset_utils.music import RawMusic
from utils.dataset_utils.music_splits import split_by_artist, split_of_names
from utils.dataset_utils.music_table import read_music_table
from utils.dataset_utils.music_tables import write_music_tables
from utils.dataset_utils.music_tags import read_tagged
from utils.process_utils import all_cores

SCRIPT = "preprocessing.fma_dataset"
CORPUS_SCRIPT = "preprocessing.synthetic_music"


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Write the tables of every split; returns 1 when --strict finds rejected tracks."""
    parser = argparse.ArgumentParser(prog=f"python -m {SCRIPT}", description=__doc__.splitlines()[0])
    parser.add_argument("--strict", action="store_true", help="exit with 1 if any track is rejected")
    parser.add_argument("--workers", type=positive, default=all_cores(), help="processes (default: all cores)")
    run, args = load_run(argv, parser, TrackRun)
    commands = Commands.of(args, run.script_of)
    data = run.data
    existing_folder(data.root, "data.root", f"correct it, or make the corpus: {commands.line(CORPUS_SCRIPT)}")
    with commands.completing(), making(data, "tables"):
        found = _find(data, args.workers)
        print("\n".join(found.understood))
        if any(track.split for track in found.tracks):
            raw = split_of_names(found, data.splits, data.root)
        else:
            by = "artist" if any(track.artist for track in found.tracks) else "content, since no artist is known"
            print(f"splits: {':'.join(f'{share:g}' for share in data.shares)} by {by}, data.seed {data.seed}")
            raw = split_by_artist(found, data.splits, data.shares, data.seed, args.workers)
        made_by = commands.line(SCRIPT)
        code = write_music_tables(data, raw, found.tree, args.workers, strict=args.strict, made_by=made_by)
    print(f"next: {commands.following(run, SCRIPT)}")
    return code


def _find(data: MusicDataSpec, workers: int) -> RawMusic:
    """Read the data set by the layout that it has.

    Raises:
        UserError: it has none, or a subset is chosen of what is not FMA.
    """
    if data.table is not None:
        return read_music_table(data.root, data.table)
    tracks = tracks_file(data.root)
    if tracks is not None:
        return read_fma(data.root, tracks, data.subset)
    if data.subset is not None:
        raise UserError(
            f"data.subset: is {data.subset}, but {data.root} has no fma_metadata/tracks.csv; unpack fma_metadata.zip "
            "there, or set data.subset to null"
        )
    return read_tagged(data.root, workers)


if __name__ == "__main__":
    main()
