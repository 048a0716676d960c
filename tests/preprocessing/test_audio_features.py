"""FMA's features of all clips: the same file whatever interrupts the script, in whatever number of processes."""

import csv
import multiprocessing
import os
import signal

import h5py
import numpy as np
import pytest

from preprocessing import audio_features
from tests.children import in_child
from tests.preprocessing import logmel_corpus
from tests.preprocessing.logmel_corpus import SPLITS, last_line
from utils.artefact_utils import read_track_features
from utils.audio_utils import read_wave
from utils.audio_utils.track_features import COLUMNS, rate_of, track_features
from utils.data_utils import clip_track_features


class Corpus(logmel_corpus.Corpus):
    """The clips of the tests of log-mels: 44.1 and 16 kHz, and one sample at 192 kHz."""

    def run(self, *arguments):
        try:
            audio_features.main(["--conf", str(self.conf), "--workers", "1", *arguments])
        except SystemExit as stop:
            return stop.code
        return 0

    def path(self, split="development"):
        return self.features / f"{split}_audio_features.hdf5"


@pytest.fixture
def corpus(tmp_path, monkeypatch):
    monkeypatch.setattr(audio_features, "_PART_S", 0.6)  # several parts
    return Corpus(tmp_path, clips=4)


@pytest.fixture
def computed(monkeypatch):
    """The names of the clips whose features are computed."""
    names = []
    wave_blocks = clip_track_features.wave_blocks

    def counting(path, *arguments):
        names.append(path.name)
        return wave_blocks(path, *arguments)

    monkeypatch.setattr(clip_track_features, "wave_blocks", counting)
    return names


def test_the_file_holds_the_features_of_every_clip(corpus, computed, capsys):
    assert corpus.run() == 0
    printed = capsys.readouterr().out
    assert f"development: 4 clips, wrote {corpus.path()}" in printed
    assert "next: python -m preprocessing.audio_logmel --conf" in printed
    for split in SPLITS:
        clips = corpus.clips(split)
        table = read_track_features(corpus.path(split), clips, "")
        for clip, row in zip(clips, table, strict=True):
            rate = rate_of(clip.sample_rate_hz)
            np.testing.assert_array_equal(row, track_features([read_wave(corpus.root / clip.path, rate)], rate))
    with h5py.File(corpus.path()) as file:
        assert file.attrs["made_by"].startswith("python -m preprocessing.audio_features --conf")
    made = corpus.bytes()
    computed.clear()
    assert corpus.run() == 0
    assert computed == []
    assert f"reused {corpus.path()}" in capsys.readouterr().out
    for split in SPLITS:
        corpus.path(split).unlink()
    assert corpus.run("--workers", "2") == 0
    assert corpus.bytes() == made


def test_a_broken_clip_is_reported_and_the_others_are_computed_once(corpus, computed, capsys):
    sound = corpus.root / "development" / "2.wav"
    sound.write_bytes(sound.read_bytes()[:200])
    assert corpus.run() == 2
    error = last_line(capsys)
    assert "1 clips could not be decoded, the first is 2.wav: is truncated" in error
    assert "leave these clips out: python -m preprocessing.clotho_dataset --conf" in error
    with (corpus.features / "development_audio_features_failed.csv").open(newline="") as stream:
        rows = list(csv.reader(stream))
    assert [row[1] for row in rows] == ["fname", "2.wav"]
    assert corpus.path("evaluation").exists()
    computed.clear()
    corpus.tables()  # 2.wav is rejected now
    assert corpus.run() == 0
    assert computed == []
    assert len(read_track_features(corpus.path(), corpus.clips(), "")) == 3
    assert not (corpus.features / "development_audio_features_failed.csv").exists()


def test_killed_while_workers_compute_it_ends_with_the_same_bytes(corpus, monkeypatch):
    corpus.run()
    wanted = corpus.bytes()
    context = multiprocessing.get_context("fork")
    begun, command, limit = context.Value("i", 0), 0, 0
    wave_blocks = clip_track_features.wave_blocks

    def killing(*arguments):
        with begun.get_lock():
            begun.value += 1
            now = begun.value == limit
        if now:
            os.kill(command, signal.SIGKILL)
        return wave_blocks(*arguments)

    def run():
        nonlocal command
        command = os.getpid()
        corpus.run("--workers", "2")

    monkeypatch.setattr(clip_track_features, "wave_blocks", killing)
    for split in SPLITS:
        corpus.path(split).unlink()
    for limit in (3, 2):  # noqa: B007 - read by the worker
        begun = context.Value("i", 0)
        child = in_child(run)
        child.join()
        assert child.exitcode == -signal.SIGKILL
    limit = 0
    assert corpus.run("--workers", "2") == 0
    assert corpus.bytes() == wanted
    assert not list(corpus.features.glob("*.parts-*"))


def test_a_long_clip_is_computed_in_windows_up_to_a_limit(corpus, monkeypatch, capsys):
    corpus.write("evaluation", "e.wav", 3.3, 22_050, 1)
    corpus.tables()
    monkeypatch.setattr(clip_track_features, "WINDOW_SAMPLES", 22_050)
    monkeypatch.setattr(audio_features, "LONGEST_S", 2)
    monkeypatch.setattr(clip_track_features, "LONGEST_S", 2)
    monkeypatch.setattr(clip_track_features, "_BLOCK_S", 0.4)
    assert corpus.run() == 0
    assert "of 1 clips the first 0 minutes count, such as of e.wav" in capsys.readouterr().out
    clips = corpus.clips("evaluation")
    wave = read_wave(corpus.root / clips[0].path, 22_050)
    expected = track_features([wave[:22_050], wave[22_050:44_100]], 22_050)
    np.testing.assert_array_equal(read_track_features(corpus.path("evaluation"), clips, "")[0], expected)
    assert expected[COLUMNS.index("rmse_mean_01")] > 0
