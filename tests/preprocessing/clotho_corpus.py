"""A data set in Clotho's layout, to be spoiled."""

import csv

import numpy as np
import soundfile

from preprocessing import clotho_dataset
from tests import tiny
from utils.artefact_utils import load_pickle, read_clips, read_text_table

SPLITS = ("development", "validation", "evaluation")


def write_clip(path, rate=8000, channels=1, seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    wave = np.random.default_rng(seed).uniform(-0.5, 0.5, (800, channels))
    soundfile.write(path, wave, rate)


def write_csv(path, rows):
    with path.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows(rows)


class Corpus:
    """A data set in Clotho's layout; every split starts with one good clip."""

    def __init__(self, folder):
        self.root = folder / "corpus"
        self.features = folder / "features"
        self.conf = tiny.write_conf(folder)
        self.rows = {
            split: [["file_name", "caption_1", "caption_2"], ["ok.wav", "A dog.", "Rain."]] for split in SPLITS
        }
        for number, split in enumerate(SPLITS):
            write_clip(self.root / split / "ok.wav", seed=number)

    def write(self):
        for split, rows in self.rows.items():
            write_csv(self.root / f"clotho_captions_{split}.csv", rows)

    def run(self, *arguments):
        """The exit code."""
        try:
            clotho_dataset.main(["--conf", str(self.conf), "--workers", "1", *arguments])
        except SystemExit as stop:
            return stop.code
        return 0

    def clips(self, split="development"):
        return {clip.fname: clip for clip in read_clips(self.features / "audio_info.pkl", split, "")}

    def captions(self, split="development"):
        return read_text_table(self.features / f"{split}_text.csv", "")

    def rejected(self, split="development"):
        with (self.features / f"{split}_rejected.csv").open(newline="", encoding="utf-8") as stream:
            kinds, *rows = csv.reader(stream)
        assert kinds == ["kind", "name", "reason"]
        return [tuple(row) for row in rows]


def contents(folder):
    return {p.name: load_pickle(p, "") if p.suffix == ".pkl" else p.read_bytes() for p in folder.iterdir()}
