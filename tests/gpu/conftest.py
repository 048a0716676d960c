"""Every test here runs on the CPU, where the same code computes, and, marked `gpu`, on a CUDA device too.

.venv/bin/python -m pytest -m gpu -rP        on a machine with a GPU; -rP shows the figures that the tests print
"""

import os
from collections.abc import Iterator

# read when cuBLAS starts: without it some of its sums are in no fixed order
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")

import pytest
import torch


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def device(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> torch.device:
    """Where the test computes.

    On the CPU the loop is told that it has no GPU, also where there is one, and takes fp16 there, which its users
    cannot: torch computes it, only slowly, and so what surrounds it is tested without a GPU too.
    """
    device = torch.device(request.param)
    if device.type == "cpu":
        monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
        monkeypatch.setattr("utils.model_utils.loop.choose_device", lambda name, precision: device)
    return device


@pytest.fixture
def deterministic() -> Iterator[None]:
    """Kernels whose sums have a fixed order, where there are such; torch warns of those that have none."""
    cudnn = torch.backends.cudnn
    before = torch.are_deterministic_algorithms_enabled(), cudnn.deterministic, cudnn.benchmark
    torch.use_deterministic_algorithms(True, warn_only=True)
    cudnn.deterministic, cudnn.benchmark = True, False
    yield
    torch.use_deterministic_algorithms(before[0])
    cudnn.deterministic, cudnn.benchmark = before[1:]
