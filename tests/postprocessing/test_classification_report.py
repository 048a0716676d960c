"""`classification_report` on a tiny trained run: what it measures and writes, other systems, and what it refuses."""

import csv
import json
import shutil

import h5py
import numpy as np
import pytest

from postprocessing import classification_report
from tasks.classification import sounds
from tests.pages import targets
from tests.postprocessing.commands import command_of, error_of, run
from tests.tasks.classification import corpora
from tests.tasks.classification.conftest import _trained, trained  # noqa: F401 - fixtures
from tests.training import write_trial
from utils.artefact_utils.labels import read_labels, write_labels

SCRIPT = "postprocessing.classification_report"
METRICS = ("accuracy", "balanced_accuracy", "macro_f1", "nll", "ece", "ece_calibrated", "abstention_area")
EVALUATION = corpora.SPLITS["evaluation"]


def report(folder, capsys, *arguments):
    return run(classification_report.main, capsys, folder, *arguments)


def results_of(folder, experiment="tiny"):
    return json.loads((folder / "runs" / experiment / "evaluation_classification_metrics.json").read_text())


def rows_of(path):
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_the_metrics_are_those_of_the_predictions_beside(trained, capsys):  # noqa: F811
    done = report(trained, capsys)
    assert done.code == 0, done.err
    found = results_of(trained)
    assert list(found["systems"]) == ["tiny", "majority", "mfcc"]
    assert found["chosen"] == found["own"] == "tiny"
    assert found["recordings"] == EVALUATION
    assert found["clusters"] == 3  # channels
    for name, metrics in found["systems"].items():
        assert set(METRICS) <= set(metrics)
        for metric in ("accuracy", "macro_f1", "ece_calibrated"):
            low, high = found["intervals"][name][metric]
            assert low <= metrics[metric] <= high
    own = found["systems"]["tiny"]
    rows = rows_of(trained / "runs/tiny/evaluation_predictions.csv")
    right = np.array([row["predicted"] == row["category"] for row in rows])
    probabilities = np.array([[float(row["p(high)"]), float(row["p(low)"])] for row in rows])
    targets_ = np.array([row["category"] == "low" for row in rows]).astype(int)
    assert own["accuracy"] == right.mean()
    assert own["nll"] == pytest.approx(-np.log(probabilities[range(EVALUATION), targets_]).mean(), abs=1e-4)
    recalls = [right[targets_ == k].mean() for k in (0, 1)]
    assert own["balanced_accuracy"] == pytest.approx(np.mean(recalls))
    # by hand: a calibrated probability is the softmax of log p / T
    scaled = probabilities ** (1 / own["temperature"])
    scaled /= scaled.sum(axis=1, keepdims=True)
    calibrated = [float(row["calibrated_probability"]) for row in rows]
    np.testing.assert_allclose(scaled.max(axis=1), calibrated, atol=1e-4)
    matrix = [
        [int(row[name]) for name in ("high", "low")] for row in rows_of(trained / "runs/tiny/evaluation_confusion.csv")
    ]
    assert np.trace(matrix) == right.sum()
    assert np.sum(matrix) == EVALUATION


def test_noise_of_two_bands_is_told_apart_and_the_majority_is_not_beaten_by_itself(trained, capsys):  # noqa: F811
    report(trained, capsys)
    found = results_of(trained)["systems"]
    assert found["majority"]["accuracy"] == 0.5
    assert found["majority"]["macro_f1"] == pytest.approx(1 / 3)  # F1 of 2/3 and of 0
    assert found["mfcc"]["accuracy"] == 1
    assert found["tiny"]["accuracy"] > found["majority"]["accuracy"]
    assert found["tiny"]["windows"] == EVALUATION + 2  # one recording of 2.6 s has three


def test_the_page_and_the_pictures_open(trained, capsys):  # noqa: F811
    done = report(trained, capsys)
    folder = trained / "runs" / "tiny"
    page = folder / "evaluation_classification.html"
    for path in targets(page):
        assert (folder / path).exists(), path
    for name in ("confusion", "reliability", "abstention"):
        assert (folder / f"evaluation_{name}.png").stat().st_size > 5000
        assert f"evaluation_{name}.png" in done.out
    assert command_of(trained, SCRIPT, "--file", "FILE") in done.out


