"""Log-mel files: the same whether the run was killed or not; nothing written is lost."""

import csv
import errno
import multiprocessing
import os
import resource
import signal
from collections import namedtuple
from pathlib import Path

import h5py
import librosa
import numpy as np
import pytest
import soundfile

from preprocessing import audio_logmel, clotho_dataset
from tests import tiny
from tests.utils.artefact_utils.full_disk import FullFile, replace_files
from utils.artefact_utils import Clip, read_clips
from utils.artefact_utils.hdf5 import Disk
from utils.audio_utils import FrontEnd, log_mel, read_wave

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


@pytest.fixture
def corpus(tmp_path, monkeypatch):
    monkeypatch.setattr(audio_logmel, "_PART_S", 1.2)  # several parts
    return Corpus(tmp_path)


@pytest.fixture
def decoded(monkeypatch):
    """The names of the clips that are decoded."""
    names = []
    wave_blocks = audio_logmel.wave_blocks

    def counting(path, *arguments):
        names.append(path.name)
        return wave_blocks(path, *arguments)

    monkeypatch.setattr(audio_logmel, "wave_blocks", counting)
    return names


@pytest.mark.filterwarnings("ignore:n_fft=:UserWarning")
def test_every_clip_equals_librosa(corpus, capsys):
    assert corpus.run() == 0
    printed = capsys.readouterr().out
    assert "front-end dcase2023 (44100 Hz, window 1764, hop 882" in printed
    assert "next: python -m preprocessing.sbert_embeddings --conf" in printed
    for split in SPLITS:
        with h5py.File(corpus.path(split)) as file:
            clips = corpus.clips(split)
            assert set(file) == {clip.fid for clip in clips}
            for clip in clips:
                wave = read_wave(corpus.root / clip.path, 44_100)
                power = librosa.feature.melspectrogram(
                    y=wave, sr=44_100, n_fft=2048, hop_length=882, win_length=1764, n_mels=64, fmin=0, fmax=22_050
                )
                expected = np.log(power.T + np.spacing(np.float64(1)))
                assert file[clip.fid].shape == (1 + len(wave) // 882, 64)
                if clip.sample_rate_hz == 44_100:
                    np.testing.assert_allclose(file[clip.fid][:], expected, atol=1e-5, rtol=1e-6)
                else:  # above the clip's own Nyquist frequency lies nothing but float32's rounding
                    np.testing.assert_allclose(np.exp(file[clip.fid][:]), np.exp(expected), rtol=1e-4, atol=1e-7)
    assert corpus.others() == []


def test_run_again_it_reuses_and_more_workers_write_the_same_bytes(corpus, decoded, capsys):
    corpus.run()
    made = corpus.bytes()
    assert len(decoded) == 10
    decoded.clear()
    capsys.readouterr()
    assert corpus.run() == 0
    assert decoded == []
    assert f"development: 8 clips, reused {corpus.path()}" in capsys.readouterr().out
    assert corpus.bytes() == made
    for split in SPLITS:
        corpus.path(split).unlink()
    assert corpus.run("--workers", "2") == 0
    assert corpus.bytes() == made


def in_child(action):
    """Start `action` in a process of its own, a fork of this one."""
    child = multiprocessing.get_context("fork").Process(target=action)
    child.start()
    return child


def test_killed_at_any_write_or_rename_it_goes_on_to_the_same_bytes(corpus, monkeypatch):
    corpus.run()
    wanted = corpus.bytes()
    events = multiprocessing.get_context("fork").Value("i", 0)
    limit = 10**9

    def counted(function):
        def wrapped(*arguments, **options):
            events.value += 1
            if events.value == limit:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*arguments, **options)

        return wrapped

    monkeypatch.setattr(Disk, "write", counted(Disk.write))
    monkeypatch.setattr(Disk, "truncate", counted(Disk.truncate))
    monkeypatch.setattr(Path, "replace", counted(Path.replace))
    monkeypatch.setattr(Path, "unlink", counted(Path.unlink))
    for split in SPLITS:
        corpus.path(split).unlink()
    corpus.run()
    total = events.value
    assert total > 60
    for limit in range(1, total - 5, total // 14):  # noqa: B007 - read by the child
        for split in SPLITS:
            corpus.path(split).unlink()
        events.value = 0
        child = in_child(corpus.run)
        child.join()
        assert child.exitcode == -signal.SIGKILL
        for split in SPLITS:  # what stands under its own name is complete
            assert not corpus.path(split).exists() or corpus.path(split).read_bytes() == wanted[split]
        assert corpus.run() == 0
        assert corpus.bytes() == wanted
        assert corpus.others() == []


def test_killed_while_workers_decode_it_ends_with_the_same_bytes(corpus, monkeypatch):
    """The command is killed when its workers begin their nth clip; what they still write does no harm."""
    corpus.run()
    wanted = corpus.bytes()
    context = multiprocessing.get_context("fork")
    begun = context.Value("i", 0)
    wave_blocks = audio_logmel.wave_blocks
    command, limit = 0, 0

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

    monkeypatch.setattr(audio_logmel, "wave_blocks", killing)
    for limits in ((1, 1, 2), (3, 1), (8, 2)):
        for split in SPLITS:
            corpus.path(split).unlink()
        for limit in limits:  # noqa: B007 - read by the worker
            begun = context.Value("i", 0)  # its own: workers of the command before may still be at work
            child = in_child(run)
            child.join()
            assert child.exitcode == -signal.SIGKILL
        limit = 0
        assert corpus.run("--workers", "2") == 0
        assert corpus.bytes() == wanted


def test_a_resumed_run_decodes_only_what_is_missing(corpus, decoded, monkeypatch):
    def ctrl_c(*arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(audio_logmel.LogMelParts, "assemble", ctrl_c)
        assert corpus.run() == 130
    assert sorted(decoded) == sorted(corpus.names["development"])
    folder = next(corpus.features.glob("*.parts-*"))
    parts = sorted(folder.iterdir())
    assert len(parts) > 2
    lost = parts[0]
    with h5py.File(lost) as file:
        fids = set(file)
    names = sorted(clip.fname for clip in corpus.clips() if clip.fid in fids)
    lost.write_bytes(lost.read_bytes()[:-100])  # as if it had been written by halves
    decoded.clear()
    assert corpus.run() == 0
    assert sorted(decoded) == sorted([*names, "v.wav", "e.wav"])


def test_ctrl_c_in_the_middle_of_a_clip(corpus, monkeypatch, capsys):
    corpus.run()
    wanted = corpus.bytes()
    for split in SPLITS:
        corpus.path(split).unlink()
    push = audio_logmel.LogMelStream.push
    calls = []

    def interrupted(self, wave):
        calls.append(1)
        if len(calls) == 5:
            raise KeyboardInterrupt
        return push(self, wave)

    with monkeypatch.context() as patch:
        patch.setattr(audio_logmel.LogMelStream, "push", interrupted)
        assert corpus.run() == 130
    assert "interrupted; the same command goes on from here" in capsys.readouterr().err
    assert corpus.run() == 0
    assert corpus.bytes() == wanted


@pytest.mark.parametrize("rate", [44_100, 22_050])
def test_a_long_recording_in_windows_equals_the_whole(corpus, rate):
    corpus.write("evaluation", "e.wav", 5.3, rate, 1)
    corpus.tables()
    assert corpus.run("--set", "data.max_duration_s=0.7") == 0
    clip = corpus.clips("evaluation")[0]
    whole = log_mel(read_wave(corpus.root / clip.path, 44_100), FrontEnd.model_validate({"name": "dcase2023"}))
    with h5py.File(corpus.path("evaluation")) as file:
        assert file[clip.fid].chunks is not None
        assert file[clip.fid].shape == whole.shape == (1 + round(5.3 * 44_100) // 882, 64)
        np.testing.assert_allclose(file[clip.fid][:], whole, atol=2e-5 if rate == 44_100 else 2e-3)


def test_windows_of_a_front_end_whose_hop_exceeds_its_window(corpus):
    numbers = "{name: custom, sample_rate_hz: 8000, window_samples: 256, hop_samples: 900, fft_size: 256, n_mels: 8, "
    numbers += "fmin_hz: 0.0, fmax_hz: 4000.0, log: dB, offset: 1.0e-10, padding: reflect}"
    corpus.write("evaluation", "e.wav", 3.0, 8000, 1)  # 24 000 samples: the last block completes no frame
    corpus.tables()
    assert corpus.run("--set", f"data.front_end={numbers}", "--set", "data.max_duration_s=0.5") == 0
    with h5py.File(corpus.path("evaluation")) as file:
        assert next(iter(file.values())).shape == (27, 8)


def test_float16_halves_the_file_and_the_front_end_is_kept(corpus, decoded, capsys):
    corpus.run()
    with h5py.File(corpus.path()) as file:
        full = {fid: data[:] for fid, data in file.items()}
    assert corpus.run("--float16") == 0
    assert '"dtype": "float32"' in capsys.readouterr().out  # what it was made with before
    with h5py.File(corpus.path()) as file:
        assert file.attrs["dtype"] == "float16"
        for fid, wanted in full.items():
            assert file[fid].dtype == np.float16
            np.testing.assert_array_equal(file[fid][:], wanted.astype(np.float16))
    decoded.clear()
    assert corpus.run("--float16") == 0
    assert decoded == []


def test_another_front_end_is_written_beside_the_first_one(corpus, decoded, capsys, monkeypatch):
    corpus.run()
    old = corpus.bytes()
    decoded.clear()
    replace_files(monkeypatch, lambda file: FullFile(file, 20_000))
    assert corpus.run("--set", "data.front_end.name=panns") == 2
    assert corpus.bytes() == old
    monkeypatch.undo()
    monkeypatch.setattr(audio_logmel, "_PART_S", 1.2)
    capsys.readouterr()
    assert corpus.run("--set", "data.front_end.name=panns") == 0
    printed = capsys.readouterr().out
    assert '"sample_rate_hz": 44100' in printed
    assert "MB) and stays; development_audio_logmels-" in printed
    assert corpus.bytes() == old
    (beside,) = corpus.features.glob("development_audio_logmels-*.hdf5")
    with h5py.File(beside) as file:
        assert '"sample_rate_hz": 32000' in file.attrs["front_end"]
        assert file.attrs["made_by"].endswith("--set data.front_end.name=panns")


def test_added_changed_and_removed_clips_cost_only_themselves(corpus, decoded):
    corpus.run()
    decoded.clear()
    corpus.write("development", "3.wav", 0.2, 44_100, 77)
    corpus.write("development", "new.wav", 0.2, 44_100, 78)
    corpus.names["development"].append("new.wav")
    corpus.names["development"].remove("0.wav")
    corpus.tables()
    assert corpus.run() == 0
    assert sorted(decoded) == ["3.wav", "new.wav"]
    made = corpus.bytes()
    corpus.path().unlink()
    corpus.run()
    with h5py.File(corpus.path()) as file:
        assert set(file) == {clip.fid for clip in corpus.clips()}
        assert len(file) == 8
    assert corpus.bytes() == made


def test_a_clip_that_breaks_after_the_tables_is_reported_and_the_others_kept(corpus, decoded, capsys):
    broken = corpus.root / "development" / "2.wav"
    content = broken.read_bytes()
    broken.write_bytes(content[:-300])
    capsys.readouterr()
    assert corpus.run() == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("error: 1 clips could not be decoded, the first is 2.wav: is truncated: 300 bytes")
    assert "leave these clips out: python -m preprocessing.clotho_dataset --conf" in error
    fid = next(clip.fid for clip in corpus.clips() if clip.fname == "2.wav")
    table = corpus.features / "development_audio_logmels_failed.csv"
    reason = "is truncated: 300 bytes of its samples are missing"
    assert list(csv.reader(table.open(newline=""))) == [["fid", "fname", "reason"], [fid, "2.wav", reason]]
    assert not corpus.path().exists()
    assert corpus.path("evaluation").exists()
    decoded.clear()
    assert corpus.run() == 2  # the others are not decoded again
    assert decoded == ["2.wav"]
    clotho_dataset.main(["--conf", str(corpus.conf), "--workers", "1"])
    decoded.clear()
    assert corpus.run() == 0
    assert decoded == []
    assert len(corpus.clips()) == 7
    assert corpus.others() == []


def test_a_failure_that_is_repaired_leaves_no_list_of_it(corpus):
    corpus.run()
    (corpus.root / "development" / "new.wav").write_bytes(b"")
    corpus.write("development", "new.wav", 0.1, 44_100, 0)
    corpus.names["development"].append("new.wav")
    corpus.tables()
    (corpus.root / "development" / "new.wav").write_bytes(b"")
    assert corpus.run() == 2
    assert "development_audio_logmels_failed.csv" in corpus.others()
    clotho_dataset.main(["--conf", str(corpus.conf), "--workers", "1"])  # leaves it out: the old file is complete again
    assert corpus.run() == 0
    assert corpus.others() == []


def last_line(capsys):
    error = capsys.readouterr().err
    assert "Traceback" not in error
    return error.splitlines()[-1]


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EACCES])
def test_a_disk_that_refuses_a_part_is_one_line_and_loses_nothing(corpus, monkeypatch, capsys, workers, number):
    corpus.run()
    old = corpus.bytes()
    with monkeypatch.context() as patch:
        replace_files(patch, lambda file: FullFile(file, 4000, number))
        assert corpus.run("--float16", "--workers", workers) == 2
    error = last_line(capsys)
    reason = {errno.ENOSPC: "the disk is full", errno.EDQUOT: "the disk quota", errno.EACCES: "no permission"}[number]
    assert error.startswith(f"error: {corpus.features}/development_audio_logmels.hdf5.parts-")
    assert f": {reason}" in error
    assert ", then run again: python " in error
    assert corpus.bytes() == old
    assert not list(corpus.features.rglob("*.partial-*"))
    assert corpus.run("--float16") == 0


def test_a_disk_that_is_full_while_the_parts_are_assembled(corpus, monkeypatch, capsys, decoded):
    corpus.run()
    old = corpus.bytes()

    def full_for_the_whole(file):
        return FullFile(file, 15_000) if "audio_logmels.hdf5.partial" in file.name else file

    with monkeypatch.context() as patch:
        replace_files(patch, full_for_the_whole)
        assert corpus.run("--float16") == 2
    assert ": the disk is full; free some space, then run again: " in last_line(capsys)
    assert corpus.bytes() == old
    decoded.clear()
    assert corpus.run("--float16") == 0
    assert sorted(decoded) == ["e.wav", "v.wav"]  # the parts of the first split had been kept


def test_a_disk_that_the_kernel_says_is_full(corpus, capfd):
    """RLIMIT_FSIZE: every write beyond it is refused, HDF5's own too."""
    corpus.run()
    old = corpus.bytes()

    def limited():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
        audio_logmel.main(["--conf", str(corpus.conf), "--workers", "1", "--float16"])

    child = in_child(limited)
    child.join()
    assert child.exitcode == 2
    assert corpus.bytes() == old
    printed = capfd.readouterr().err
    assert "Traceback" not in printed


def test_too_little_free_disk_is_told_before_anything_is_written(corpus, monkeypatch, capsys):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage(0, 0, 50_000))
    assert corpus.run() == 2
    error = last_line(capsys)
    assert error.startswith(f"error: {corpus.features}: needs 0 MB, 0 MB are free; free some space, or name another")
    assert error.endswith("--set data.features=DIR")
    assert corpus.others() == []
    assert not corpus.path().exists()


