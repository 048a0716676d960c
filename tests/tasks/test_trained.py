import json

import pytest
import torch

from tasks.retrieval.scores import score_file
from tests.training import run_of, trained_run, write_trial
from utils.artefact_utils import write_json
from utils.cli_utils import UserError


@pytest.fixture
def trained(prepared):
    """A folder with two trials, the second with another width and worse numbers."""
    write_trial(run_of(prepared))
    second = write_trial(run_of(prepared, "model.out_dim=4"), "trial_00001")
    for number in range(2):
        path = second / f"checkpoint_{number:06d}" / "checkpoint.json"
        facts = json.loads(path.read_text())
        facts["metrics"]["mAP@10"] = 0.0
        write_json(path, facts)
    return prepared


def load(folder, *arguments):
    return trained_run(["--conf", str(folder / "conf.yaml"), *arguments])


def test_the_run_is_that_of_the_trial(trained):
    best, other = load(trained), load(trained, "--trial", "trial_00001")
    assert (best.trial.folder.name, best.trial.is_best, best.run.model.out_dim) == ("trial_00000", True, 8)
    assert (other.trial.folder.name, other.trial.is_best, other.run.model.out_dim) == ("trial_00001", False, 4)
    assert best.split == "evaluation"
    assert score_file(best) == best.trial.folder / "evaluation_xmodal_scores.hdf5"
    assert load(trained, "--split", "validation").split == "validation"
    assert other.checkpoint == "trial_00001/checkpoint_000000 (epoch 1)"


def test_an_experiment_by_its_folder(trained):
    (trained / "runs" / "tiny").rename(trained / "elsewhere")
    assert load(trained, "--run", str(trained / "elsewhere")).run.experiment == "tiny"
    with pytest.raises(UserError, match=r"run .*runs/tiny does not exist; train first: <make training>"):
        load(trained)


def test_the_task_has_the_trained_weights_in_eval_mode(trained):
    found = load(trained, "--checkpoint", "checkpoint_000001")
    task = found.task()
    state = task.model().state_dict()
    assert all(torch.equal(state[key], value) for key, value in found.saved.weights.items())
    assert not any(module.training for module in task.model().modules())


def test_initial_weights_need_not_be_there_any_more(trained):
    path = trained / "runs" / "tiny" / "trial_00000" / "params.json"
    params = json.loads(path.read_text())
    params["model"]["audio_encoder"]["weights"] = "/gone/CNN10.pth"
    write_json(path, params)
    assert load(trained).run.model.audio_encoder.weights is None


def test_the_device_is_that_of_this_machine(trained):
    """Trained on a GPU, applied where there is none."""
    path = trained / "runs" / "tiny" / "trial_00000" / "params.json"
    params = json.loads(path.read_text())
    params["training"]["device"] = "cuda"
    write_json(path, params)
    assert load(trained).run.training.device == "cpu"
    assert load(trained, "--set", "training.device=auto", "--set", "data.workers=1").run.data.workers == 1


def test_files_of_the_best_trial_are_published(trained):
    best, other = load(trained), load(trained, "--trial", "trial_00001")
    for text in ("first", "second"):
        for found in (best, other):
            path = found.trial.folder / "result.txt"
            path.unlink(missing_ok=True)
            path.write_text(f"{text} of {found.trial.folder.name}")
        public = best.publish(best.trial.folder / "result.txt")
        assert other.publish(other.trial.folder / "result.txt") == other.trial.folder / "result.txt"
        assert public == trained / "runs" / "tiny" / "result.txt"
        assert public.read_text() == f"{text} of trial_00000"
    best.publish(best.trial.folder / "result.txt")  # again, already the same file
    assert [p.name for p in public.parent.iterdir() if p.is_file()] == ["result.txt"]


def test_a_disk_without_links_is_copied_to(trained, monkeypatch):
    def refuse(*_):
        raise OSError(95, "Operation not supported")

    best = load(trained)
    (best.trial.folder / "result.txt").write_text("text")
    monkeypatch.setattr("os.link", refuse)
    assert best.publish(best.trial.folder / "result.txt").read_text() == "text"


def test_settings_that_no_longer_fit_are_told(trained):
    path = trained / "runs" / "tiny" / "trial_00000" / "params.json"
    params = json.loads(path.read_text())
    params["model"]["out_dims"] = 3
    write_json(path, params)
    with pytest.raises(UserError, match=r"params\.json: 1 bad key\s+model\.out_dims: unknown key; did you mean 'out_d"):
        load(trained)


def truncate(trial):
    for path in trial.glob("checkpoint_*/checkpoint.pt"):
        path.write_bytes(path.read_bytes()[:100])


def test_a_truncated_checkpoint_is_passed_over_and_refused_where_it_is_named(trained, capsys):
    best, other = load(trained).trial, load(trained, "--trial", "trial_00001").trial
    truncate(best.folder)
    capsys.readouterr()
    found = load(trained).trial
    assert (found.folder, found.is_best) == (other.folder, True)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(list(best.folder.glob("checkpoint_*")))
    assert f"{best.checkpoint.folder}/checkpoint.pt: truncated or changed (100 bytes" in lines[0]
    with pytest.raises(UserError, match=r"00000\d/checkpoint\.pt: truncated or changed \(100 bytes.*another"):
        load(trained, "--trial", best.folder.name, "--checkpoint", best.checkpoint.folder.name)
    with pytest.raises(UserError, match=r"trial .*trial_00000: no checkpoint is whole; train again: .*--fresh"):
        load(trained, "--trial", best.folder.name)
    truncate(other.folder)
    with pytest.raises(UserError, match=r"run .*tiny: no checkpoint is whole; train again: .*--fresh"):
        load(trained)