def test_a_temperature_is_not_fitted_on_what_it_is_measured_on_without_a_word(trained, capsys):  # noqa: F811
    done = report(trained, capsys, "--split", "val")
    assert "the temperatures are fitted on 'validation' itself" in done.out
    assert (trained / "runs/tiny/validation_classification_metrics.json").is_file()


def test_another_experiment_beside(trained, capsys):  # noqa: F811
    write_trial(corpora.run_of(trained, "experiment=untrained", "training.epochs=1", "optimizer.lr=1e-9"))
    done = report(trained, capsys, "--beside", str(trained / "runs" / "untrained"))
    assert done.code == 0, done.err
    found = results_of(trained)
    assert list(found["systems"]) == ["tiny", "untrained", "majority", "mfcc"]
    assert found["chosen"] == "tiny"
    difference = found["differences"]["untrained"]["accuracy"]
    assert difference["difference"] == pytest.approx(
        found["systems"]["tiny"]["accuracy"] - found["systems"]["untrained"]["accuracy"]
    )
    # from the other side: the same answers, and the word that the other one is chosen
    other = report(trained, capsys, "--set", "experiment=untrained", "--beside", str(trained / "runs" / "tiny"))
    assert results_of(trained, "untrained")["systems"]["tiny"] == found["systems"]["tiny"]
    assert "on validation, tiny is better than untrained" in other.out


def test_experiments_that_cannot_stand_beside(trained, tmp_path, capsys):  # noqa: F811
    twin = tmp_path / "elsewhere" / "tiny"
    shutil.copytree(trained / "runs" / "tiny", twin)
    assert "its name 'tiny' is also that of" in error_of(report(trained, capsys, "--beside", str(twin)))
    # other names of the classes, in features of their own
    features = trained / "renamed"
    shutil.copytree(trained / "features", features)
    labels = features / "labels.csv"
    write_labels(labels, [one._replace(category=one.category.upper()) for one in read_labels(labels, "")])
    write_trial(corpora.run_of(trained, "experiment=renamed", f"data.features={features}"))
    beside = trained / "runs" / "renamed"
    assert "has other classes than" in error_of(report(trained, capsys, "--beside", str(beside)))
    # the same classes, of other recordings
    features = trained / "moved"
    shutil.copytree(trained / "features", features)
    labels = features / "labels.csv"
    write_labels(labels, [one._replace(path=f"other {one.path}") for one in read_labels(labels, "")])
    write_trial(corpora.run_of(trained, "experiment=moved", f"data.features={features}"))
    beside = trained / "runs" / "moved"
    assert "name experiments on the same recordings" in error_of(report(trained, capsys, "--beside", str(beside)))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--file", "x.wav", "--predict", "x"], "--file and --predict: each is a use of its own; give one of them"),
        (["--out", "x.csv"], "--out: goes with --predict alone"),
        (["--file", "missing.wav"], "--file missing.wav: there is no such file"),
        (["--file", "."], "--file .: is a folder"),
        (["--predict", "missing"], "--predict missing: there is no such folder"),
        (["--beside", "missing"], "missing"),
    ],
)
def test_what_is_refused(trained, capsys, arguments, message):  # noqa: F811
    assert message in error_of(report(trained, capsys, *arguments))


def test_a_file_has_the_categories_of_its_recording(trained, capsys):  # noqa: F811
    long = trained / "clips" / f"evaluation {corpora.LONG}.wav"
    before = report(trained, capsys, "--file", str(long))
    assert f"not calibrated; measure the checkpoint to calibrate them: {command_of(trained, SCRIPT)}" in before.out
    (row,) = [row for row in _of_evaluation(trained, capsys) if row["path"] == long.name]
    assert f"{float(row['probability']):.3f}" in before.out
    after = report(trained, capsys, "--file", str(long))
    assert f"{float(row['calibrated_probability']):.3f}" in after.out
    assert "calibrated with the temperature" in after.out
    for window in ("0:00.0 to 0:00.9", "0:00.9 to 0:01.7", "0:01.7 to 0:02.6"):
        assert window in after.out


