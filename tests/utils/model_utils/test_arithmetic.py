import os

import pytest
import torch

from tests.training import StubTask, StubTraining, reports_of, stub_fit
from utils.cli_utils import UserError
from utils.model_utils.arithmetic import set_arithmetic

CPU, GPU = torch.device("cpu"), torch.device("cuda")


@pytest.fixture(autouse=True)
def as_before(monkeypatch):
    """What is set here is of the whole process."""
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    cudnn = torch.backends.cudnn
    before = torch.get_float32_matmul_precision(), cudnn.allow_tf32, cudnn.deterministic, cudnn.benchmark
    fills = torch.utils.deterministic.fill_uninitialized_memory
    yield
    torch.set_float32_matmul_precision(before[0])
    cudnn.allow_tf32, cudnn.deterministic, cudnn.benchmark = before[1:]
    torch.use_deterministic_algorithms(False)
    torch.utils.deterministic.fill_uninitialized_memory = fills
    os.environ.pop("CUBLAS_WORKSPACE_CONFIG", None)


@pytest.mark.parametrize(("precision", "convolutions"), [("highest", False), ("high", True), ("medium", True)])
def test_products_of_a_gpu_have_so_many_bits(precision, convolutions):
    set_arithmetic(GPU, precision, deterministic=False)
    assert torch.get_float32_matmul_precision() == precision
    assert torch.backends.cudnn.allow_tf32 is convolutions
    assert not torch.are_deterministic_algorithms_enabled()


def test_a_cpu_computes_with_all_bits():
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    set_arithmetic(CPU, "medium", deterministic=False)
    assert (torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32) == before


def test_deterministic_is_of_the_whole_process():
    stub_fit(StubTask(), StubTraining(deterministic=True))
    assert torch.are_deterministic_algorithms_enabled()
    assert (torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark) == (True, False)
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"


class Putting(StubTask):
    """An operation that has no deterministic form, in training or in validation."""

    def __init__(self, where):
        super().__init__([0.1])
        self.where = where

    def losses(self, batch):
        return super().losses(self.put("losses", batch))

    def outputs(self, split):
        self.put("outputs", {})
        return super().outputs(split)

    def put(self, where, batch):
        if where == self.where:
            torch.zeros(2).put_(torch.tensor([0, 0]), torch.ones(2))
        return batch


@pytest.mark.parametrize("where", ["losses", "outputs"])
def test_an_operation_without_a_deterministic_form_gives_one_line(where):
    assert len(reports_of(stub_fit(Putting(where), StubTraining(epochs=1)))) == 1
    with pytest.raises(UserError) as error:
        reports_of(stub_fit(Putting(where), StubTraining(epochs=1, deterministic=True)))
    assert str(error.value) == (
        "training.deterministic: put_ has no form on this device (cpu) that gives the same bits twice; set "
        "training.deterministic: false, or use a model and criterion without it"
    )


def test_other_errors_are_what_they_are():
    class Broken(StubTask):
        def losses(self, batch):
            raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError, match="out of memory"):
        reports_of(stub_fit(Broken(), StubTraining(epochs=1, deterministic=True)))
