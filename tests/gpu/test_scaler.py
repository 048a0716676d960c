"""fp16 with its scaler, step by step: one weight w, the loss (w x)^2, whose gradient is 2 w x^2."""

import pytest
import torch

from tests.training import StubLoader, StubTask, StubTraining, stub_fit

LR = 0.1
SCALE = 2.0**16  # where GradScaler starts
OVERFLOWS = 1e3  # 2 w x scale, the gradient of the layer's output, is 1.3e8; fp16 ends at 65504
SMALL = 0.25


class Batches(StubLoader):
    """One batch for each of the inputs."""

    def __init__(self, *inputs):
        super().__init__(0.0, len(inputs))
        self.inputs = inputs

    def __iter__(self):
        return iter([{"x": torch.full((1, 1), x)} for x in self.inputs])


class HalfTask(StubTask):
    """The layer in half precision, the loss in single precision: a loss of 1e6 is finite."""

    def losses(self, batch):
        return {"loss": self.net(batch["x"]).float().square().mean()}


def fit_on(device, *inputs, **settings):
    task = HalfTask()
    task.loader = Batches(*inputs)
    training = StubTraining(device=device.type, precision="fp16", **settings)
    return task, stub_fit(task, training)


def test_the_forward_pass_is_in_half_precision(device):
    task, fit = fit_on(device, SMALL)
    seen = []
    task.net.register_forward_hook(lambda module, inputs, output: seen.append((output.dtype, output.device.type)))
    fit.train_epoch()
    assert seen == [(torch.float16, device.type)]
    assert (task.net.weight.dtype, task.net.weight.device.type) == (torch.float32, device.type)
    assert task.net.weight.grad.dtype == torch.float32


def test_a_step_that_overflows_is_skipped_and_the_next_one_is_taken(device):
    task, fit = fit_on(device, OVERFLOWS, clip_grad_norm=None)
    means = fit.train_epoch()
    assert task.weight == 1.0
    assert fit.state({})["scaler"]["scale"] == SCALE / 2
    assert means["loss"] == pytest.approx(OVERFLOWS**2, rel=1e-3)
    task.loader.inputs = (SMALL,)
    fit.train_epoch()
    assert task.weight == pytest.approx(1 - LR * 2 * SMALL**2, rel=1e-3)
    assert fit.state({})["scaler"]["scale"] == SCALE / 2


def test_gradients_are_clipped_after_they_are_scaled_back(device):
    """The gradient is 0.125: clipped to 0.05 it moves w by 0.005; clipped while scaled it would move it by 1e-7."""
    task, fit = fit_on(device, SMALL, clip_grad_norm=0.05)
    fit.train_epoch()
    assert task.weight == pytest.approx(1 - LR * 0.05, rel=1e-5)


def test_a_gradient_that_fp16_alone_would_lose_is_kept(device):
    """2 w x^2 = 2e-8 is below the least number of fp16, 6e-8; scaled, it is above."""
    task, fit = fit_on(device, 1e-4, clip_grad_norm=None)
    fit.train_epoch()
    assert task.net.weight.grad.item() == pytest.approx(2e-8, rel=0.01)
    task.net.weight.data.fill_(1.0)
    task.net.weight.grad = None
    with torch.autocast(device.type, dtype=torch.float16):
        loss = task.losses({"x": torch.full((1, 1), 1e-4, device=device)})["loss"]
    loss.backward()
    assert task.net.weight.grad.item() == 0


def test_the_scale_goes_on_after_a_resume(device, tmp_path):
    _, fit = fit_on(device, OVERFLOWS, epochs=1, clip_grad_norm=None)
    fit.run(lambda metrics, save: save(tmp_path / "checkpoint_000000"), {})
    _, resumed = fit_on(device, OVERFLOWS, epochs=2, clip_grad_norm=None)
    resumed.restore([tmp_path / "checkpoint_000000"])
    assert resumed.state({})["scaler"] == fit.state({})["scaler"]
    assert resumed.state({})["scaler"]["scale"] == SCALE / 2
    resumed.run(lambda metrics, save: None, {})
    assert resumed.state({})["scaler"]["scale"] == SCALE / 4
