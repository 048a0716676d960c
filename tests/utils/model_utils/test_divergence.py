import math

import pytest
import torch

from tests.training import StubLoader, StubTask, StubTraining, fit_of, reports_of, run_of, stub_fit
from tests.utils.model_utils.test_loop import sgd
from utils.cli_utils import UserError
from utils.model_utils import DivergedError
from utils.model_utils.divergence import CHECK_EVERY, FiniteCheck


class BreakingLoader(StubLoader):
    """Gives `x` up to a batch, and another value from it on; counts what was taken."""

    def __init__(self, batches, at, x):
        super().__init__(1.0, batches)
        self.at, self.broken, self.taken = at, x, 0

    def __iter__(self):
        for number in range(1, self.batches + 1):
            self.taken = number
            yield {"x": torch.full((1, 1), self.broken if number >= self.at else self.x)}


def breaking_fit(batches, at, x=math.nan, lr=1e-3, **settings):
    task = StubTask([0.1, 0.1])
    task.loader = BreakingLoader(batches, at, x)
    return stub_fit(task, StubTraining(**{"epochs": 2, **settings}), sgd(lr)), task.loader


@pytest.mark.parametrize("clip", [None, 1.0])
@pytest.mark.parametrize(("batches", "at", "taken"), [(200, 60, 100), (200, 100, 100), (70, 60, 70), (3, 3, 3)])
def test_a_loss_that_is_not_finite_ends_the_epoch_within_fifty_steps(batches, at, taken, clip):
    assert CHECK_EVERY == 50
    fit, loader = breaking_fit(batches, at, clip_grad_norm=clip)
    with pytest.raises(DivergedError) as error:
        reports_of(fit)
    assert loader.taken == taken
    assert str(error.value) == (
        f"epoch 1, step {at} of {batches}: the loss is nan: training has diverged; lower optimizer.lr or "
        f"{'set' if clip is None else 'lower'} training.clip_grad_norm"
    )
    assert isinstance(error.value, UserError)


@pytest.mark.parametrize("clip", [None, 1.0])
def test_a_gradient_that_is_not_finite_is_noticed_too(clip):
    """(w x)^2 of 1e10 fits into float32 at x = 1e5; of its square root at 0 the gradient does not."""

    class Root(StubTask):
        def losses(self, batch):
            return {"loss": (self.net(batch["x"]) * 0).square().sum().sqrt()}  # 0, with the slope 0 * infinity

    fit = stub_fit(Root([0.1]), StubTraining(epochs=1, clip_grad_norm=clip), sgd(1.0))
    with pytest.raises(DivergedError, match=r"epoch 1, step 1 of 1: the norm of the gradient is nan: training has div"):
        reports_of(fit)


def test_a_loss_that_overflows_is_told_with_its_value():
    fit, _ = breaking_fit(2, 2, x=1e30, precision="bf16")
    with pytest.raises(
        DivergedError, match=r"step 2 of 2: the loss is inf: .*lower training\.clip_grad_norm or use .*precision=fp32$"
    ):
        reports_of(fit)


def test_single_bad_steps_of_fp16_are_left_out_of_the_mean():
    check = FiniteCheck(epoch=1, steps=4, precision="fp16", clips=False)
    for loss, norm in ((1.0, 1.0), (math.inf, math.nan), (3.0, math.inf), (2.0, 1.0)):
        check.add({"loss": torch.tensor(loss)}, torch.tensor(norm))
    assert check.check(scale=2.0**15) == {"loss": 2.0}


def test_fp16_that_skips_every_step_has_diverged():
    """A scaler halves its scale at each skipped step, from 2^16."""
    scaler = torch.amp.GradScaler("cpu")
    check = FiniteCheck(epoch=2, steps=100, precision="fp16", clips=True)
    weight = torch.nn.Parameter(torch.ones(1))
    optimizer = torch.optim.SGD([weight], lr=0.1)

    def skip() -> None:
        weight.grad = None
        scaler.scale(weight.sum() * math.nan).backward()
        scaler.step(optimizer)
        scaler.update()
        check.add({"loss": torch.tensor(math.nan)}, None)
        check.check(scaler.get_scale())

    for _ in range(36):
        skip()
    with pytest.raises(DivergedError, match=r"epoch 2: fp16 has skipped step after step, down to a scale of 5e-07"):
        skip()
    assert weight.item() == 1.0


def test_an_epoch_of_skipped_steps_has_no_mean():
    check = FiniteCheck(epoch=1, steps=1, precision="fp16", clips=False)
    check.add({"loss": torch.tensor(math.inf)}, None)
    assert math.isnan(check.check(scale=2.0**15)["loss"])


def test_the_mean_counts_each_step_once_however_often_it_is_looked_at():
    check = FiniteCheck(epoch=1, steps=3, precision="fp32", clips=True)
    check.add({"loss": torch.tensor(1.0), "l1": torch.tensor(0.5)}, torch.tensor(1.0))
    assert check.check(1.0) == {"loss": 1.0, "l1": 0.5}
    assert check.check(1.0) == {"loss": 1.0, "l1": 0.5}
    check.add({"loss": torch.tensor(2.0), "l1": torch.tensor(1.5)}, None)
    check.add({"loss": torch.tensor(6.0), "l1": torch.tensor(math.inf)}, torch.tensor(1.0))
    assert check.check(1.0) == {"loss": 3.0, "l1": 1.0}  # only `loss` has to be finite


def test_embeddings_that_are_not_finite_end_the_trial_as_diverged(prepared):
    fit = fit_of(run_of(prepared, "training.epochs=1"))

    def spoil(module, inputs, output):
        if not module.training:
            output[0, 0] = math.inf

    fit.model["dual_encoder"].text_encoder.register_forward_hook(spoil)
    with pytest.raises(
        DivergedError, match=r"^epoch 1: the embedding of \S+ holds (inf|nan): training has diverged; low"
    ):
        reports_of(fit)


def test_batches_count_by_their_weight():
    """A mean over tokens is one over all tokens of the epoch, not one over batches; a loss that fp16 skips has none."""
    check = FiniteCheck(epoch=1, steps=3, precision="fp16", clips=False)
    for loss, tokens in ((2.0, 10.0), (4.0, 30.0), (math.inf, 5.0)):
        check.add({"loss": torch.tensor(loss), "weight": torch.tensor(tokens), "other": torch.tensor(1.0)}, None)
    assert check.check(1.0) == {"loss": (2 * 10 + 4 * 30) / 40, "other": 1.0}
    plain = FiniteCheck(epoch=1, steps=2, precision="fp32", clips=False)
    for loss in (2.0, 4.0):
        plain.add({"loss": torch.tensor(loss)}, None)
    assert plain.check(1.0) == {"loss": 3.0}
