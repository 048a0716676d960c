"""Losses and metrics of a classifier's task by hand, its chance, and the scripts in their order."""

import math

import numpy as np
import pytest
import torch
import yaml

from tasks import parse_run
from tasks.classification.clips import ClassifiedClips
from tasks.classification.run import ClassificationTrainingSpec
from tasks.classification.task import ClassificationOutputs, WindowLogits
from tests import tiny
from tests.tasks.classification import corpora
from utils.artefact_utils.labels import read_labels, write_labels
from utils.cli_utils import ConfigError
from utils.metric_utils.classification.resampling import Answers
from utils.model_utils import DivergedError

YAML = tiny.ROOT / "tasks" / "classification.yaml"
# (probability of the second class, recording) of each window
WINDOWS = [(0.1, 0), (0.8, 0), (0.7, 1), (0.4, 2), (0.3, 2), (0.45, 3)]
TARGETS = np.array([0, 1, 1, 0])


@pytest.fixture
def task(trained):
    return corpora.run_of(trained).build()


def outputs_of(windows=WINDOWS):
    second, recording = (np.array(column) for column in zip(*windows, strict=True))
    logits = np.log(np.stack([1 - second, second], axis=1)).astype(np.float32)
    return ClassificationOutputs(WindowLogits(logits, recording.astype(np.int64)), TARGETS, list("abcd"))


def test_metrics_by_hand(task):
    """Means of 0.45, 0.7, 0.35, 0.45: the first, second and fourth recording are right, and windows 1, 3 and 6."""
    found = task.metrics(outputs_of())
    assert found["accuracy"] == 3 / 4
    assert found["window_accuracy"] == 3 / 6
    assert found["balanced_accuracy"] == pytest.approx((2 / 2 + 1 / 2) / 2)
    assert found["macro_f1"] == pytest.approx((4 / 5 + 2 / 3) / 2)
    right = [0.55, 0.7, 0.35, 0.55]
    assert found["val_loss"] == pytest.approx(-sum(map(math.log, right)) / 4)
    assert set(found) == set(ClassificationTrainingSpec.higher_is_better)


def test_a_logit_that_is_not_finite_has_diverged(task):
    outputs = outputs_of()
    outputs.windows.logits[3, 1] = np.nan
    with pytest.raises(DivergedError, match=r"a logit is not finite; lower optimizer\.lr, or use training\.precision="):
        task.metrics(outputs)


def test_outputs_are_of_every_window_of_every_recording(task):
    task.model().eval()
    with torch.inference_mode():
        found = task.outputs("val")
    data = task.data("val")
    windows = data.windows()
    assert found.windows.logits.shape == (len(windows.clips), 2)
    assert sorted(found.windows.recording) == windows.clips.tolist()
    assert found.targets.tolist() == [number % 2 for number in range(6)]
    assert list(found.fids) == data.fids
    with torch.inference_mode():  # each window alone, in evaluation mode
        for row, number in enumerate(found.windows.recording):
            own = np.flatnonzero(windows.clips == number)
            alone = [task.classifier(*_window(data, windows, one))[0].numpy() for one in own]
            assert min(np.abs(found.windows.logits[row] - logits).max() for logits in alone) < 1e-4


def _window(data, windows, row):
    one = windows.take(np.array([row]))
    return data.audio.batch(*one), torch.from_numpy(one.lengths)


def test_the_loss_and_the_accuracy_of_a_batch(task):
    batch = next(iter(task.loaders()["train"]))
    task.model().eval()  # no mixup, no dropout
    losses = task.losses(batch)
    with torch.inference_mode():
        log_probs = torch.log_softmax(task.classifier(batch["audio"], batch["lengths"]), 1)
    picked = [float(row[target]) for row, target in zip(log_probs, batch["targets"], strict=True)]
    assert losses["loss"].item() == pytest.approx(-sum(picked) / len(picked), rel=1e-5)
    right = (log_probs.argmax(1) == batch["targets"]).tolist()
    assert losses["accuracy"].item() == pytest.approx(sum(right) / len(right))
    assert set(losses) == {"loss", "accuracy"}


@pytest.mark.parametrize("counts", [(3, 3), (5, 1), (4, 2)])
def test_chance_is_the_answer_of_the_most_frequent_class(trained, counts):
    run = corpora.run_of(trained)
    rows = read_labels(run.data.labels, "")
    of_validation = iter(["high"] * counts[0] + ["low"] * counts[1])
    rows = [row._replace(category=next(of_validation)) if row.split == "validation" else row for row in rows]
    write_labels(run.data.labels, rows)
    split = run.build().data("val")
    assert isinstance(split, ClassifiedClips)
    answers = Answers.of(np.log(np.tile([0.6, 0.4], (6, 1))), split.targets).metrics()
    chance = run.chance(split)
    assert set(chance) == {"accuracy", "balanced_accuracy", "macro_f1"}
    assert all(answers[name] == pytest.approx(value) for name, value in chance.items())


@pytest.mark.parametrize(
    ("changes", "features"),
    [
        ({}, ["audio_logmel"]),
        ({"model": {"name": "Classifier", "audio_encoder": {"name": "Wav2Vec2Encoder", "model": "a/b"}}}, []),
        (
            {
                "model": {"name": "Classifier", "audio_encoder": {"name": "AudioProjection"}},
                "data": {"audio_embeddings": {"model": "package:aisfx"}},
            },
            ["audio_embeddings"],
        ),
        (
            {
                "model": {"name": "Classifier", "audio_encoder": {"name": "AudioProjection"}},
                "data": {"audio_embeddings": "vectors.hdf5"},
            },
            [],
        ),
        ({"data": {"audio_embeddings": "vectors.hdf5"}}, ["audio_logmel"]),
    ],
)
def test_the_scripts_in_their_order(changes, features):
    settings = yaml.safe_load(YAML.read_text())
    data = settings["data"] | changes.get("data", {})
    run = parse_run(settings | changes | {"data": data}, str(YAML))
    found = ["preprocessing.synthetic_corpus"]
    while found[-1] != "main.py":
        found.append(run.next_script(found[-1]))
    names = ["synthetic_corpus", "youtube_dataset", *features]
    assert found == [*(f"preprocessing.{name}" for name in names), "main.py"]
    assert run.next_script("main.py") == "postprocessing.classification_report"


def test_vectors_need_a_source(trained):
    run = corpora.run_of(trained, "model.audio_encoder={name: AudioProjection}")
    with pytest.raises(ConfigError, match=r"model\.audio_encoder: AudioProjection takes one vector a clip, and data\."):
        run.build()


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("training.select_on=ece", r"training\.select_on: unknown metric; choices: val_loss, accuracy, balanced_acc"),
        ("data.window_overlap=1", r"data\.window_overlap: Input should be less than 1"),
        ("criterion.mixup=11", r"criterion\.mixup: "),
        ("criterion.class_weights=rare", r"criterion\.class_weights: "),
        ("model.audio_encoder={name: Wav2Vec2Encoder}", r"model\.audio_encoder\.model: "),
        ("criterion.name=InfoNCE", r"criterion\.name"),
    ],
)
def test_bad_keys_are_named(trained, setting, message):
    with pytest.raises(ConfigError, match=message):
        corpora.run_of(trained, setting)
