import math

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from tests.training import StubTask, StubTraining, fit_of, reports_of, run_of, stub_fit
from utils.cli_utils import UserError
from utils.model_utils.optimisation import ReduceLROnPlateauSpec, SGDSpec


def sgd(lr):
    return SGDSpec(name="SGD", lr=lr, momentum=0.0)


@pytest.mark.parametrize(("limit", "moved"), [(None, 20_000.0), (0.5, 0.5), (30_000.0, 20_000.0)])
def test_clipping_bounds_the_norm_of_the_gradient(limit, moved):
    task = StubTask([0.1], x=100.0)  # loss (100 w)^2 at w = 1: gradient 20 000
    reports_of(stub_fit(task, StubTraining(epochs=1, clip_grad_norm=limit), sgd(1.0)))
    assert 1 - task.weight == pytest.approx(moved, rel=1e-5)


def test_train_loss_is_the_mean_over_the_batches():
    task = StubTask([0.1, 0.1], batches=2)
    # w: 1, 0.8 in epoch 1, then 0.64, 0.512, as each step takes off a fifth
    reports = reports_of(stub_fit(task, StubTraining(epochs=2, clip_grad_norm=None), sgd(0.1)))
    assert [r["train_loss"] for r in reports] == pytest.approx([(1 + 0.64) / 2, (0.64**2 + 0.512**2) / 2])
    assert [r["epoch"] for r in reports] == [1, 2]
    assert task.loader.epochs == [1, 2]
    assert [r["step_s"] for r in reports] == [r["train_s"] / 2 for r in reports]
    assert [r["trainable_parameters"] for r in reports] == [1, 1]


class TwoLosses(StubTask):
    """`loss` is half the square and the whole `l1`, each of which is reported too."""

    def losses(self, batch):
        out = self.net(batch["x"])
        square, l1 = out.square().mean(), out.abs().mean()
        return {"loss": square / 2 + l1, "square": square, "l1": l1}


def test_every_loss_is_reported_as_its_mean_over_the_batches():
    task = TwoLosses([0.1], batches=2)
    (report,) = reports_of(stub_fit(task, StubTraining(epochs=1, clip_grad_norm=None), sgd(0.1)))
    # w: 1, then 0.8, since the gradient of w^2 / 2 + w is w + 1 = 2; after the second step 0.62
    assert report["train_loss"] == pytest.approx(((1 / 2 + 1) + (0.64 / 2 + 0.8)) / 2)
    assert report["train_square"] == pytest.approx((1 + 0.64) / 2)
    assert report["train_l1"] == pytest.approx((1 + 0.8) / 2)
    assert task.weight == pytest.approx(0.62)


@pytest.mark.parametrize(
    ("key", "values", "patience", "epochs", "best"),
    [
        ("mAP@10", [0.1, 0.3, 0.2, 0.2, 0.9], 2, 4, 0.3),
        ("mAP@10", [0.1, 0.3, 0.3, 0.4, 0.2, 0.4], 2, 6, 0.4),  # equal is not better
        ("val_loss", [5.0, 3.0, 4.0, 2.0, 3.0, 3.0], 2, 6, 2.0),
        ("mAP@10", [0.3, 0.2, 0.1, 0.0, 0.0, 0.0], None, 6, 0.3),
        ("val_loss", [math.nan, math.nan, 1.0, 1.0, 1.0, 1.0], 2, 2, None),
    ],
)
def test_early_stopping(key, values, patience, epochs, best):
    training = StubTraining(epochs=6, select_on=key, early_stop_patience=patience)
    fit = stub_fit(StubTask(values, key), training)
    assert len(reports_of(fit)) == epochs
    assert fit.best.value == best


def test_a_stalled_run_stays_stalled_after_resume():
    fit = stub_fit(StubTask([0.3, 0.2]), StubTraining(epochs=9, early_stop_patience=1))
    assert len(reports_of(fit)) == 2
    assert reports_of(fit) == []


def test_best_so_far_is_reported():
    reports = reports_of(stub_fit(StubTask([0.1, 0.3, 0.2]), StubTraining(epochs=3)))
    assert [r["best"] for r in reports] == [0.1, 0.3, 0.3]


@pytest.mark.parametrize(("key", "reduced"), [("mAP@10", False), ("val_loss", True)])
def test_plateau_follows_the_mode_of_select_on(key, reduced):
    plateau = ReduceLROnPlateauSpec(name="ReduceLROnPlateau", patience=0)
    training = StubTraining(epochs=4, select_on=key)
    reports = reports_of(stub_fit(StubTask([0.1, 0.2, 0.3, 0.4], key), training, sgd(0.1), plateau))
    assert (reports[-1]["lr"] < reports[0]["lr"]) is reduced


@pytest.mark.parametrize(("key", "values", "best"), [("mAP@10", [0.1, 0.3, 0.2], 0.3), ("error", [0.3, 0.1, 0.2], 0.1)])
def test_the_direction_is_what_the_task_says(key, values, best):
    training = StubTraining(epochs=3, select_on=key)
    fit = stub_fit(StubTask(values, key), training)
    reports_of(fit)
    assert (fit.best.value, fit.best.epoch) == (best, values.index(best) + 1)
    assert training.mode == {"mAP@10": "max", "error": "min"}[key]