def test_files_that_cannot_be_classified_keep_none_of_the_others_back(trained, capsys):  # noqa: F811
    good = trained / "clips" / "evaluation 0.wav"
    broken, empty = trained / "broken.wav", trained / "empty.wav"
    broken.write_bytes(good.read_bytes()[:-1000])
    empty.write_bytes(b"")
    done = report(trained, capsys, "--file", *map(str, (broken, good, empty)))
    said = error_of(done)
    assert f"{broken}: is truncated: " in said
    assert f", {empty}: cannot be decoded: " in said
    assert f"{good}, " in done.out


def test_a_file_needs_no_training_features(trained, capsys):  # noqa: F811
    (trained / "features" / "development_audio_logmels.hdf5").unlink()
    done = report(trained, capsys, "--file", str(trained / "clips" / "evaluation 0.wav"))
    assert done.code == 0, done.err


def _of_evaluation(folder, capsys):
    report(folder, capsys)
    return rows_of(folder / "runs/tiny/evaluation_predictions.csv")


def test_a_folder_has_a_row_a_file_whatever_is_in_it(trained, capsys, monkeypatch):  # noqa: F811
    predicted = {row["path"]: float(row["calibrated_probability"]) for row in _of_evaluation(trained, capsys)}
    inbox = trained / "inbox"
    (inbox / "deeper").mkdir(parents=True)
    for number, name in enumerate(["one.wav", "deeper/two.wav"]):
        shutil.copy(trained / "clips" / f"evaluation {number}.wav", inbox / name)
    (inbox / "broken.wav").write_bytes(b"RIFF")
    (inbox / "notes.txt").write_text("no sound")
    done = report(trained, capsys, "--predict", str(inbox))
    assert done.code == 0, done.err
    assert "1 of 3 files cannot be classified, such as broken.wav" in done.out
    rows = {row["path"]: row for row in rows_of(trained / "runs/tiny/inbox_categories.csv")}
    assert sorted(rows) == ["broken.wav", "deeper/two.wav", "one.wav"]
    assert rows["broken.wav"]["category"] == "" != rows["broken.wav"]["error"]
    for number, name in enumerate(["one.wav", "deeper/two.wav"]):
        assert float(rows[name]["probability"]) == pytest.approx(predicted[f"evaluation {number}.wav"], abs=1e-4)
    assert rows["deeper/two.wav"]["windows"] == "3"
    (inbox / "foreign.csv").write_text("mine\n")
    # refused before anything is classified
    monkeypatch.setattr(sounds.SoundClassifier, "__call__", lambda *args: pytest.fail("a file was classified"))
    assert "folder" in error_of(report(trained, capsys, "--predict", str(inbox), "--out", str(inbox / "no" / "x.csv")))
    assert error_of(report(trained, capsys, "--predict", str(inbox), "--out", str(inbox / "foreign.csv")))
    assert (inbox / "foreign.csv").read_text() == "mine\n"


def test_vectors_of_another_program_are_measured_and_embed_no_file(trained, capsys):  # noqa: F811
    labels = read_labels(trained / "features" / "labels.csv", "")
    rng = np.random.default_rng(0)
    with h5py.File(trained / "vectors.hdf5", "w") as file:
        for one in labels:
            file[f"{one.split}/{one.path}"] = (rng.standard_normal(4) + (one.category == "low")).astype(np.float32)
    settings = [
        "experiment=vectors",
        f"data.audio_embeddings={{file: {trained}/vectors.hdf5}}",
        "model.audio_encoder={name: AudioProjection}",
    ]
    write_trial(corpora.run_of(trained, *settings))
    arguments = [word for setting in settings for word in ("--set", setting)]
    done = report(trained, capsys, *arguments)
    assert done.code == 0, done.err
    assert results_of(trained, "vectors")["cost"] is None
    assert "seconds and memory of a recording are left out: sounds cannot be embedded" in done.out
    file = str(trained / "clips" / "evaluation 0.wav")
    assert "sounds cannot be embedded" in error_of(report(trained, capsys, *arguments, "--file", file))


def test_without_the_recordings_the_features_are_measured(trained, capsys):  # noqa: F811
    shutil.rmtree(trained / "clips")
    done = report(trained, capsys)
    assert done.code == 0, done.err
    assert list(results_of(trained)["systems"]) == ["tiny", "majority"]
    assert "mfcc is left out: " in done.out
    [line] = [line for line in done.out.splitlines() if "memory of a recording are left out" in line]
    assert str(trained / "clips") in line
    assert "no such file; if the recordings are in another folder by now, name it: --set data.root=DIR" in line
