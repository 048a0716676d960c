"""Small pictures, their table, and a CLIP that sees them, for the tests of preprocessing.image_embeddings."""

import csv
from typing import Literal

import numpy as np
from PIL import Image

from preprocessing import image_embeddings
from tasks import runs
from tasks.base import ImageRun
from tests import tiny, tiny_models
from tests.tasks.example_system.regression import RegressionTrainingSpec
from utils.artefact_utils import Clip, read_clips, write_audio_info
from utils.config_utils import parse
from utils.data_utils import ImageDataSpec

SPLITS = {"development": 8, "validation": 4, "evaluation": 4}


class PictureRun(ImageRun):
    """A run on pictures that is of no system: the script needs its data alone."""

    task: Literal["pictures"]
    training: RegressionTrainingSpec = RegressionTrainingSpec()


class Corpus:
    """The pictures, and the script on them."""

    def __init__(self, folder, monkeypatch):
        monkeypatch.setattr(runs, "SYSTEMS", (PictureRun,))
        monkeypatch.setattr(runs, "_RUN", PictureRun)
        self.folder, self.features, self.root = folder, folder / "features", folder / "pictures"
        tiny_models.write_clip_vision(folder / "clip")
        data = {"root": str(self.root), "features": str(self.features)}
        data["image_embeddings"] = {"model": str(folder / "clip")}
        settings = {key: tiny.conf(folder)[key] for key in ("optimizer", "lr_scheduler")}
        mapping = {"task": "pictures", "experiment": "x", "output_root": str(folder / "runs"), "data": data} | settings
        self.data = parse(data, ImageDataSpec, "conf.yaml")
        self.conf = tiny.write_conf(folder, mapping)
        self.root.mkdir()
        rng = np.random.default_rng(0)
        clips = {split: [self._picture(split, number, rng) for number in range(n)] for split, n in SPLITS.items()}
        self.features.mkdir()
        write_audio_info(self.data.clip_info, clips, {})

    def _picture(self, split, number, rng):
        name = f"{split} {number}.{'jpg' if number % 2 else 'png'}"
        height, width = rng.integers(20, 70, 2)
        Image.fromarray(rng.integers(0, 255, (height, width, 3), np.uint8)).save(self.root / name)
        return Clip(f"{split}{number}", name, name, 0.0, 0, 3, str(number))

    def run(self, *arguments):
        """The exit code."""
        given = ["--conf", str(self.conf), "--checkpoint-every", "3", "--batch-size", "2", "--workers", "2"]
        try:
            image_embeddings.main([*given, *arguments])
        except SystemExit as stop:
            return stop.code
        return 0

    def path(self, split="development"):
        return self.data.image_frames(split)

    def clips(self, split="development"):
        return read_clips(self.data.clip_info, split, "")

    def bytes(self):
        return {split: self.path(split).read_bytes() for split in SPLITS}

    def remove(self):
        for split in SPLITS:
            self.path(split).unlink()

    def failed(self, split="development"):
        table = self.data.image_failed(split)
        return list(csv.reader(table.open(newline=""))) if table.exists() else None
