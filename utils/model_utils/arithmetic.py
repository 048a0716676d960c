"""How a device computes: with how many bits it multiplies, and whether a run can be repeated to the last bit."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from typing import Literal

import torch

from utils.cli_utils import UserError

MatmulPrecision = Literal["highest", "high", "medium"]

_REFUSAL = re.compile(r"^(\S+) does not have a deterministic implementation")


def set_arithmetic(device: torch.device, precision: MatmulPrecision, *, deterministic: bool) -> None:
    """Set how this process computes from here on; call it before the device has computed anything.

    Args:
        device: a CPU always multiplies float32 with all its bits.
        precision: of products of float32 on a GPU: `highest`: 24 bits; `high`: TF32, 11 bits, in matrix products and
            convolutions (torch itself does so in convolutions alone); `medium`: matrix products in bfloat16, 8 bits.
        deterministic: every sum in a fixed order; an operation that has none is refused, see `refusing_in_words`.
    """
    if device.type == "cuda":
        torch.set_float32_matmul_precision(precision)
        torch.backends.cudnn.allow_tf32 = precision != "highest"
    if deterministic:
        # cuBLAS reads it with its first product: with workspaces of a fixed size its sums have a fixed order
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True)
        torch._C._set_deterministic_fill_uninitialized_memory(False)  # it finds mistakes, and takes time
        torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = True, False


@contextlib.contextmanager
def refusing_in_words(device: torch.device) -> Iterator[None]:
    """Turn torch's refusal of an operation in the block into one line.

    Raises:
        UserError: an operation has no form with a fixed order.
    """
    try:
        yield
    except RuntimeError as error:
        refused = _REFUSAL.match(str(error))
        if refused is None:
            raise
        raise UserError(
            f"training.deterministic: {refused[1]} has no form on this device ({device.type}) that gives the same bits "
            "twice; set training.deterministic: false, or use a model and criterion without it"
        ) from error
