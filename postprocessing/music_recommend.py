"""A trained autoencoder of music -> recommendations, measured beside hand-crafted features, and lists to listen to.

    python -m postprocessing.music_recommend --conf tasks/music_autoencoder.yaml
    python -m postprocessing.music_recommend --query 2 140 --conf tasks/music_autoencoder.yaml
    python -m postprocessing.music_recommend --seeds 2 140 --m3u mix.m3u8 --conf tasks/music_autoencoder.yaml
    python -m postprocessing.music_recommend --file my.mp3 --conf tasks/music_autoencoder.yaml

Measures every system on all tracks of data.splits.eval, under four filters, and writes recommendation_metrics.json and
.csv, <split>_map.png (t-SNE, coloured by genre), <split>_reconstructions.png, TensorBoard's projector, and
<split>_recommendations.html: the lists of the autoencoder and of the baseline for a track of each genre, to listen to.
Where an experiment has several trials, all are measured, and recommendation_trials.md and .csv compare them; the lists
are those of the trial that validation chose. With --seeds or --file only lists are made: printed, and written to
<split>_lists.html.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from tasks import command, load_run
from tasks.commands import Commands
from tasks.music.compared import ComparedSystems, load_systems, other_trials
from tasks.music.files import check_users_files, embed_users_files, embedders
from tasks.music.lists import Comparison, Recommender, default_queries, playlist_entry, rows_of
from tasks.music.measuring import measure_all
from tasks.music.pages import listening_page, write_map
from tasks.music.pictures import write_pictures
from tasks.music.results import RecommendationResults, Settings, better_baseline
from tasks.music.run import MusicRun
from tasks.music.systems import BASELINES, FEATURES, system_name
from tasks.music.tables import print_lists, print_results, write_metrics
from tasks.music.trial_table import print_trials, trial_rows, write_trial_table
from tasks.trained import CheckpointChoice, TrainedRun, add_checkpoint_arguments, find_trained_run
from utils.artefact_utils import Track, read_catalogue
from utils.artefact_utils.playlists import check_playlist_place, write_playlist
from utils.cli_utils import UserError, positive, whole
from utils.cli_utils.repairs import make, with_commands
from utils.metric_utils.recommendation.spaces import Scaling
from utils.metric_utils.recommendation.system import measure_system
from utils.metric_utils.recommendation.tracks import FILTERS

SCRIPT = "postprocessing.music_recommend"
LENGTH = 10
COPIES = 100
SHOWN = (*BASELINES, FEATURES)
TRIALS_STEM = "recommendation_trials"

Array = NDArray[np.float32]


class Wanted(NamedTuple):
    """What a command line wants besides a checkpoint."""

    ids: Sequence[str]  # of queries
    genres: Sequence[str]
    seeds: Sequence[str]
    files: Sequence[Path]
    playlist: Path | None
    length: int
    filter: str
    baseline: str | None  # None: the better MFCC baseline
    settings: Settings
    copies: int  # tracks that are altered as a control

    @classmethod
    def of(cls, args: argparse.Namespace) -> Wanted:
        """Of the parsed arguments.

        Raises:
            UserError: options that do not go together, no playlist can be written there, or no file is sound.
        """
        given = {"--query": args.query, "--genre": args.genre, "--seeds": args.seeds, "--file": args.file}
        if len(several := [option for option, values in given.items() if values]) > 1:
            raise UserError(f"{' and '.join(several)}: each says whose lists are made; give one of them")
        if args.standardise and args.whiten:
            raise UserError("--standardise and --whiten: each says how embeddings are scaled; give one of them")
        if args.file and args.filter != "none":
            raise UserError(
                f"--filter {args.filter} with --file: which tracks share a file's artist, album or piece is not known; "
                "leave --filter out"
            )
        if args.m3u is not None:
            check_playlist_place(args.m3u, "--m3u")
        if args.file:
            check_users_files(args.file)
        scaling: Scaling | None = "standardised" if args.standardise else "whitened" if args.whiten else None
        settings = Settings(scaling, args.local_scaling)
        lists = (args.query, args.genre, args.seeds, args.file, args.m3u, args.length, args.filter, args.baseline)
        return cls(*lists, settings, args.control_tracks)


@command
def main(argv: Sequence[str] | None = None) -> None:
    """Measure and recommend."""
    parser = argparse.ArgumentParser(prog=f"python -m {SCRIPT}", description=__doc__.splitlines()[0])
    parser.add_argument("--query", nargs="+", default=[], metavar="ID", help="tracks whose lists are shown")
    parser.add_argument("--genre", nargs="+", default=[], metavar="NAME", help="show lists of tracks of these genres")
    parser.add_argument("--seeds", nargs="+", default=[], metavar="ID", help="one list on which these tracks agree")
    parser.add_argument("--file", nargs="+", default=[], type=Path, metavar="FILE", help="lists of sound files")
    parser.add_argument("--m3u", type=Path, metavar="OUT", help="write the autoencoder's first list as a playlist")
    parser.add_argument("--length", type=positive, default=LENGTH, help=f"tracks of a list ({LENGTH})")
    parser.add_argument("--filter", choices=FILTERS, default="none", help="which tracks the lists leave out (none)")
    parser.add_argument("--baseline", choices=SHOWN, help="whose lists stand beside (the better MFCC)")
    parser.add_argument("--standardise", action="store_true", help="scale each dimension by the training tracks")
    parser.add_argument("--whiten", action="store_true", help="whiten embeddings by the training tracks")
    parser.add_argument("--local-scaling", action="store_true", help="scale distances by those to near neighbours")
    parser.add_argument("--control-tracks", type=whole, default=COPIES, help=f"tracks to alter ({COPIES}; 0: none)")
    add_checkpoint_arguments(parser)
    conf, args = load_run(argv, parser, MusicRun)
    wanted, choice = Wanted.of(args), CheckpointChoice.of(args)
    trained = find_trained_run(conf, choice, MusicRun)
    with trained.commands.completing():
        catalogue = read_catalogue(trained.run.data.catalogue, make("tables"))
        _check_tracks(catalogue, trained.split, wanted)
        if wanted.seeds or wanted.files:
            _recommend(trained, catalogue, wanted)
        else:
            others, notes = ([], []) if choice.trial else other_trials(conf, choice, trained)
            compared = _loaded(trained, load_systems(trained, catalogue, others), notes)
            _measure(trained, others, compared, wanted)
            line = Commands.of(args, conf.script_of).line("postprocessing.music_experiments")
            print(f"next: all experiments in one table: {line}")


def _check_tracks(catalogue: Sequence[Track], split: str, wanted: Wanted) -> None:
    """Refuse tracks and genres that the split does not have, before its tracks are embedded.

    Raises:
        UserError: it lacks one.
    """
    tracks = [track for track in catalogue if track.split == split]
    if not tracks:  # of another data set than the features, which name it
        return
    for option, ids in (("--query", wanted.ids), ("--seeds", wanted.seeds)):
        rows_of(ids, option, tracks, catalogue)
    default_queries(tracks, wanted.genres)


def _recommend(trained: TrainedRun[MusicRun], catalogue: list[Track], wanted: Wanted) -> None:
    """Print lists, and write the page and the playlist, without measuring."""
    compared = _loaded(trained, load_systems(trained, catalogue, measures=False))
    names = (compared.chosen, wanted.baseline or _better_baseline(compared, wanted.settings))
    spaces = {name: compared.vectors[name].space(wanted.settings.scaling) for name in names}
    embeddings = {name: space(compared.vectors[name].embeddings) for name, space in spaces.items()}
    recommender = _recommender(trained, compared, embeddings, wanted)
    if wanted.seeds:
        rows = rows_of(wanted.seeds, "--seeds", compared.tracks, compared.catalogue)
        found = [recommender.agreed(rows)]
    else:
        files = embed_users_files(wanted.files, embedders(compared.task, compared.chosen, spaces))
        found = [recommender.similar_to_file(path, vectors) for path, vectors in files.items()]
    _show(trained, recommender, found, wanted)


def _better_baseline(compared: ComparedSystems, settings: Settings) -> str:
    """The MFCC baseline that recommends better, of which nothing else is wanted."""
    spaces = {name: compared.vectors[name].space(settings.scaling) for name in BASELINES}
    embeddings = {name: space(compared.vectors[name].embeddings) for name, space in spaces.items()}
    return better_baseline(
        {name: measure_system(own, compared.known, settings.rescaling) for name, own in embeddings.items()}
    )


def _measure(
    trained: TrainedRun[MusicRun], others: Sequence[TrainedRun[MusicRun]], compared: ComparedSystems, wanted: Wanted
) -> None:
    """Measure all systems; write metrics, tables, pictures and the page."""
    if wanted.ids:
        rows = rows_of(wanted.ids, "--query", compared.tracks, compared.catalogue)
    else:
        rows = default_queries(compared.tracks, wanted.genres)
    results = measure_all(compared, wanted.settings, trained.run.data.root, wanted.copies)
    print_results(results)
    for path in _write_metrics(trained, others, results):
        print(f"wrote {trained.publish(path)}")
    if others:
        table = trial_rows([trained, *others], results)
        print_trials("Trials, the best on validation first", table)
        stem = f"{TRIALS_STEM}{wanted.settings.suffix}"
        for path in write_trial_table(trained.trial.folder.parent / stem, table):
            print(f"wrote {path}")
    names = (results.chosen, wanted.baseline or results.baseline)
    embeddings = {name: results.systems[name].embeddings for name in names}
    recommender = _recommender(trained, compared, embeddings, wanted)
    pictures = _write_pictures(trained, compared, embeddings, wanted.settings.suffix)
    _show(trained, recommender, recommender.similar_to(rows), wanted, results, pictures)


def _loaded(trained: TrainedRun[MusicRun], compared: ComparedSystems, notes: Sequence[str] = ()) -> ComparedSystems:
    """The same systems; what is left out is printed with the command that makes it."""
    for note in [*notes, *compared.notes]:
        print(with_commands(note, trained.commands.make))
    return compared


def _recommender(
    trained: TrainedRun[MusicRun], compared: ComparedSystems, embeddings: Mapping[str, Array], wanted: Wanted
) -> Recommender:
    return Recommender(
        tracks=compared.tracks,
        known=compared.known,
        root=trained.run.data.root,
        embeddings=embeddings,
        settings=wanted.settings,
        length=wanted.length,
        filter=wanted.filter,
    )


def _write_metrics(
    trained: TrainedRun[MusicRun], others: Sequence[TrainedRun[MusicRun]], results: RecommendationResults
) -> list[Path]:
    """Write recommendation_metrics.json and .csv in the trial's folder, named by what is not the default."""
    stem = f"recommendation_metrics{results.settings.suffix}"
    if trained.split != trained.run.data.splits.eval:
        stem = f"{trained.split}_{stem}"
    made_from = {
        "split": trained.split,
        "checkpoint": trained.checkpoint,
        "epochs": {system_name(one): one.trial.checkpoint.epoch for one in (trained, *others)},
        "select_on": trained.run.training.select_on,
    }
    return write_metrics(trained.trial.folder / stem, results, made_from)


