"""A small archive in FMA's layout, and a run that is of music and of no system."""

import csv
from typing import Literal

import numpy as np
import soundfile
import yaml

from preprocessing import fma_dataset
from tasks import runs
from tasks.base import TrackRun
from tests import tiny
from tests.tasks.example_system.regression import RegressionTrainingSpec
from tests.utils.audio_utils.encoding import mp3
from utils.artefact_utils import read_catalogue
from utils.config_utils import parse
from utils.data_utils import MusicDataSpec

RATE_HZ = 22_050
# id, split, subset, genre_top, genres, title, artist, album
ROWS = [
    (2, "training", "small", "Hip-Hop", "[21]", "Food", "AWOL", "A Way Of Life"),
    (5, "training", "small", "Rock", "[12, 25]", 'This "World"', "Kurt Vile, solo", "Constant"),
    (10, "training", "medium", "", "[12, 21]", "Freeway", "None", ""),
    (134, "training", "large", "Rock", "[12]", "Street", "Kurt Vile, solo", "Constant"),
    (140, "validation", "small", "Hip-Hop", "[21]", "Queen", "Alec K.", "Songs\nin two lines"),
    (1001, "test", "small", "Rock", "[25]", "Punk", "Les Îles", "Live"),
]
GENRES = [("genre_id", "#tracks", "parent", "title", "top_level")]
GENRES += [(12, 2, 0, "Rock", 12), (21, 2, 0, "Hip-Hop", 21), (25, 1, 12, "Punk", 12)]
HEADER = [
    ("", "set", "set", "track", "track", "track", "artist", "album"),
    ("", "split", "subset", "genre_top", "genres_all", "title", "name", "title"),
    ("track_id", "", "", "", "", "", "", ""),
]


class MusicRun(TrackRun):
    """A run on music that is of no system: the script needs its data alone."""

    task: Literal["music"]
    training: RegressionTrainingSpec = RegressionTrainingSpec()


def tone(number, duration_s=0.5):
    """(S,) a tone of its own pitch."""
    return 0.3 * np.sin(2 * np.pi * (200 + 40 * number) * np.arange(int(duration_s * RATE_HZ)) / RATE_HZ)


def write_csv(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream, lineterminator="\n").writerows(rows)
    return path


class Corpus:
    """The archive, and the script on it."""

    def __init__(self, folder, monkeypatch):
        monkeypatch.setattr(runs, "SYSTEMS", (MusicRun,))
        monkeypatch.setattr(runs, "_RUN", MusicRun)
        self.folder, self.root = folder, folder / "fma"
        self.root.mkdir()
        settings = {key: tiny.conf(folder)[key] for key in ("optimizer", "lr_scheduler")}
        block = {"root": str(self.root), "features": str(folder / "features")}
        mapping = {"task": "music", "experiment": "x", "output_root": str(folder / "runs"), "data": block}
        self.mapping = mapping | settings
        self.data = parse(block, MusicDataSpec, "x.yaml")

    def write_fma(self, subset="small"):
        """Write all tables, and the files of a subset's folder: it holds those of the smaller ones too."""
        held = {"small": ("small",), "medium": ("small", "medium"), "large": ("small", "medium", "large")}[subset]
        write_csv(self.tracks_csv, [*HEADER, *ROWS])
        write_csv(self.tracks_csv.with_name("genres.csv"), GENRES)
        for number in (row[0] for row in ROWS if row[2] in held):
            self.write_mp3(number, subset)
        return self

    @property
    def tracks_csv(self):
        return self.root / "fma_metadata" / "tracks.csv"

    def mp3(self, number, subset="small"):
        return self.root / f"fma_{subset}" / f"{number:06d}"[:3] / f"{number:06d}.mp3"

    def write_mp3(self, number, subset="small", duration_s=0.5):
        path = self.mp3(number, subset)
        path.parent.mkdir(parents=True, exist_ok=True)
        return mp3(path, tone(number % 100, duration_s), RATE_HZ)

    def write_wav(self, path, number, duration_s=0.5):
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(file, tone(number, duration_s), RATE_HZ)
        return file

    def run(self, *arguments, **changes):
        """The exit code."""
        mapping = self.mapping | {"data": self.mapping["data"] | changes}
        conf = self.folder / "x.yaml"
        conf.write_text(yaml.safe_dump(mapping))
        try:
            fma_dataset.main(["--conf", str(conf), "--workers", "1", *arguments])
        except SystemExit as stop:
            return stop.code
        return 0

    def refusal(self, capsys, **changes):
        """The one line of bad input."""
        assert self.run(**changes) == 2
        lines = [line for line in capsys.readouterr().err.splitlines() if line and "decoding:" not in line]
        assert len(lines) == 1, lines
        return lines[0]

    def tracks(self, split=None):
        return read_catalogue(self.data.catalogue, "", split)

    def rejected(self, split="training"):
        with self.data.rejected(split).open(newline="", encoding="utf-8") as stream:
            return {row["name"]: row["reason"] for row in csv.DictReader(stream)}
