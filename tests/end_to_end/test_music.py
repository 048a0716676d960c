"""An autoencoder of each input is trained by main.py under Ray, killed and resumed, as if nothing had happened."""

import json
import subprocess
import sys

from tasks import parse_run
from tests.end_to_end.test_three_moves import ROOT, kill_after
from tests.tasks.music import corpora
from tests.tasks.music.conftest import _corpus, music  # noqa: F401 - fixtures
from tests.training import differences, fit_of
from utils.config_utils import read_settings
from utils.model_utils import read_checkpoint
from utils.model_utils.trials import checkpoint_folders

EPOCHS = 8


def test_all_inputs_are_trained_killed_and_resumed(music):  # noqa: F811
    models = [corpora.MODELS[kind] for kind in ("features", "wave", "logmel")]
    conf = music.conf(
        "features",
        search={"model": {"grid": models}},
        training={"epochs": EPOCHS, "batch_size": 4, "device": "cpu", "select_on": "genre_mAP"},
    )
    folder = music.folder / "runs" / "tiny-features"
    command = [sys.executable, "main.py", "--conf", conf]
    kill_after(folder / "trial_00001", command, 2)
    assert json.loads((folder / "experiment.json").read_text())["finished"] is False
    done = subprocess.run([*command, "--resume"], cwd=ROOT, capture_output=True, text=True, check=False, timeout=200)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert "resumed after epoch" in done.stdout
    assert "mean prediction 0, PCA 0." in done.stdout
    assert done.stdout.splitlines()[-1].endswith(f"postprocessing.music_recommend --conf {conf}")

    for number, model in enumerate(models):
        trial = folder / f"trial_{number:05d}"
        run = parse_run(read_settings(trial / "params.json"), "params.json")
        assert run.model.name == model["name"]
        whole = fit_of(run)
        whole.run(lambda metrics, save: None, {})
        held = read_checkpoint(checkpoint_folders(trial)[-1])
        state = whole.state({})
        assert held["epoch"] == EPOCHS
        assert differences({key: held[key] for key in state} | {"config": {}}, state) == []
    rows = [json.loads(line) for line in (trial / "result.json").read_text().splitlines()]
    assert {"val_mse", "explained_variance", "pca_explained_variance", "genre_precision@5"} <= set(rows[-1])
