import itertools
import multiprocessing
import os
import signal
from pathlib import Path

import pytest
import torch

from tests.training import StoppedError, differences, fit_of, keep_checkpoints, run_of
from utils.cli_utils import UserError
from utils.config_utils import to_mapping
from utils.model_utils import read_checkpoint, read_facts, write_checkpoint
from utils.model_utils.trials import checkpoint_folders

# Windows of 0.4 s: clips are longer, so training draws random parts of them; CNN10 has dropout by default.
SETTINGS = ("data.max_duration_s=0.4", "training.epochs=4", "training.batch_size=3", "model.text_encoder.dropout=0.2")
OPTIMIZERS = ("{name: Adam, lr: 1.0e-3}", "{name: AdamW, lr: 1.0e-3}", "{name: SGD, lr: 1.0e-2}")
SCHEDULES = ("{name: ReduceLROnPlateau, patience: 0}", "{name: WarmupCosine}", "{name: none}")


def uninterrupted(run, folder):
    fit = fit_of(run)
    fit.run(keep_checkpoints(folder), to_mapping(run))
    return fit.state({})


def resumed(run, folder):
    """A fresh model and optimizer, as a new process has them, that go on from the folder's checkpoints."""
    torch.manual_seed(99)  # whatever was drawn before must not matter
    fit = fit_of(run)
    fit.restore(checkpoint_folders(folder))
    fit.run(keep_checkpoints(folder), to_mapping(run))
    return fit.state({})


def stopped(run, folder, epoch):
    with pytest.raises(StoppedError):
        fit_of(run).run(keep_checkpoints(folder, stop_after=epoch), to_mapping(run))


@pytest.mark.parametrize(("optimizer", "schedule"), list(itertools.product(OPTIMIZERS, SCHEDULES)))
def test_resumed_run_equals_uninterrupted_one(optimizer, schedule, prepared, tmp_path):
    run = run_of(
        prepared, *SETTINGS, f"optimizer={optimizer}", f"lr_scheduler={schedule}", "training.select_on=val_loss"
    )
    whole = uninterrupted(run, tmp_path / "whole")
    stopped(run, tmp_path / "parts", 2)
    assert differences(whole, resumed(run, tmp_path / "parts")) == []
    assert whole["epoch"] == 4
    assert whole["best"] is not None


def test_a_checkpoint_from_before_early_stopping_watched_a_metric_of_its_own(prepared, tmp_path):
    run = run_of(prepared, *SETTINGS, "training.early_stop_patience=9")
    whole = uninterrupted(run, tmp_path / "whole")
    stopped(run, tmp_path / "parts", 2)
    newest = checkpoint_folders(tmp_path / "parts")[-1]
    state, facts = read_checkpoint(newest), read_facts(newest)
    del state["stop"]
    write_checkpoint(newest, state, facts.metrics, facts.selection)
    assert differences(whole, resumed(run, tmp_path / "parts")) == []


def test_the_state_depends_on_the_seed(prepared, tmp_path):
    """Otherwise the comparisons of this file could not fail."""
    one = uninterrupted(run_of(prepared, *SETTINGS), tmp_path / "one")
    two = uninterrupted(run_of(prepared, *SETTINGS, "training.seed=1"), tmp_path / "two")
    assert any(line.startswith(".model") for line in differences(one, two))


@pytest.mark.parametrize(
    "settings",
    [
        ("training.sampling={by: clip, captions_per_clip: 2, length_pool: 2}",),
        ("training.precision=bf16",),
        ("criterion.learnable_temperature=true",),
        ("data.workers=1",),
        ("training.early_stop_patience=9", "training.early_stop_watch=val_loss", "training.early_stop_threshold=0.01"),
        ("lr_scheduler={name: ReduceLROnPlateau, watch: val_loss, patience: 0, threshold: 5.0}",),
        ("optimizer={name: SGD, momentum: 0.0, weight_decay: 0.1}",),
        ("training.ema=0.9",),
    ],
    ids=["by clip", "bf16", "temperature", "worker process", "early stopping", "plateau", "without momentum", "ema"],
)
def test_resume_is_exact_whatever_else_is_set(settings, prepared, tmp_path):
    run = run_of(prepared, *SETTINGS, "training.epochs=3", *settings)
    whole = uninterrupted(run, tmp_path / "whole")
    stopped(run, tmp_path / "parts", 1)
    assert differences(whole, resumed(run, tmp_path / "parts")) == []


class KilledInBatch:
    """Training batches that end the process, without a word, at a batch of an epoch."""

    def __init__(self, loader, epoch, batch):
        self.loader, self.at, self.epoch = loader, (epoch, batch), 0

    def set_epoch(self, epoch):
        self.epoch = epoch
        self.loader.set_epoch(epoch)

    def __len__(self):
        return len(self.loader)

    def __iter__(self):
        return map(self._checked, itertools.count(1), iter(self.loader))

    def _checked(self, number, batch):
        if (self.epoch, number) == self.at:
            os.kill(os.getpid(), signal.SIGKILL)
        return batch


def train_until_killed(run, folder):
    fit = fit_of(run)
    fit._loader = KilledInBatch(fit._loader, epoch=3, batch=2)
    fit.run(keep_checkpoints(folder), to_mapping(run))


def test_killed_in_the_middle_of_an_epoch(prepared, tmp_path, capsys):
    run = run_of(prepared, *SETTINGS)
    whole = uninterrupted(run, tmp_path / "whole")
    process = multiprocessing.get_context("fork").Process(target=train_until_killed, args=(run, tmp_path / "killed"))
    process.start()
    process.join(120)
    assert process.exitcode == -signal.SIGKILL
    assert [folder.name for folder in checkpoint_folders(tmp_path / "killed")] == [
        "checkpoint_000000",
        "checkpoint_000001",
    ]
    capsys.readouterr()
    assert differences(whole, resumed(run, tmp_path / "killed")) == []
    assert capsys.readouterr().out.splitlines()[0] == "resumed after epoch 2"


def truncate(folder: Path) -> None:
    path = folder / "checkpoint.pt"
    with path.open("r+b") as stream:
        stream.truncate(path.stat().st_size // 2)


def test_truncated_checkpoint_gives_way_to_the_one_before(prepared, tmp_path, capsys):
    run = run_of(prepared, *SETTINGS)
    whole = uninterrupted(run, tmp_path / "whole")
    stopped(run, tmp_path / "parts", 3)
    newest = checkpoint_folders(tmp_path / "parts")[-1]
    truncate(newest)
    capsys.readouterr()
    assert differences(whole, resumed(run, tmp_path / "parts")) == []
    first, second, *_ = capsys.readouterr().out.splitlines()
    assert first.startswith(f"{newest / 'checkpoint.pt'}: truncated or changed")
    assert first.endswith("using the one before it")
    assert second == "resumed after epoch 2"


def test_no_whole_checkpoint_is_refused(prepared, tmp_path):
    run = run_of(prepared, *SETTINGS)
    stopped(run, tmp_path / "parts", 2)
    for folder in checkpoint_folders(tmp_path / "parts"):
        truncate(folder)
    with pytest.raises(UserError, match=r"parts: no checkpoint is whole; train again with --fresh"):
        fit_of(run).restore(checkpoint_folders(tmp_path / "parts"))


def test_nothing_to_resume_starts_at_the_beginning(prepared):
    fit = fit_of(run_of(prepared))
    fit.restore([])
    assert (fit.epoch, fit.best.value) == (0, None)
