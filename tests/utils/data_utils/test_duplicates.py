"""The same recording in two splits: told by its samples, listed, and left out of training where the run says so."""

import csv

import numpy as np
import pytest
import soundfile

from preprocessing import audio_logmel, clotho_dataset, sbert_embeddings
from tasks import check_run
from tasks.runs import parse_run
from tests import tiny
from tests.utils.audio_utils.encoding import encode
from utils.artefact_utils import Clip, load_pickle, read_clips
from utils.artefact_utils.pickles import dump_pickle
from utils.audio_utils import probe
from utils.cli_utils import ArtefactError
from utils.data_utils import CaptionDataSpec, describe_tables
from utils.data_utils.duplicates import describe, same_recordings


@pytest.fixture
def wave():
    return np.random.default_rng(0).integers(-20_000, 20_000, (9000, 2)).astype(np.int16)


def test_a_recording_is_known_in_every_container_that_loses_nothing(tmp_path, wave):
    for name, subtype in (("a.wav", "PCM_16"), ("a.flac", "PCM_16"), ("24.wav", "PCM_24"), ("float.wav", "FLOAT")):
        samples = wave.astype(np.int32) << 16 if subtype == "PCM_24" else wave / 32768 if subtype == "FLOAT" else wave
        soundfile.write(tmp_path / name, samples, 44_100, subtype=subtype)
    encode(tmp_path / "a.m4a", wave.T / 32768, 44_100, container="mp4", codec="alac")
    (tmp_path / "copy of a.wav").write_bytes((tmp_path / "a.wav").read_bytes())
    assert len({probe(path).sound for path in tmp_path.iterdir()}) == 1
    assert len(probe(tmp_path / "a.wav").sound) == 32


def test_another_recording_is_another_and_silence_is_none(tmp_path, wave):
    made = [(wave, 44_100), (wave, 22_050), (wave[:-1], 44_100), (wave[:, :1], 44_100), (wave + np.int16(2), 44_100)]
    for number, (samples, rate) in enumerate(made):
        soundfile.write(tmp_path / f"{number}.wav", samples, rate)
    assert len({probe(path).sound for path in tmp_path.iterdir()}) == len(made)
    soundfile.write(tmp_path / "silent.wav", np.zeros(100), 44_100)
    assert probe(tmp_path / "silent.wav").sound == ""


def test_the_digest_does_not_depend_on_the_blocks(tmp_path, wave):
    soundfile.write(tmp_path / "a.wav", wave, 44_100)
    assert probe(tmp_path / "a.wav", block_s=0.001) == probe(tmp_path / "a.wav")


def clips(split, sounds):
    return [
        Clip(f"{split}{n}", f"{n}.wav", f"{split}/{n}.wav", 1.0, 8000, 1, "", sound) for n, sound in enumerate(sounds)
    ]


def test_places_by_hand(tmp_path):
    found = {
        "development": clips("d", ["x", "y", "", "z", "x"]),
        "validation": clips("v", ["y", "", "w"]),
        "evaluation": clips("e", ["x", "y", "u"]),
    }
    groups = same_recordings(found)
    assert [[place.clip.fid for place in group] for group in groups] == [["d0", "d4", "e0"], ["d1", "v0", "e1"]]
    data = CaptionDataSpec(root=tmp_path / "root", features=tmp_path / "features")
    assert describe(data, groups) == (
        "the same recording in two places: 2 in development and evaluation, 1 in development and validation, "
        "1 in validation and evaluation, 1 more than once within a split, such as 'd/0.wav' and 'e/0.wav'; "
        "train without them: --set data.exclude_duplicates=true"
    )
    assert describe(data, []) == ""


