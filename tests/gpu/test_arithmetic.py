"""With how many bits products are computed, and which optimizers are fused."""

import pytest
import torch

from tests.training import StubTask, StubTraining, reports_of, stub_fit
from utils.model_utils.arithmetic import set_arithmetic


@pytest.fixture
def as_before():
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    yield
    torch.set_float32_matmul_precision(before[0])
    torch.backends.cudnn.allow_tf32 = before[1]


@pytest.mark.parametrize(("precision", "error"), [("highest", 1e-5), ("high", 1e-2), ("medium", 1e-1)])
def test_products_of_float32(precision, error, device, as_before):
    """A CPU has all bits whatever is set; how far a GPU is off depends on its kind: the bound is of the worst."""
    numbers = torch.Generator().manual_seed(0)
    one, two = (torch.randn(256, 256, generator=numbers) for _ in range(2))
    maps, kernels = torch.randn(2, 16, 32, 32, generator=numbers), torch.randn(16, 16, 3, 3, generator=numbers)
    set_arithmetic(device, precision, deterministic=False)
    for name, function, pair in (
        ("matrices", torch.mm, (one, two)),
        ("convolution", torch.nn.functional.conv2d, (maps, kernels)),
    ):
        exact = function(*(each.double() for each in pair))
        found = function(*(each.to(device) for each in pair)).cpu()
        off = ((found - exact).norm() / exact.norm()).item()
        print(f"{device.type} {precision}: {name} off by {off:.1e}")
        assert off < (error if device.type == "cuda" else 1e-5)


def test_optimizers_are_fused_on_a_gpu(device, as_before):
    task = StubTask([0.1])
    fit = stub_fit(task, StubTraining(device=device.type, epochs=1))
    assert fit._optimizer.param_groups[0]["fused"] is (True if device.type == "cuda" else None)
    reports_of(fit)
    assert task.weight < 1
