"""`music_experiments`: one table of all experiments, from files written by hand."""

import csv
import json

import pytest

from postprocessing import music_experiments
from tests.postprocessing.commands import Result, error_of
from tests.tasks.music import corpora

FILTERS = ("none", "artist", "album", "version")
EPOCHS = [(1, 0.2), (2, 0.6), (3, 0.4)]  # epoch, genre_mAP on validation


def run(folder, capsys, *arguments):
    capsys.readouterr()
    code = 0
    try:
        music_experiments.main(["--conf", str(corpora.write_conf(folder, "logmel")), *arguments])
    except SystemExit as stop:
        code = int(stop.code or 0)
        if code == 70:  # a fault: pytest shows what caused it
            raise
    return Result(code, *capsys.readouterr())


def write_trial(folder, experiment, trial="trial_00000", kind="logmel", epochs=EPOCHS, **changes):
    """A trial's folder, without the checkpoints, which nothing reads."""
    inside = folder / "runs" / experiment / trial
    inside.mkdir(parents=True)
    params = corpora.settings_of(folder, kind) | {"experiment": experiment} | changes
    params["training"] = params["training"] | {"select_on": "genre_mAP"}
    (inside / "params.json").write_text(json.dumps(params))
    rows = [
        {"epoch": epoch, "epoch_s": 2.0, "genre_mAP": value, "val_mse": 1 - value, "train_mse": 0.1 * epoch}
        | {"trainable_parameters": 120, "explained_variance": 0.5, "dead_units": 1}
        for epoch, value in epochs
    ]
    (inside / "result.json").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return inside


def write_metrics(folder, experiment, systems, epochs=None, inside=""):
    """What was measured: system -> genre_precision@5, the same under all filters."""
    found = {name: {f: {"genre_precision@5": value, "genre_mAP": 0.25} for f in FILTERS} for name, value in systems}
    made_from = {"split": "test", "epochs": epochs or {}}
    held = {"systems": found, "tracks": 8, "settings": {"scaling": None, "local_scaling": False}}
    path = folder / "runs" / experiment / inside / "recommendation_metrics.json"
    path.write_text(json.dumps(held | {"made_from": made_from}))
    return path


BASELINES = [("mfcc", 0.3), ("mfcc_standardised", 0.4)]


