import pytest
import torch

from tests.training import StoppedError, StubTask, StubTraining, differences, keep_checkpoints, stub_fit
from utils.cli_utils import ArtefactError
from utils.model_utils import read_checkpoint
from utils.model_utils.averaging import AveragedWeights, averaged_tensors
from utils.model_utils.optimisation import SGDSpec
from utils.model_utils.trials import checkpoint_folders

# loss (w x)^2 with x = 1 and a learning rate of 0.25: every step halves w
SGD = SGDSpec(name="SGD", lr=0.25, momentum=0.0)


class Task(StubTask):
    """Notes the weight that is validated."""

    def __init__(self):
        super().__init__(batches=2)
        self.validated = []

    def outputs(self, split):
        self.validated.append(self.weight)
        return super().outputs(split)


def fit_with(ema, epochs=1):
    task = Task()
    return task, stub_fit(task, StubTraining(epochs=epochs, ema=ema, clip_grad_norm=None), SGD)


def train(ema, folder, epochs=3, stop_after=None):
    """Goes on from the folder's checkpoints; returns the task and the state after the last epoch."""
    task, fit = fit_with(ema, epochs)
    fit.restore(checkpoint_folders(folder) if folder.is_dir() else [])
    try:
        fit.run(keep_checkpoints(folder, stop_after), {})
    except StoppedError:
        assert stop_after is not None
    return task, fit.state({})


def test_the_averages_by_hand(tmp_path):
    """Decays of 2/11 and 3/12: both are below 0.5."""
    first = 2 / 11 * 1 + 9 / 11 * 0.5
    second = 3 / 12 * first + 9 / 12 * 0.25
    task, state = train(0.5, tmp_path / "a", epochs=1)
    assert task.validated == [pytest.approx(second)]
    assert task.weight == 0.25  # training goes on with its own weights
    saved = read_checkpoint(tmp_path / "a" / "checkpoint_000000")
    assert saved["model"]["weight"].item() == pytest.approx(second)  # what everything after training loads
    assert saved["ema"]["trained"]["weight"].item() == 0.25
    assert saved["ema"]["updates"] == 2
    assert differences(state["model"], saved["model"]) == []


def test_the_decay_is_the_smaller_one():
    model = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.ones_(model.weight)
    averages = AveragedWeights(model, 0.1)
    torch.nn.init.zeros_(model.weight)
    averages.update()  # 2/11 would be more than 0.1
    with averages.in_use():
        assert model.weight.item() == pytest.approx(0.1)
    assert model.weight.item() == 0


def test_a_resume_is_exact(tmp_path):
    _, whole = train(0.9, tmp_path / "whole")
    train(0.9, tmp_path / "parts", stop_after=1)
    _, resumed = train(0.9, tmp_path / "parts")
    assert differences(whole, resumed) == []
    assert not torch.equal(whole["model"]["weight"], whole["ema"]["trained"]["weight"])


def test_a_checkpoint_without_averages_goes_on_with_them(tmp_path, capsys):
    train(None, tmp_path / "trial", stop_after=1)
    capsys.readouterr()
    task, state = train(0.9, tmp_path / "trial", epochs=2)
    assert capsys.readouterr().out.splitlines()[0] == (
        "training.ema: the checkpoint holds no averaged weights; they start from its weights"
    )
    assert state["ema"]["updates"] == 2
    assert task.weight == 0.25**2
    first = 2 / 11 * 0.25 + 9 / 11 * 0.125  # from 0.25, after the two steps of the first epoch
    assert task.validated == [pytest.approx(3 / 12 * first + 9 / 12 * 0.0625)]


def test_a_checkpoint_with_averages_goes_on_without_them(tmp_path, capsys):
    train(0.9, tmp_path / "trial", stop_after=1)
    capsys.readouterr()
    task, state = train(None, tmp_path / "trial", epochs=2)
    assert capsys.readouterr().out.splitlines()[0] == (
        "training.ema: the checkpoint holds averaged weights; without ema, the trained ones go on"
    )
    assert task.validated == [0.25**2]
    assert "ema" not in state


def test_statistics_of_batch_norm_are_averaged_and_what_does_not_learn_is_not():
    model = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.BatchNorm1d(2), torch.nn.Linear(2, 2))
    model[0].requires_grad_(False)
    names = {"1.weight", "1.bias", "1.running_mean", "1.running_var", "2.weight", "2.bias"}
    assert averaged_tensors(model).keys() == names
    averages = AveragedWeights(model, 0.5)
    model.train()(torch.tensor([[0.0, 1.0], [2.0, 5.0]]))
    after = model[1].running_mean.clone()
    averages.update()
    with averages.in_use():
        torch.testing.assert_close(model[1].running_mean, 9 / 11 * after)  # it was 0
        assert model[1].num_batches_tracked == 1
    assert torch.equal(model[1].running_mean, after)


@pytest.mark.parametrize(
    ("section", "message"),
    [
        (3, "'ema' has no trained weights by name"),
        ({"trained": {"weight": torch.ones(1, 1)}}, "'ema' has no number of updates"),
        ({"trained": {}, "updates": 1}, "does not fit the model"),
        ({"trained": {"weight": torch.ones(2, 1)}, "updates": 1}, "does not fit the model"),
    ],
)
@pytest.mark.parametrize("ema", [None, 0.9])
def test_broken_averages_are_refused(section, message, ema, tmp_path):
    _, state = train(0.9, tmp_path / "trial", epochs=1)
    task, fit = fit_with(ema)
    with pytest.raises(ArtefactError, match=message):
        fit._load({**state, "ema": section}, tmp_path / "checkpoint.pt")
    assert task.weight == 1