def _write_pictures(
    trained: TrainedRun[MusicRun], compared: ComparedSystems, embeddings: Mapping[str, Array], suffix: str
) -> dict[str, Path]:
    """Write the map, the reconstructions and TensorBoard's projector: caption -> PNG."""
    folder, split = trained.trial.folder, trained.split
    pictures = {}
    with torch.inference_mode():
        found = write_pictures(compared.task, split, folder, trained.trial.checkpoint.epoch, compared.embeddings)
    pictures["What the autoencoder is given, and what it reconstructs"], projector = found
    if (path := write_map(folder / f"{split}_map{suffix}.png", compared.tracks, embeddings)) is not None:
        pictures = {"t-SNE: near tracks have similar embeddings; colours are genres": path, **pictures}
    for path in pictures.values():
        print(f"wrote {trained.publish(path)}")
    print(f"wrote {projector}: tensorboard --logdir {projector}")
    return pictures


def _show(
    trained: TrainedRun[MusicRun],
    recommender: Recommender,
    found: Sequence[Comparison],
    wanted: Wanted,
    results: RecommendationResults | None = None,
    pictures: Mapping[str, Path] | None = None,
) -> None:
    """Print the lists; write the page, and the playlist of the autoencoder's first list."""
    for comparison in found:
        print_lists(comparison)
    page = listening_page(f"Recommendations of '{trained.split}'", recommender, found, results, pictures)
    # tables that took long to measure are not replaced by a list
    stem = "lists" if results is None else f"recommendations{wanted.settings.suffix}"
    path = trained.trial.folder / f"{trained.split}_{stem}.html"
    page.write(path)
    public = trained.publish(path)
    if public != path:
        page.write(public)  # not a copy: links are relative to the page's folder
    print(f"wrote {public}: open it in a browser")
    if wanted.playlist is not None:
        listed = next(iter(found[0].lists.values()))
        write_playlist(wanted.playlist, [playlist_entry(item.track, recommender.root) for item in listed])
        print(f"wrote {wanted.playlist}: {len(listed)} tracks like {found[0].title}")


if __name__ == "__main__":
    main()
