"""Batches that are copied while the step before computes, and the time that the device waits for them."""

import time

import torch

from utils.model_utils.epoch_costs import EpochCosts
from utils.model_utils.prefetching import on_device

ROWS = 4096


def batches(count, load_s=0.0):
    for number in range(count):
        time.sleep(load_s)  # reading it
        yield {"audio": torch.full((ROWS, 64), float(number)), "lengths": torch.full((ROWS,), number)}


def test_every_batch_arrives_whole_while_the_device_computes(device):
    """Long enough that a copy into memory that is still read, or read before it is whole, would be seen."""
    busy = torch.randn(1024, 1024, device=device)
    sums = []
    for batch in on_device(batches(20), device):
        assert {name: value.device.type for name, value in batch.items()} == {"audio": device.type, "lengths": "cpu"}
        for _ in range(20 if device.type == "cuda" else 0):
            busy = torch.tanh(busy @ busy)
        sums.append(batch["audio"].sum())
    assert [value.item() for value in sums] == [64 * ROWS * number for number in range(20)]


def test_waiting_for_slow_batches_is_measured(device):
    costs = EpochCosts(device)
    started = time.perf_counter()
    for batch in costs.watched(on_device(batches(10, load_s=0.02), device)):
        batch["audio"].square().sum()
    seconds = time.perf_counter() - started
    found = costs.of_training(seconds)
    print(f"{device.type}: waiting {found['waiting_share']:.3f} of {seconds:.3f} s, {costs.peak_memory_gb():.3f} GB")
    assert found["waiting_share"] > 0.5
    assert found["items_per_s"] == 10 * ROWS / seconds
    assert costs.peak_memory_gb() > 64 * ROWS * 4 / 1e9