class Corpus:
    """The tiny corpus, with two recordings of the evaluation split in development, under other names."""

    def __init__(self, folder):
        tiny.write_corpus(folder / "corpus")
        tiny.write_sentence_encoder(folder / "encoder")
        self.folder, self.root = folder, folder / "corpus"
        self.conf = tiny.write_conf(folder)
        evaluation, development = self.root / "evaluation", self.root / "development"
        (development / "development 3.wav").write_bytes((evaluation / "evaluation 1.wav").read_bytes())
        samples, rate = soundfile.read(evaluation / "evaluation 2.wav", dtype="int16")
        (development / "development 5.wav").unlink()
        soundfile.write(development / "development 5.wav", samples, rate, format="FLAC")  # whatever its name says

    def run(self, *settings):
        mapping = tiny.conf(self.folder)
        mapping["data"] |= dict(settings)
        return parse_run(mapping, "conf.yaml")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    corpus = Corpus(tmp_path_factory.mktemp("duplicates"))
    for script in (clotho_dataset, audio_logmel, sbert_embeddings):
        script.main(["--conf", str(corpus.conf)])
    return corpus


def test_the_script_lists_them_and_says_how_to_train_without(corpus, capsys):
    clotho_dataset.main(["--conf", str(corpus.conf)])
    out = capsys.readouterr().out
    assert (
        "the same recording in two places: 2 in development and evaluation, such as 'development/development 3.wav' "
        "and 'evaluation/evaluation 1.wav'; train without them: --set data.exclude_duplicates=true\n"
        f"all of them: {corpus.folder / 'features' / 'same_recordings.csv'}\n"
    ) in out
    with (corpus.folder / "features" / "same_recordings.csv").open(newline="") as stream:
        rows = [row[:3] for row in csv.reader(stream)]
    assert rows == [
        ["recording", "split", "path"],
        ["0", "development", "development/development 3.wav"],
        ["0", "evaluation", "evaluation/evaluation 1.wav"],
        ["1", "development", "development/development 5.wav"],
        ["1", "evaluation", "evaluation/evaluation 2.wav"],
    ]


def test_check_tells_them_and_training_leaves_them_out(corpus, capsys):
    task = check_run(corpus.run(), thorough=True)
    assert "2 in development and evaluation" in capsys.readouterr().out
    assert len(task.data("train").clips) == 8
    digest = task.data("train").digest()
    task = check_run(corpus.run(("exclude_duplicates", True)), thorough=True)
    out = capsys.readouterr().out
    assert "development: 2 clips and 4 captions are left out, whose recordings are in evaluation too" in out
    assert "; training leaves them out\n" in out
    train = task.data("train")
    assert [clip.fname for clip in train.clips] == [f"development {n}.wav" for n in (0, 1, 2, 4, 6, 7)]
    assert len(train.captions) == 12
    assert all(train.captions[row].fid == train.clips[clip].fid for row, clip in enumerate(train.clip_of_caption))
    assert [len(task.data(role).clips) for role in ("val", "eval")] == [4, 4]
    assert train.digest() != digest  # an experiment cannot go on with the other setting


def test_tables_of_an_earlier_version_do_not_tell(corpus, tmp_path, capsys):
    data, notes = load_pickle(corpus.folder / "features" / "audio_info.pkl", "")
    data["clips"] = {split: [row[:7] for row in rows] for split, rows in data["clips"].items()}
    run = corpus.run(("exclude_duplicates", True))
    older = run.data.model_copy(update={"features": tmp_path})
    dump_pickle(older.audio_info, data, notes)
    assert read_clips(older.audio_info, "evaluation", "")[0].sound == ""
    assert describe_tables(older).startswith("whether a recording is in two splits is not known: ")
    for name in corpus.folder.joinpath("features").iterdir():
        if name.name != "audio_info.pkl":
            (tmp_path / name.name).symlink_to(name)
    with pytest.raises(ArtefactError, match=r"holds no digests of the recordings.*write it again: <make tables>"):
        check_run(run.model_copy(update={"data": older}), thorough=False)
    assert capsys.readouterr().out == ""
