import contextlib

import pytest
import torch

from utils.cli_utils import UserError
from utils.model_utils import autocast, choose_device, to_device


@pytest.fixture
def without_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


def test_auto_and_cpu_without_gpu(without_gpu):
    assert choose_device("auto", "fp32") == torch.device("cpu")
    assert choose_device("cpu", "bf16") == torch.device("cpu")


def test_auto_takes_the_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert choose_device("auto", "fp16").type == "cuda"
    assert choose_device("cpu", "fp32").type == "cpu"


def test_cuda_without_gpu_is_refused(without_gpu):
    with pytest.raises(UserError, match=r"training\.device: cuda, but torch finds no GPU here; use auto or cpu"):
        choose_device("cuda", "fp32")


@pytest.mark.parametrize("device", ["auto", "cpu"])
def test_fp16_without_gpu_is_refused(device, without_gpu):
    with pytest.raises(UserError, match=r"training\.precision: fp16 needs a GPU, found none; use bf16 or fp32"):
        choose_device(device, "fp16")


def test_autocast_computes_in_the_precision():
    ones = torch.ones(2, 2)
    with autocast(torch.device("cpu"), "bf16"):
        assert (ones @ ones).dtype == torch.bfloat16
    assert isinstance(autocast(torch.device("cpu"), "fp32"), contextlib.nullcontext)


def test_lengths_stay_on_the_cpu():
    moved = to_device({"audio": torch.ones(2), "lengths": torch.ones(2)}, torch.device("meta"))
    assert (moved["audio"].device.type, moved["lengths"].device.type) == ("meta", "cpu")
    batch = {"audio": torch.ones(2)}
    assert to_device(batch, torch.device("cpu")) is batch
