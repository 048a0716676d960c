"""The three moves of captioning, killed in training and resumed; LoRA learns as well.

Of pictures, and of an adapter that learns alone: test_captioning_search.py.
"""

import json
import shlex
import sys

from main import main
from postprocessing import caption_metrics, captions
from tests.end_to_end.test_three_moves import kill_after
from tests.tasks.captioning.conftest import _corpora, sounds  # noqa: F401 - fixtures
from tests.training import differences, fit_of
from utils.model_utils import read_checkpoint
from utils.model_utils.trials import checkpoint_folders

EPOCHS = 10


def run(made, command, capsys, *flags, settings=()):
    """What a command prints; it may not fail."""
    given = [part for setting in settings for part in ("--set", setting)]
    capsys.readouterr()
    assert not command([*flags, "--conf", made.conf, *given])
    return capsys.readouterr().out


def test_three_moves(sounds, capsys):  # noqa: F811
    settings = [f"training.epochs={EPOCHS}", "training.sample_every=5", "model.lora={rank: 2, dropout: 0.1}"]
    checked = run(sounds, main, capsys, "--check", settings=settings)
    assert "frames a clip" in checked
    trained = sounds.run(*settings)
    trial = trained.folder / "trial_00000"
    conf = ["--conf", sounds.conf, *(part for setting in settings for part in ("--set", setting))]
    kill_after(trial, [sys.executable, "main.py", *conf], 2)
    assert json.loads((trained.folder / "experiment.json").read_text())["finished"] is False
    resumed = run(sounds, main, capsys, "--resume", settings=settings)
    assert "resumed after epoch" in resumed
    lines = [line for line in resumed.splitlines() if f"/{EPOCHS}, train_loss" in line]
    assert [line for line in lines if ", CIDEr-D " in line and ", use_of_input " in line] == lines[-1::-5][::-1]
    assert resumed.splitlines()[-1].endswith(f"postprocessing.captions {shlex.join(conf)}")

    whole = fit_of(trained)
    whole.run(lambda metrics, save: None, {})
    held = read_checkpoint(checkpoint_folders(trial)[-1])
    state = whole.state({})
    assert held["epoch"] == EPOCHS
    lora = [key for key in held["model"] if not key.startswith("adapter.")]
    assert lora
    assert all(".lora_A." in key or ".lora_B." in key for key in lora)
    assert all(held["model"][key].any() for key in lora)  # B is zero at first
    assert differences({key: held[key] for key in state} | {"config": {}}, state) == []

    said = run(sounds, captions.main, capsys, settings=settings)
    assert said.splitlines()[-1].split(" --conf")[0].endswith("-m postprocessing.caption_metrics")
    run(sounds, caption_metrics.main, capsys, settings=settings)
    report = json.loads((trained.folder / "evaluation_caption_metrics.json").read_text())
    assert {"model", "most_frequent_caption", "shuffled_inputs", "intervals", "use_of_input"} <= set(report)
    assert report["clips"] == 4
    assert report["use_of_input"]["CIDEr-D"]["low"] <= report["use_of_input"]["CIDEr-D"]["high"]
