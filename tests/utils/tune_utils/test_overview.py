import csv
import json
import math

import pytest

from tests.utils.tune_utils.searches import search_for
from tests.utils.tune_utils.test_callbacks import recorder_of
from utils.artefact_utils import write_json
from utils.cli_utils import ArtefactError
from utils.model_utils import Selection
from utils.model_utils.trials import TrialEnd, read_end, write_end
from utils.tune_utils.callbacks import mark_end
from utils.tune_utils.early_stopping import EarlyStopping
from utils.tune_utils.overview import trial_summaries, without_common_ending, write_overview

DRAWS = {f"trial_{n:05d}": {"optimizer.lr": lr} for n, lr in enumerate([1e-4, 0.123456789, 3.0, 0.5])}


@pytest.fixture
def experiment(tmp_path):
    """val_loss, where lower is better, of four trials: ended, stopped by ASHA, diverged, and not yet measured."""
    values = {"trial_00000": [3.0, 2.0], "trial_00001": [1.5, 1.5, 9.0], "trial_00002": [0.5, math.nan]}
    for name in DRAWS:
        (tmp_path / name).mkdir()
        costs = {"epoch_s": 1.25, "trainable_parameters": 12}
        rows = [{"epoch": n, "val_loss": v, "step_s": n / 4, **costs} for n, v in enumerate(values.get(name, []), 1)]
        (tmp_path / name / "result.json").write_text("".join(json.dumps(row) + "\n" for row in rows))
    write_end(tmp_path / "trial_00000", TrialEnd("finished", 2))
    write_end(tmp_path / "trial_00001", TrialEnd("stopped early", 3, "ASHA"))
    write_end(tmp_path / "trial_00002", TrialEnd("diverged", 2, "epoch 3: the loss is nan"))
    return search_for(tmp_path, {"optimizer.lr": {"grid": [1]}})


def test_the_best_trial_comes_first_and_those_that_count_for_nothing_last(experiment):
    lines = trial_summaries(experiment.folder, Selection("val_loss", "min"), DRAWS)
    assert [(line.name, line.best.get("epoch"), line.epochs, line.step_s, line.ended) for line in lines] == [
        ("trial_00001", 1, 3, 0.5, "stopped by ASHA"),  # of equal values the earlier epoch
        ("trial_00000", 2, 2, 0.375, "finished"),
        ("trial_00003", None, 0, None, "not finished"),
        ("trial_00002", 1, 2, 0.375, "diverged"),
    ]


def test_the_trials_of_a_folder_are_those_of_its_record(experiment):
    """Stage 3 has the folder alone; a trial that failed says why."""
    (experiment.folder / "trials.json").write_text("{}")
    with pytest.raises(ArtefactError, match=r"trials\.json: not the record of the trials"):
        trial_summaries(experiment.folder, Selection("val_loss", "min"))
    write_json(experiment.folder / "trials.json", {"format_version": 1, "trials": DRAWS})
    (experiment.folder / "trial_00003" / "error.txt").write_text(
        "Traceback:\n  ...\ntorch.OutOfMemoryError: no room\n\n"
    )
    lines = trial_summaries(experiment.folder, Selection("val_loss", "min"))
    assert {line.name: line.draw for line in lines} == DRAWS
    assert [line.ended for line in lines if line.name == "trial_00003"] == ["failed: no room"]


def test_the_table_and_the_file(experiment, capsys):
    write_overview(experiment, DRAWS)
    out = capsys.readouterr().out
    assert "4 trials, the best val_loss first" in out
    assert [line.split()[1] for line in out.splitlines() if "trial_" in line] == [
        "trial_00001", "trial_00000", "trial_00003", "trial_00002",
    ]  # fmt: skip
    assert "0.1235" in out
    with (experiment.folder / "trials.csv").open(newline="") as stream:
        rows = list(csv.reader(stream))
    costs = ["seconds", "step_s", "trainable_parameters"]
    assert rows[0] == ["trial", "ended", "optimizer.lr", "val_loss", "best epoch", "epochs", *costs]
    assert rows[1] == ["trial_00001", "stopped by ASHA", "0.123456789", "1.5", "1", "3", "3.8", "0.500000", "12"]
    assert rows[3] == ["trial_00003", "not finished", "0.5", "", "", "0", "0.0", "", ""]


def test_blocks_are_shown_by_what_tells_them_apart(experiment, capsys):
    models = [
        {"name": "MLPAutoencoder", "hidden_dims": [256], "noise": 0.3},
        {"name": "ConvAutoencoder", "latent_dim": 32, "channels": 8},
        {"name": "ConvAutoencoder", "latent_dim": 32, "channels": 8, "level": "frame"},
        {"name": "ConvAutoencoder", "latent_dim": 64, "channels": 8},
    ]
    draws = {name: {"model": model} for name, model in zip(DRAWS, models, strict=True)}
    write_overview(experiment, draws)
    cells = [[cell.strip() for cell in line.split("│")] for line in capsys.readouterr().out.splitlines()]
    shown: dict[str, str] = {}
    for row in (row for row in cells if len(row) > 3 and "┃" not in row[0]):
        name = row[1] or next(reversed(shown))  # a further line of the same trial
        shown[name] = f"{shown.get(name, '')} {row[3]}".strip()
    assert shown == {
        "trial_00000": "MLP",
        "trial_00001": "Conv, latent_dim 32",
        "trial_00002": "Conv, latent_dim 32, level frame",
        "trial_00003": "Conv, latent_dim 64",
    }
    rows = list(csv.reader((experiment.folder / "trials.csv").open(newline="")))
    assert json.loads(next(row for row in rows if row[0] == "trial_00000")[2]) == models[0]  # in full


