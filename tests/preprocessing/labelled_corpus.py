"""A list of recordings with categories, on disk and on loopback, and a run that is of no system."""

import csv
from typing import Literal

import yaml

from preprocessing import youtube_dataset
from tasks import runs
from tasks.base import LabelledRun
from tests import tiny
from tests.loopback import melody
from tests.tasks.example_system.regression import RegressionTrainingSpec
from utils.artefact_utils.labels import read_labels
from utils.config_utils import parse
from utils.data_utils import LabelledDataSpec

CATEGORIES = ("dog", "cat")


class ClassRun(LabelledRun):
    """A run on recordings with categories: the script needs its data alone."""

    task: Literal["classes"]
    training: RegressionTrainingSpec = RegressionTrainingSpec()


class Corpus:
    """The data, and the script on it."""

    def __init__(self, folder, monkeypatch):
        monkeypatch.setattr(runs, "SYSTEMS", (ClassRun,))
        monkeypatch.setattr(runs, "_RUN", ClassRun)
        self.folder, self.root = folder, folder / "clips"
        self.root.mkdir()
        settings = {key: tiny.conf(folder)[key] for key in ("optimizer", "lr_scheduler")}
        self.block = {"root": str(self.root), "features": str(folder / "features"), "shares": [0.5, 0.25, 0.25]}
        mapping = {"task": "classes", "experiment": "x", "output_root": str(folder / "runs")}
        self.mapping = mapping | settings
        self.data = parse(self.block, LabelledDataSpec, "x.yaml")

    def write_folders(self, count=4, seconds=1.0):
        for place, category in enumerate(CATEGORIES):
            for number in range(count):
                self.write(f"{category}/{number}.wav", 100 * place + number, seconds)
        return self

    def write(self, path, seed, seconds=1.0, gain=1.0):
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(melody(seed, seconds, gain))
        return file

    def write_list(self, rows, columns="url,category"):
        path = self.folder / "list.csv"
        path.write_text("\n".join([columns, *rows]) + "\n")
        return path

    def run(self, *arguments, **changes):
        """The exit code."""
        conf = self.folder / "x.yaml"
        conf.write_text(yaml.safe_dump(self.mapping | {"data": self.block | changes}))
        try:
            return youtube_dataset.main(["--conf", str(conf), "--workers", "1", *arguments]) or 0
        except SystemExit as stop:
            return stop.code

    def labels(self, split=None):
        return read_labels(self.data.labels, "", split)

    def splits(self):
        return {row.source_id: row.split for row in self.labels()}

    def failed(self):
        if not self.data.failed.exists():
            return {}
        with self.data.failed.open(newline="") as stream:
            return {row["url"]: row["reason"] for row in csv.DictReader(stream)}
