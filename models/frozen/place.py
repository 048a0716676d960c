"""Where a frozen encoder computes for stage 1."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import torch

from models.frozen.base import Encoder, load_same
from utils.executors import Executor, Held, Processes


class EncoderPlace(NamedTuple):
    """What runs an encoder, and on which device.

    Attributes:
        executor: what runs it.
        device: of each process that embeds.
        here: the device on which this process loads the encoder, to describe it; where it is `device`, to embed too.
        workers: threads that decode, in each process that embeds.
    """

    executor: Executor
    device: torch.device
    here: torch.device
    workers: int

    def held(self, load: Callable[..., Encoder], encoder: Encoder) -> Held[Encoder]:
        """The encoder for the work of the executor.

        Args:
            load: picklable; loads it on a `device`.
            encoder: as it was loaded `here`.
        """
        return Held(partial(load_same, partial(load, device=self.device), encoder.revision), encoder)


def place_here(device: torch.device, workers: int = 1) -> EncoderPlace:
    """This process.

    Args:
        device: of the network.
        workers: threads that decode.
    """
    return EncoderPlace(Processes(), device, device, workers)