def test_names_are_short_enough_for_the_trials_to_be_named(experiment, capsys):
    names = ["MLPAutoencoder", "WaveAutoencoder", "FrameAutoencoder", "SpectrogramAutoencoder"]
    write_overview(experiment, {trial: {"model.name": name} for trial, name in zip(DRAWS, names, strict=True)})
    out = capsys.readouterr().out
    assert all(f" {trial} " in out for trial in DRAWS)
    assert " Spectrogram " in out


def test_one_trial_needs_no_table(experiment, capsys):
    write_overview(experiment, {"trial_00000": {}})
    assert capsys.readouterr().out == ""
    assert (experiment.folder / "trials.csv").read_text().splitlines()[
        1
    ] == "trial_00000,finished,2.0,2,2,2.5,0.375000,12"


def rows_of(folder, epochs):
    folder.mkdir()
    (folder / "result.json").write_text("".join(json.dumps({"epoch": n}) + "\n" for n in range(1, epochs + 1)))


@pytest.mark.parametrize(
    ("epochs", "stopped_by", "end"),
    [
        (5, "ASHA", TrialEnd("finished", 5)),  # ASHA also ends those that have reached their last epoch
        (2, "ASHA", TrialEnd("stopped early", 2, "ASHA")),
        (4, None, TrialEnd("stopped early", 4, "training.early_stop_patience")),
    ],
)
def test_what_has_stopped_a_trial_is_noted(epochs, stopped_by, end, tmp_path):
    rows_of(tmp_path / "trial", epochs)
    mark_end(tmp_path / "trial", {"training": {"epochs": 5}}, stopped_by)
    assert read_end(tmp_path / "trial") == end


def test_asha_and_the_plateau_stopper_say_which_trial_they_have_ended(tmp_path):
    search = search_for(tmp_path, {}, scheduler="asha", grace_epochs=1, reduction_factor=2)
    asha = EarlyStopping(search.ray, search.training, 8)
    assert not asha.ends("good", {"epoch": 1, "val_loss": 0.1})
    assert asha.ends("bad", {"epoch": 1, "val_loss": 0.9})
    assert asha.stopped_by == {"bad": "ASHA"}
    stopper = {"watch": "val_loss", "std": 0.1, "num_results": 2, "grace_epochs": 2}
    plateau = EarlyStopping(search_for(tmp_path, {}, scheduler="fifo", stopper=stopper).ray, search.training, 8)
    assert [plateau.ends("a", {"epoch": n, "val_loss": 1.0}) for n in (1, 2)] == [False, True]
    assert plateau.stopped_by == {"a": "ray.stopper (val_loss has stopped moving)"}


def test_lines_while_trials_run(tmp_path, capsys):
    search = search_for(tmp_path, {}, scheduler="fifo")._replace(chance={"val_loss": 2.0})
    for name in ("trial_00000", "trial_00001"):
        (tmp_path / name).mkdir()
    recorder = recorder_of(search, {"trial_00000": {}, "trial_00001": {}})
    row = {"train_loss": 1.0, "val_loss": 0.5, "epoch_s": 90.0}
    recorder.start("trial_00000")
    recorder.report("trial_00000", {"epoch": 1.0, **row})
    recorder.report("trial_00000", {"epoch": 2.0, **row})
    recorder.end("trial_00000")
    recorder.start("trial_00001")
    recorder.report("trial_00001", {"epoch": 1.0, **row})
    recorder.end("trial_00001")
    assert capsys.readouterr().out.splitlines() == [
        "trial_00000: starts",
        "trial_00000: epoch 1/2, train_loss 1.0000, val_loss 0.5000 (chance 2.0000), 90.0 s, about 4 min left",
        "trial_00000: epoch 2/2, train_loss 1.0000, val_loss 0.5000, 90.0 s, about 3 min left",
        "trial_00001: starts",
        "trial_00001: epoch 1/2, train_loss 1.0000, val_loss 0.5000, 90.0 s, about 2 min left",
        "trial_00001: stopped by training.early_stop_patience after epoch 1",
    ]


@pytest.mark.parametrize(
    ("names", "shown"),
    [
        (["MeanPoolingAdapter", "PerceiverAdapter"], ["MeanPooling", "Perceiver"]),
        (["Adapter", "PerceiverAdapter"], ["Adapter", "PerceiverAdapter"]),
        (["LinearAdapter", "LinearAdapter"], ["LinearAdapter", "LinearAdapter"]),
        (["LinearAdapter", ""], ["LinearAdapter", ""]),
        (["relu", "gelu"], ["relu", "gelu"]),
        (["A0.5", "B0.5"], ["A0.5", "B0.5"]),
    ],
)
def test_names_are_shown_without_the_words_that_all_end_with(names, shown):
    assert without_common_ending(names) == shown
