"""The tiny corpus with a frozen encoder, for the tests of preprocessing.audio_embeddings."""

import csv
import shutil

import soundfile

from preprocessing import audio_embeddings, clotho_dataset
from tests import tiny, tiny_models
from utils.artefact_utils import read_clips
from utils.config_utils import parse
from utils.data_utils import CaptionDataSpec

SPLITS = ("development", "validation", "evaluation")


class Corpus:
    """The tiny corpus, its tables, and a wav2vec 2.0 that hears it."""

    def __init__(self, folder):
        self.folder = folder
        self.features = folder / "features"
        self.mapping = tiny.conf(folder)
        self.mapping["data"]["audio_embeddings"] = {"model": str(folder / "wav2vec2")}
        self.conf = tiny.write_conf(folder, self.mapping)

    def tables(self):
        clotho_dataset.main(["--conf", str(self.conf), "--workers", "1"])

    def run(self, *arguments):
        """The exit code."""
        try:
            audio_embeddings.main(["--conf", str(self.conf), "--checkpoint-every", "3", "--workers", "2", *arguments])
        except SystemExit as stop:
            return stop.code
        return 0

    @property
    def data(self):
        return parse(self.mapping["data"], CaptionDataSpec, "conf.yaml")

    def path(self, split="development", kind="embeddings"):
        return self.features / f"{split}_audio_{kind}.hdf5"

    def clips(self, split="development"):
        return read_clips(self.features / "audio_info.pkl", split, "")

    def bytes(self):
        return {split: self.path(split).read_bytes() for split in SPLITS}

    def remove(self):
        for split in SPLITS:
            self.path(split).unlink()

    def write(self, name, wave, rate=44_100, split="development"):
        soundfile.write(self.folder / "corpus" / split / name, wave, rate, subtype="PCM_16")

    def failed(self, split="development"):
        table = self.features / f"{split}_audio_embeddings_failed.csv"
        return list(csv.reader(table.open(newline=""))) if table.exists() else None


def write_raw(folder):
    """Write the recordings, a sentence encoder and a wav2vec 2.0."""
    tiny.write_corpus(folder / "corpus")
    tiny.write_sentence_encoder(folder / "encoder")
    tiny_models.write_wav2vec2(folder / "wav2vec2")


def copied(made, folder):
    """The corpus of `write_raw` in another folder, with its tables."""
    for name in ("corpus", "encoder", "wav2vec2"):
        shutil.copytree(made / name, folder / name)
    corpus = Corpus(folder)
    corpus.tables()
    return corpus