@pytest.mark.parametrize("key", ["select_on", "early_stop_watch"])
def test_a_metric_that_the_task_does_not_name_is_refused(key):
    with pytest.raises(ValidationError, match=r"unknown metric; choices: mAP@10, R@1, val_loss, error"):
        StubTraining.model_validate({key: "loss"})


def test_a_schedule_may_watch_another_metric_than_the_one_that_selects():
    """mAP@10 rises, and val_loss does not move."""
    plateau = ReduceLROnPlateauSpec(name="ReduceLROnPlateau", patience=0, watch="val_loss")
    reports = reports_of(stub_fit(StubTask([0.1, 0.2, 0.3]), StubTraining(epochs=3), sgd(0.1), plateau))
    assert [r["lr"] for r in reports] == pytest.approx([0.1, 0.1, 0.01])


@pytest.mark.parametrize(
    ("threshold", "epochs"),
    [(0.0, 6), (0.15, 6), (0.25, 3)],  # it is lower by 0.1 an epoch, so by 0.2 within the two that are waited
)
def test_early_stopping_watches_another_metric_with_a_threshold(threshold, epochs):
    """The selecting metric does not get better after the first epoch."""
    values = [1.0, 0.9, 0.8, 0.7, 0.6, 0.5]
    task = StubTask(values, "error")
    training = StubTraining(epochs=6, early_stop_patience=2, early_stop_watch="error", early_stop_threshold=threshold)
    assert len(reports_of(stub_fit(task, training))) == epochs


@pytest.mark.parametrize(("precision", "dtype"), [("fp32", None), ("bf16", torch.bfloat16)])
def test_precision_of_the_forward_pass(precision, dtype):
    task = StubTask([0.1])
    reports_of(stub_fit(task, StubTraining(epochs=1, precision=precision)))
    assert task.autocast_dtypes == [dtype]
    assert task.net.weight.dtype == torch.float32


def test_other_splits_are_passed_through_only_when_asked_for():
    task = StubTask([0.1])
    (plain,) = reports_of(stub_fit(task, StubTraining(epochs=1)))
    assert task.asked == ["val"]
    task = StubTask([0.1])
    (more,) = reports_of(stub_fit(task, StubTraining(epochs=1, extra_passes=("train", "eval"))))
    assert task.asked == ["val", "train", "eval"]
    added = {key: more[key] for key in more.keys() - plain.keys()}
    assert added == {
        "train_pass_mAP@10": 0.25,
        "train_pass_loss": 0.75,
        "eval_pass_mAP@10": 0.25,
        "eval_pass_loss": 0.75,
    }
    assert more["train_loss"] == plain["train_loss"] == 1.0  # of the training batches, not of the pass


def test_a_long_epoch_says_where_it_stands(monkeypatch, capsys):
    monkeypatch.setattr("utils.model_utils.loop._HEARTBEAT_S", -1.0)
    stub_fit(StubTask(batches=2), StubTraining(epochs=1), sgd(1e-9)).train_epoch()
    assert capsys.readouterr().out.splitlines() == [
        "epoch 0: step 1/2, loss 1.0000",
        "epoch 0: step 2/2, loss 1.0000",
    ]


def test_validation_embeds_each_clip_and_caption_once(prepared):
    run = run_of(prepared, "data.max_duration_s=30", "training.epochs=1", "training.batch_size=2")
    fit = fit_of(run)
    seen = {"clips": 0, "captions": 0}

    def count(key):
        def hook(module, inputs):
            if not module.training:
                seen[key] += len(inputs[0])

        return hook

    encoder = fit.model["dual_encoder"]
    encoder.audio_encoder.register_forward_pre_hook(count("clips"))
    encoder.text_encoder.register_forward_pre_hook(count("captions"))
    reports_of(fit)
    assert seen == {"clips": 4, "captions": 8}  # of validation


def by_hand(text, audio, clip_of_caption):
    """Text to audio, one relevant clip a caption, stable ties."""
    order = np.argsort(-(text @ audio.T), axis=1, kind="stable")
    ranks = 1 + np.argmax(order == clip_of_caption[:, None], axis=1)
    recalls = {f"R@{k}": (ranks <= k).mean() for k in (1, 5, 10)}
    return {**recalls, "mAP@10": np.where(ranks <= 10, 1 / ranks, 0).mean(), "median_rank": np.median(ranks)}


def test_validation_metrics_equal_a_computation_by_hand(prepared):
    fit = fit_of(run_of(prepared, "training.epochs=2"))
    last = reports_of(fit)[-1]
    with torch.inference_mode():
        outputs = fit._task.outputs("val")
    assert {k: last[k] for k in ("R@1", "R@5", "R@10", "mAP@10", "median_rank")} == pytest.approx(
        by_hand(outputs.text, outputs.audio, outputs.clip_of_caption)
    )
    assert all(math.isfinite(value) for value in last.values())


def test_bf16_trains_on_the_cpu(prepared):
    run = run_of(prepared, "training.epochs=2", "training.precision=bf16")
    reports = reports_of(fit := fit_of(run))
    assert all(math.isfinite(r["train_loss"]) and math.isfinite(r["val_loss"]) for r in reports)
    assert {p.dtype for p in fit.model.parameters()} == {torch.float32}


@pytest.mark.parametrize("setting", ["training.device=cuda", "training.precision=fp16"])
def test_a_device_that_is_not_there_is_refused(setting, prepared, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UserError, match=setting.partition("=")[0].replace(".", r"\.") + ": "):
        fit_of(run_of(prepared, setting))
