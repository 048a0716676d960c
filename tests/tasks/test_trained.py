import argparse
import json

import pytest
import torch

from tasks import load_trained
from tests.training import run_of, write_trial
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
    return load_trained(["--conf", str(folder / "conf.yaml"), *arguments], argparse.ArgumentParser())[0]


def test_the_run_is_that_of_the_trial(trained):
    best, other = load(trained), load(trained, "--trial", "trial_00001")
    assert (best.trial.folder.name, best.trial.is_best, best.run.model.out_dim) == ("trial_00000", True, 8)
    assert (other.trial.folder.name, other.trial.is_best, other.run.model.out_dim) == ("trial_00001", False, 4)
    assert best.split == "evaluation"
    assert best.scores == best.trial.folder / "evaluation_xmodal_scores.hdf5"
    assert load(trained, "--split", "validation").split == "validation"
    assert other.checkpoint == "trial_00001/checkpoint_000000 (epoch 1)"


def test_an_experiment_by_its_folder(trained):
    (trained / "runs" / "tiny").rename(trained / "elsewhere")
    assert load(trained, "--run", str(trained / "elsewhere")).run.experiment == "tiny"
    with pytest.raises(UserError, match=r"run .*runs/tiny does not exist; train first: .*main\.py --conf"):
        load(trained)


def test_the_task_has_the_trained_weights_in_eval_mode(trained):
    found = load(trained, "--checkpoint", "checkpoint_000001")
    task = found.task()
    state = task.model().state_dict()
    assert all(torch.equal(state[key], value) for key, value in found.state.items())
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