REFUSED_SETTINGS = {
    "optimizer.lr_scale=1": "optimizer.lr_scale: unknown key",  # begins as the key that is searched
    "optimizer.weight_decay=0.5": "--set optimizer.weight_decay: .*trial_00000 was trained with 0.01; stage 3 takes",
    "lr_scheduler={name: none}": "--set lr_scheduler: .*was trained with {.*'name': 'WarmupCosine'",
    "training.early_stop_patience=3": "--set training.early_stop_patience: .*was trained with None",
    "optimizer={name: SGD}": "--set optimizer: .*was trained with {.*'name': 'AdamW'",
    "data.text_embeddings=null": "data.text_embeddings",
    "ray.stopper.std.x=1": "ray.stopper.std: Input should be a valid number",
    "optimizer=null": "optimizer: ",
    "nothing.there=1": "nothing: unknown key",
    "model.out_dim.x=2": "'model.out_dim' holds the value 8, not a section",
}


def test_what_stage_3_does_not_take(trained):
    for setting, found in REFUSED_SETTINGS.items():
        with pytest.raises(UserError, match=found):
            load(trained, "--set", "search={optimizer.lr: {grid: [1e-3]}}", "--set", setting)


def test_what_differs_between_trials_or_is_the_trials_own(trained):
    for settings in (
        ["search={optimizer.lr: {grid: [1e-3, 2e-3]}}", "optimizer.lr=5e-2"],
        ["search={optimizer: {grid: [{name: SGD, lr: 1e-3}]}}", "optimizer={name: SGD}"],
        ["search={optimizer.lr: {grid: [1e-3]}}", "optimizer={name: AdamW, lr: 1}"],
        ["ray.stopper={std: 1e-4}", "experiment=tiny"],
        ["optimizer.lr=1e-3", "training.epochs=2"],  # as the trial has them
    ):
        found = load(trained, *(part for text in settings for part in ("--set", text)))
        assert (found.run.optimizer.name, found.run.optimizer.lr) == ("AdamW", 1e-3)


def test_a_key_that_the_trial_cannot_have(trained):
    conf = trained / "conf.yaml"
    conf.write_text(conf.read_text().replace("AdamW", "SGD"))
    with pytest.raises(UserError, match=r"--set optimizer\.momentum: .*was trained with no such key"):
        load(trained, "--set", "optimizer.momentum=0.5")


def test_settings_edited_by_hand(trained):
    path = trained / "runs" / "tiny" / "trial_00000" / "params.json"
    whole = json.loads(path.read_text())
    for change, found in (
        ({"training": None}, "has no training.select_on"),
        ({"training": "select_on"}, "has no training.select_on"),
        ({"training": {"select_on": ["mAP@10"]}}, "has no training.select_on"),
        ({"model": None}, "model: "),
        ({"model": {"name": "DualEncoderModel", "audio_encoder": "CNN14"}}, "model.audio_encoder"),
        ({"data": []}, "data: "),
        ({"optimizer": {"name": ["AdamW"]}}, "optimizer"),
        ({"optimizer": {"name": {"a": 1}}}, "optimizer"),
        ({"task": 5}, "task: unknown name '5'; choices: "),
        ({"task": None}, "task: "),
        ({"criterion": {"name": "InfoNCE", "temperature": "x" * 10**6}}, "criterion.temperature: "),
    ):
        write_json(path, whole | change)
        with pytest.raises(UserError, match=found) as error:
            load(trained, "--trial", "trial_00000")
        assert len(str(error.value)) < 1500


def test_settings_that_are_no_json(trained):
    path = trained / "runs" / "tiny" / "trial_00000" / "params.json"
    for text, found in (
        ("", "not valid JSON: Expecting value"),
        ("[]", "found list, expected keys and values"),
        ('{"a": 1, "a": 1}', "key 'a' occurs twice"),
        ("[" * 10**5, "nested more than 64 levels deep"),
        ('{"seed": 1' + "0" * 400 + "}", "a whole number of 401 digits"),
        ('{"loss": NaN}', "NaN is no JSON number"),
    ):
        path.write_text(text)
        with pytest.raises(UserError, match=rf"params\.json: .*{found}"):
            load(trained)


def test_facts_of_a_checkpoint_edited_by_hand(trained, capsys):
    path = trained / "runs" / "tiny" / "trial_00000" / "checkpoint_000001" / "checkpoint.json"
    for text in (
        '{"epoch": 1e300}',
        "[]",
        '{"epoch": 1, "metrics": {"mAP@10": "high"}, "blake2b": "x"}',
        '{"epoch": 1, "metrics": [], "blake2b": "x"}',
        '{"epoch": null, "metrics": {}, "blake2b": "x"}',
        "[" * 10**5,
        '{"epoch": ',
    ):
        path.write_text(text)
        assert load(trained).checkpoint.startswith("trial_00000/checkpoint_000000")
        assert f"skipped: {path}: not the facts of a checkpoint" in capsys.readouterr().out
