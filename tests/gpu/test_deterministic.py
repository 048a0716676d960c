"""`training.deterministic`: the same training twice, and a resumed one, are equal to the bit."""

import pytest
import torch

from tests.gpu.test_training import settings_for, trained
from tests.training import run_of


@pytest.fixture
def as_before():
    cudnn = torch.backends.cudnn
    before = cudnn.deterministic, cudnn.benchmark
    yield
    torch.use_deterministic_algorithms(False)
    cudnn.deterministic, cudnn.benchmark = before


@pytest.mark.parametrize("device", [pytest.param("cuda", marks=pytest.mark.gpu)], indirect=True)
@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_the_same_training_twice_and_a_resumed_one(precision, device, as_before, prepared, tmp_path):
    settings = ("training.deterministic=true", "training.ema=0.9", f"training.precision={precision}")
    run = run_of(prepared, *settings_for(device, "training.epochs=3", *settings))
    whole, reports = trained(run, tmp_path / "whole")
    again, _ = trained(run, tmp_path / "again")
    trained(run, tmp_path / "parts", stop_after=1)
    resumed, _ = trained(run, tmp_path / "parts")
    for other in (again, resumed):
        assert all(torch.equal(value, other[name]) for name, value in whole.items())
    print(
        f"{device.type} {precision}: {reports[-1]['items_per_s']:.0f} items/s, {reports[-1]['peak_memory_gb']:.2f} GB"
    )
