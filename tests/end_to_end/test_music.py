"""An autoencoder of each input is trained by main.py under Ray, killed and resumed, as if nothing had happened."""

import json
import sys

from main import main
from tasks import parse_run
from tests.end_to_end.test_three_moves import kill_after
from tests.tasks.music import corpora
from tests.tasks.music.conftest import _corpus, music  # noqa: F401 - fixtures
from tests.training import differences, fit_of
from utils.config_utils import read_settings
from utils.model_utils import read_checkpoint
from utils.model_utils.trials import checkpoint_folders

EPOCHS = 8


def test_all_inputs_are_trained_killed_and_resumed(music, capsys):  # noqa: F811
    models = [corpora.MODELS[kind] for kind in ("features", "wave", "logmel")]
    conf = music.conf(
        "features",
        search={"model": {"grid": models}},
        training={"epochs": EPOCHS, "batch_size": 4, "device": "cpu", "select_on": "genre_mAP"},
    )
    folder = music.folder / "runs" / "tiny-features"
    kill_after(folder / "trial_00001", [sys.executable, "main.py", "--conf", conf], 2)
    assert json.loads((folder / "experiment.json").read_text())["finished"] is False
    assert not main(["--conf", conf, "--resume"])
    out, err = capsys.readouterr()
    assert "Traceback" not in out + err
    assert "resumed after epoch" in out
    assert "mean prediction 0, PCA 0." in out
    assert out.splitlines()[-1].endswith(f"postprocessing.music_recommend --conf {conf}")

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