def test_the_estimate_covers_what_is_written(corpus, monkeypatch):
    needs = []
    monkeypatch.setattr(audio_logmel, "check_free_disk", lambda folder, need, key: needs.append(need))
    peaks = []
    remove_parts = audio_logmel.LogMelParts.remove_parts

    def measured(parts):
        peaks.append(sum(p.stat().st_size for p in corpus.features.rglob(f"*{parts.path.name}*") if p.is_file()))
        peaks[-1] += sum(p.stat().st_size for p in corpus.features.rglob("part-*.hdf5"))
        remove_parts(parts)

    monkeypatch.setattr(audio_logmel.LogMelParts, "remove_parts", measured)
    monkeypatch.setattr(audio_logmel, "_PART_S", 600)
    corpus.run()
    assert len(needs) == len(peaks) == 3
    assert peaks[0] <= needs[0] < 1.1 * peaks[0]


def test_tables_and_folders_that_are_missing_are_named(corpus, capsys):
    assert corpus.run("--set", "data.root=/no/such") == 2
    assert "error: data.root: folder /no/such does not exist; correct it" in last_line(capsys)
    assert corpus.run("--set", "data.splits.eval=other") == 2
    assert "audio_info.pkl: has no split 'other', only development" in last_line(capsys)
    assert corpus.run("--set", "data.features=/no/such") == 2
    assert last_line(capsys).startswith(
        "error: /no/such/audio_info.pkl: no such file; write it: python -m preprocessing"
    )


def test_groups_are_runs_of_about_600_seconds():
    def clip(number, seconds):
        return Clip(f"f{number}", "", "", seconds, 44_100, 1, "")

    clips = [clip(n, s) for n, s in enumerate([300.0, 299.0, 2.0, 700.0, 1.0])]
    groups = audio_logmel.groups_of(clips)
    assert [[c.duration_s for c in group] for group in groups] == [[300, 299], [2], [700, 1]]
    assert audio_logmel.groups_of([]) == []
    rng = np.random.default_rng(0)
    many = [clip(n, s) for n, s in enumerate(rng.uniform(0, 30, 2000))]
    groups = audio_logmel.groups_of(many)
    assert [c for group in groups for c in group] == many
    assert max(sum(c.duration_s for c in group) for group in groups) <= 630
