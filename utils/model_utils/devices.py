"""Where and how precisely to compute."""

from __future__ import annotations

import contextlib
from typing import Literal

import torch
from torch import Tensor

from utils.cli_utils import UserError

Precision = Literal["fp32", "bf16", "fp16"]
DeviceName = Literal["auto", "cpu", "cuda"]

_DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


def choose_device(name: DeviceName, precision: Precision) -> torch.device:
    """The device to train on.

    Raises:
        UserError: cuda is set and there is none, or fp16 without cuda.
    """
    if name == "cuda" and not torch.cuda.is_available():
        raise UserError("training.device: cuda, but torch finds no GPU here; use auto or cpu, or install a CUDA build")
    device = torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")
    if precision == "fp16" and device.type == "cpu":
        raise UserError("training.precision: fp16 needs a GPU, found none; use bf16 or fp32")
    return device


def precision_on(device: torch.device, precision: Precision) -> Precision:
    """The precision in which a frozen encoder computes: as set on a GPU, and fp32 on a CPU."""
    return precision if device.type != "cpu" else "fp32"


def autocast(device: torch.device, precision: Precision) -> contextlib.AbstractContextManager[None]:
    """Mixed precision for the forward pass; nothing for fp32."""
    if precision == "fp32":
        return contextlib.nullcontext()
    return torch.autocast(device.type, dtype=_DTYPES[precision])


def to_device(batch: dict[str, Tensor], device: torch.device) -> dict[str, Tensor]:
    """The batch on the device; copies from pinned memory overlap with computing.

    `lengths` stay on the CPU, where encoders look at them without waiting for the device.
    """
    if device.type == "cpu":
        return batch
    return {k: v if k == "lengths" else v.to(device, non_blocking=True) for k, v in batch.items()}
