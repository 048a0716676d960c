"""A recording that is broken is named and left out, the others go on, and the advice that is given helps."""

import csv

import numpy as np
import pytest
import soundfile

from preprocessing import audio_logmel, clotho_dataset
from tests import tiny
from tests.utils.audio_utils.encoding import mp3
from utils.artefact_utils import LogMelReader, load_pickle, read_clips, write_audio_info
from utils.artefact_utils.pickles import dump_pickle
from utils.audio_utils import FrontEnd


class Corpus:
    def __init__(self, folder):
        tiny.write_corpus(folder / "corpus")
        self.development, self.features = folder / "corpus" / "development", folder / "features"
        self.conf = tiny.write_conf(folder)

    def run(self, script):
        """The exit code."""
        try:
            script.main(["--conf", str(self.conf), "--workers", "1"])
        except SystemExit as stop:
            return stop.code
        return 0

    def rejected(self):
        with (self.features / "development_rejected.csv").open(newline="", encoding="utf-8") as stream:
            return {row["name"]: row["reason"] for row in csv.DictReader(stream) if row["kind"] == "clip"}

    def clips(self):
        return read_clips(self.features / "audio_info.pkl", "development", "")


@pytest.fixture
def corpus(tmp_path):
    return Corpus(tmp_path)


def loud(path, value=1e25):
    wave = 0.1 * np.random.default_rng(0).standard_normal(22_050)
    wave[1000] = value
    soundfile.write(path, wave, 44_100, subtype="FLOAT")


def test_each_kind_is_named_and_the_others_go_on(corpus):
    noise = 0.3 * np.random.default_rng(0).standard_normal(44_100)
    loud(corpus.development / "development 0.wav")
    soundfile.write(corpus.development / "development 1.wav", noise, 1)
    content = mp3(corpus.development / "development 2.wav", noise, 44_100).read_bytes()
    (corpus.development / "development 2.wav").write_bytes(content[: len(content) // 2])
    soundfile.write(corpus.development / "development 3.wav", noise, 44_100, format="OGG", subtype="VORBIS")
    content = (corpus.development / "development 3.wav").read_bytes()
    (corpus.development / "development 3.wav").write_bytes(content[: content.rindex(b"OggS")])
    assert corpus.run(clotho_dataset) == 0
    assert corpus.rejected() == {
        "development 0.wav": "holds a sample of 1e+25, where full scale is 1; expected at most 1e+06",
        "development 1.wav": "has a sample rate of 1 Hz, expected 1000 to 1000000",
        "development 2.wav": "is truncated: it ends inside a frame",
        "development 3.wav": "is truncated: its last Ogg page is missing",
    }
    assert corpus.run(audio_logmel) == 0
    front_end = FrontEnd.model_validate({"name": "dcase2023"}).model_dump(mode="json", exclude={"name"})
    views = LogMelReader(corpus.features / "development_audio_logmels.hdf5", front_end, "").views(
        [clip.fid for clip in corpus.clips()]
    )
    assert len(views) == 4
    assert all(np.isfinite(view[:]).all() for view in views)


def test_what_an_earlier_version_took_for_whole_is_decoded_again(corpus):
    corpus.run(clotho_dataset)
    loud(corpus.development / "development 0.wav")
    data, notes = load_pickle(corpus.features / "audio_info.pkl", "")
    stat = (corpus.development / "development 0.wav").stat()
    notes["stat"]["development/development 0.wav"] = (stat.st_size, stat.st_mtime_ns)  # it seems to be known
    dump_pickle(corpus.features / "audio_info.pkl", data, notes)
    corpus.run(clotho_dataset)
    assert corpus.rejected() == {}
    dump_pickle(corpus.features / "audio_info.pkl", data, notes | {"decoding": notes["decoding"] - 1})
    corpus.run(clotho_dataset)
    assert list(corpus.rejected()) == ["development 0.wav"]


def test_the_advice_of_the_log_mels_helps(corpus, capsys):
    corpus.run(clotho_dataset)
    loud(corpus.development / "development 0.wav", np.nan)
    notes = load_pickle(corpus.features / "audio_info.pkl", "")[1]
    stat = (corpus.development / "development 0.wav").stat()
    notes["stat"]["development/development 0.wav"] = (stat.st_size, stat.st_mtime_ns)  # as if it had broken unseen
    clips = {split: read_clips(corpus.features / "audio_info.pkl", split, "") for split in tiny.SPLITS}
    write_audio_info(corpus.features / "audio_info.pkl", clips, notes)
    assert corpus.run(audio_logmel) == 2
    assert "development 0.wav: holds NaN or infinite samples" in (err := capsys.readouterr().err)
    assert "leave these clips out: " in err
    assert "preprocessing.clotho_dataset" in err
    assert corpus.run(clotho_dataset) == 0
    assert corpus.rejected() == {"development 0.wav": "holds NaN or infinite samples"}
    assert corpus.run(audio_logmel) == 0


def test_no_name_commands_the_terminal(corpus, capsys):
    evil = "\x1b]0;owned\x07\x1b[2J\nnext: rm.wav"
    for split in ("development", "evaluation"):  # the same recording in two splits, which is told by its name
        soundfile.write(corpus.development.parent / split / evil, 0.1 * np.ones(9000), 44_100)
        with (corpus.development.parent / f"clotho_captions_{split}.csv").open("a", newline="") as stream:
            csv.writer(stream).writerow([evil, "A \x1b[31mdog.", "Rain."])
    assert corpus.run(clotho_dataset) == 0
    (corpus.development / evil).write_bytes(b"no sound")
    assert corpus.run(audio_logmel) == 2
    for text in capsys.readouterr():
        assert "\x1b" not in text
        assert "\x07" not in text
        assert "\nnext: rm.wav" not in text