def rows_of(folder):
    with (folder / "runs" / "recommendation_experiments.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_the_best_on_validation_comes_first_with_its_measured_epoch_and_the_baselines_of_each(tmp_path, capsys):
    write_trial(tmp_path, "good", "trial_00000", epochs=[(1, 0.1)])
    write_trial(tmp_path, "good", "trial_00001", model=corpora.MODELS["features"])
    write_metrics(
        tmp_path,
        "good",
        [("trial_00000/FrameAutoencoder", 0.5), ("trial_00001/MLPAutoencoder", 0.7), *BASELINES],
        {"trial_00001/MLPAutoencoder": 3},
    )
    write_trial(tmp_path, "better", epochs=[(1, 0.9)])
    write_metrics(tmp_path, "better", [("trial_00000/FrameAutoencoder", 0.6), *BASELINES])
    done = run(tmp_path, capsys)
    assert done.code == 0, done.err
    rows = rows_of(tmp_path)
    assert [(row["experiment"], row["trial"], row["genre_precision@5"]) for row in rows] == [
        ("better", "trial_00000", "0.6"),
        ("better", "mfcc", "0.3"),
        ("better", "mfcc_standardised", "0.4"),
        ("good", "trial_00001", "0.7"),
        ("good", "trial_00000", "0.5"),
        ("good", "mfcc", "0.3"),
        ("good", "mfcc_standardised", "0.4"),
    ]
    (row,) = [row for row in rows if row["trial"] == "trial_00001"]
    wanted = {"input": "features", "architecture": "MLPAutoencoder", "latent": "4", "window s": "", "parameters": "120"}
    wanted |= {"epochs": "3", "seconds": "6.0", "dead units": "1", "explained": "0.5", "split": "test", "tracks": "8"}
    # of epoch 3, which was measured, though epoch 2 is the best one by now
    wanted |= {"selected by": "genre_mAP", "on validation": "0.4", "val mse": "0.6", "version: genre_mAP": "0.25"}
    assert {key: row[key] for key in wanted} == wanted
    assert rows[0]["window s"] == "0.5"
    shown = [line for line in done.out.splitlines() if line.startswith("│")]
    assert len(shown) == 4  # the best trial and the better baseline of each
    assert "0.700" in shown[2]
    assert "0.400" in shown[3]
    assert "music_recommend --conf" in done.out.splitlines()[-1]
    assert done.out.splitlines()[-1].endswith(f"--run {tmp_path / 'runs' / 'better'} --filter artist")


def test_what_is_not_measured_or_broken_is_named_with_its_command(tmp_path, capsys):
    write_trial(tmp_path, "half")
    write_trial(tmp_path, "half", "trial_00001")
    write_trial(tmp_path, "half", "trial_00002", epochs=[])
    write_metrics(tmp_path, "half", [("trial_00001/FrameAutoencoder", 0.5), *BASELINES], inside="trial_00001")
    write_trial(tmp_path, "new")
    write_trial(tmp_path, "cut")
    path = write_metrics(tmp_path, "cut", [("trial_00000/FrameAutoencoder", 0.5), *BASELINES])
    path.write_text(path.read_text()[:50])
    write_trial(tmp_path, "foreign")
    (tmp_path / "runs" / "foreign" / "recommendation_metrics.json").write_text('{"systems": {"mine": []}}')
    (write_trial(tmp_path, "odd") / "params.json").write_text("{")
    write_trial(tmp_path, "old", model={"name": "NoAutoencoder"})
    done = run(tmp_path, capsys)
    assert done.code == 0, done.err
    measure = f"--run {tmp_path / 'runs'}/"
    for name, message, repair in [
        ("half: trial_00000 of its trials", "measure all: ", f"{measure}half"),
        ("new is not measured", "measure it: ", f"{measure}new"),
        ("cut", "measure it again: ", f"{measure}cut"),
        ("foreign", "measure it again: ", f"{measure}foreign"),
        ("odd is left out", "params.json: ", ""),
        ("old is left out", "params.json: ", ""),
    ]:
        (line,) = [line for line in done.out.splitlines() if line.startswith(f"{tmp_path / 'runs'}/{name}")]
        assert message in line
        assert repair in line
    assert {row["experiment"] for row in rows_of(tmp_path)} == {"half"}
    assert [row["genre_precision@5"] for row in rows_of(tmp_path)] == ["", "0.5", "", "0.3", "0.4"]


@pytest.mark.parametrize(
    "change",
    [
        {"systems": []},
        {"systems": {"mfcc": {"none": {}}}},
        {"systems": {"trial_00000/FrameAutoencoder": {name: {"genre_mAP": "high"} for name in FILTERS}}},
        {"systems": {"trial_00000/FrameAutoencoder": {name: {} for name in FILTERS}}},
        {"tracks": None},
        {"settings": {"scaling": 5, "local_scaling": False}},
        {"settings": {"colour": "red"}},
        {"made_from": {}},
        {"made_from": {"split": "test", "epochs": [1]}},
    ],
)
def test_a_file_with_other_contents_is_named_and_survived(tmp_path, capsys, change):
    write_trial(tmp_path, "mine")
    path = write_metrics(tmp_path, "mine", [("trial_00000/FrameAutoencoder", 0.5), *BASELINES])
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    done = run(tmp_path, capsys)
    assert "no experiment on music in it is measured" in error_of(done)
    (line,) = done.out.splitlines()
    assert line.startswith(f"{path}: does not hold what is measured of recommendations (")
    assert "; measure it again: " in line


def test_other_systems_and_experiments_that_were_moved_aside_are_not_of_it(tmp_path, capsys):
    write_trial(tmp_path, "mine")
    write_metrics(tmp_path, "mine", [("trial_00000/FrameAutoencoder", 0.5), *BASELINES])
    write_trial(tmp_path, "mine.old-1")
    retrieval = tmp_path / "runs" / "retrieval" / "trial_00000"
    retrieval.mkdir(parents=True)
    (retrieval / "params.json").write_text(json.dumps({"task": "retrieval"}))
    (tmp_path / "runs" / "notes.txt").write_text("")
    done = run(tmp_path, capsys)
    assert done.code == 0, done.err
    assert {row["experiment"] for row in rows_of(tmp_path)} == {"mine"}
    assert "old-1" not in done.out
    assert "retrieval" not in done.out


def test_names_do_not_break_the_table(tmp_path, capsys):
    name = "a|b\nc"
    write_trial(tmp_path, "plain", data=corpora.settings_of(tmp_path, "logmel")["data"] | {"root": "data/x|y"})
    write_metrics(tmp_path, "plain", [("trial_00000/FrameAutoencoder", 0.5), *BASELINES])
    (tmp_path / "runs" / "plain").rename(tmp_path / "runs" / name)
    assert run(tmp_path, capsys).code == 0
    lines = (tmp_path / "runs" / "recommendation_experiments.md").read_text().splitlines()
    assert len(lines) == 2 + 3
    assert {len(line.replace("\\|", "").split("|")) for line in lines} == {len(lines[0].split("|"))}
    assert "| a\\|b c | data/x\\|y | trial_00000 |" in lines[2]
    assert rows_of(tmp_path)[0]["experiment"] == name


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "no experiment on music in it is measured; measure one: "),
        (["--set", "output_root=nowhere"], "nowhere: no experiment on music in it is measured"),
    ],
)
def test_what_is_refused(tmp_path, capsys, arguments, message):
    assert message in error_of(run(tmp_path, capsys, *arguments))
    assert not (tmp_path / "runs").exists()
