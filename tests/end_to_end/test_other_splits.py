"""A classifier is trained; then stage 1 shares its recordings out anew, and stage 3 must not measure it on them."""

import argparse
import json

import pytest
import torch
import yaml

import main
from postprocessing import classification_report
from preprocessing import audio_logmel, youtube_dataset
from tasks import open_trained_run, parse_run
from tasks.classification.run import ClassificationRun
from tests import tiny
from tests.loopback import melody
from utils.artefact_utils import read_clips
from utils.config_utils import read_settings


def classification(folder):
    """The YAML of a classifier of two kinds of melody in folders, and what writes its tables and features."""
    settings = tiny.conf(folder)
    data = {"root": str(folder / "clips"), "features": str(folder / "features"), "shares": [0.5, 0.25, 0.25]}
    settings |= {
        "task": "classification",
        "data": data | {"max_duration_s": 1.0},
        "model": {"name": "Classifier", "audio_encoder": {"name": "CNN6Encoder", "base_channels": 2}},
        "criterion": {"name": "CrossEntropy"},
        "training": {"epochs": 1, "batch_size": 4, "device": "cpu"},
        "ray": {"num_samples": 1, "scheduler": "fifo"},
    }
    for place, category in enumerate(("dog", "cat")):
        (folder / "clips" / category).mkdir(parents=True)
        for number in range(8):
            (folder / "clips" / category / f"{number}.wav").write_bytes(melody(100 * place + number, 0.7))
    conf = folder / "classes.yaml"

    def stage_1(**changes):
        conf.write_text(yaml.safe_dump(settings | {"data": settings["data"] | changes}))
        for script in (youtube_dataset, audio_logmel):
            assert not script.main(["--conf", str(conf), "--workers", "1"])
        return str(conf)

    return stage_1


def test_a_system_whose_shares_change_after_training(tmp_path, capsys):
    """With the real scripts: tables, log-mels, training under Ray, other splits, and back."""
    stage_1 = classification(tmp_path)
    conf = stage_1()
    assert not main.main(["--conf", conf])

    def measure(*arguments):
        given = ["--conf", conf, *arguments]
        with open_trained_run(given, argparse.ArgumentParser(), ClassificationRun) as (trained, _):
            task = trained.task()
            with torch.inference_mode():
                return task.metrics(task.outputs(trained.split))

    before = measure()
    stage_1(seed=5)
    capsys.readouterr()
    with pytest.raises(SystemExit) as stop:
        classification_report.main(["--conf", conf])
    error = capsys.readouterr().err
    assert stop.value.code == 2
    run = parse_run(read_settings(tmp_path / "classes.yaml"), "x.yaml")
    params = run.folder / "trial_00000" / "params.json"
    assert "recordings of 'evaluation', such as " in error
    assert f"preprocessing.youtube_dataset --conf {params}, or leave these recordings out, or train again: " in error
    assert error.endswith(f"main.py --conf {conf} --fresh\n")
    measure("--split", "train")  # on purpose
    assert "recordings of 'development' trained trial_00000" in capsys.readouterr().out

    for script in (youtube_dataset, audio_logmel):  # as the message says
        script.main(["--conf", str(params), "--workers", "1"])
    assert measure() == before
    held = json.loads((run.folder / "trained_on.json").read_text())["recordings"]
    assert len(held) == len(read_clips(run.data.audio_info, "development", ""))
