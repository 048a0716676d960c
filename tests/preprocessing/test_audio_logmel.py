"""Log-mel files: the same whether the run was killed or not; nothing written is lost."""

import csv

import h5py
import librosa
import numpy as np
import pytest

from preprocessing import audio_logmel, clotho_dataset
from tests.preprocessing.logmel_corpus import SPLITS, last_line
from tests.utils.artefact_utils.full_disk import FullFile, replace_files
from utils.audio_utils import FrontEnd, log_mel, read_wave


@pytest.fixture
def corpus(to_hear):
    return to_hear


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


def test_tables_and_folders_that_are_missing_are_named(corpus, capsys):
    assert corpus.run("--set", "data.root=/no/such") == 2
    assert "error: data.root: folder /no/such does not exist; correct it" in last_line(capsys)
    assert corpus.run("--set", "data.splits.eval=other") == 2
    assert "audio_info.pkl: has no split 'other', only development" in last_line(capsys)
    assert corpus.run("--set", "data.features=/no/such") == 2
    assert last_line(capsys).startswith(
        "error: /no/such/audio_info.pkl: no such file; write it: python -m preprocessing"
    )
