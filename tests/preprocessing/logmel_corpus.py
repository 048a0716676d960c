"""Short clips of several rates, for the tests of preprocessing.audio_logmel."""

import csv

import numpy as np
import soundfile

from preprocessing import audio_logmel, clotho_dataset
from tests import tiny
from utils.artefact_utils import read_clips

SPLITS = ("development", "validation", "evaluation")


def noise(seconds, rate, seed):
    return np.random.default_rng(seed).normal(0, 0.1, max(1, round(seconds * rate)))


class Corpus:
    """Short clips of several rates; their tables are written."""

    def __init__(self, folder, clips=8):
        self.root = folder / "corpus"
        self.features = folder / "features"
        self.conf = tiny.write_conf(folder)
        self.names = {
            "development": [f"{n}.wav" for n in range(clips)],
            "validation": ["v.wav"],
            "evaluation": ["e.wav"],
        }
        for split, names in self.names.items():
            (self.root / split).mkdir(parents=True)
            for number, name in enumerate(names):
                self.write(split, name, 0.3 + 0.1 * number, (44_100, 16_000)[number % 2], number)
        self.write("validation", "v.wav", 0, 192_000, 9)  # one sample, less than one at 44.1 kHz
        self.tables()

    def write(self, split, name, seconds, rate, seed):
        soundfile.write(self.root / split / name, noise(seconds, rate, seed), rate)

    def tables(self):
        for split, names in self.names.items():
            with (self.root / f"clotho_captions_{split}.csv").open("w", newline="") as stream:
                csv.writer(stream).writerows([["file_name", "caption_1"], *([name, "A dog."] for name in names)])
        clotho_dataset.main(["--conf", str(self.conf), "--workers", "1"])

    def run(self, *arguments):
        """The exit code."""
        try:
            audio_logmel.main(["--conf", str(self.conf), "--workers", "1", *arguments])
        except SystemExit as stop:
            return stop.code
        return 0

    def path(self, split="development"):
        return self.features / f"{split}_audio_logmels.hdf5"

    def clips(self, split="development"):
        return read_clips(self.features / "audio_info.pkl", split, "")

    def bytes(self):
        return {split: self.path(split).read_bytes() for split in SPLITS}

    def others(self):
        """What lies beside tables and complete features."""
        tables = {
            "audio_info.pkl",
            "vocab_info.pkl",
            "same_recordings.csv",
            *(f"{s}_{t}.csv" for s in SPLITS for t in ("text", "rejected")),
        }
        return sorted({p.name for p in self.features.iterdir()} - tables - {self.path(s).name for s in SPLITS})


def last_line(capsys):
    error = capsys.readouterr().err
    assert "Traceback" not in error
    return error.splitlines()[-1]
