import os
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.training import StubTask, StubTraining, reports_of, stub_fit
from utils.model_utils.epoch_costs import EpochCosts, costs_in_words, items_of

CPU = torch.device("cpu")


@pytest.fixture
def clock(monkeypatch):
    """Seconds that only the test moves on."""
    now = [0.0]
    monkeypatch.setattr("utils.model_utils.epoch_costs.time.perf_counter", lambda: now[0])
    return now


def test_items_and_waiting_of_an_epoch(clock):
    def batches():
        for rows in (4, 4, 2):
            clock[0] += 0.5  # to load it
            yield {"audio": torch.zeros(rows, 3), "lengths": torch.ones(rows)}

    costs = EpochCosts(CPU)
    for _ in costs.watched(batches()):
        clock[0] += 1.5  # to train on it
    assert costs.of_training(6.0) == {"items_per_s": 10 / 6, "waiting_share": 1.5 / 6}


def test_a_batch_has_as_many_items_as_its_longest_column():
    pairs = {"audio": torch.zeros(2, 9), "clip_ids": torch.zeros(5), "scale": torch.tensor(3.0)}
    assert items_of(pairs) == 5  # five captions of two clips
    assert items_of({"scale": torch.tensor(3.0)}) == 0


def test_memory_of_the_process_is_the_most_that_it_had():
    held = np.ones(40_000_000, np.uint8)
    resident = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e9
    peak = EpochCosts(CPU).peak_memory_gb()
    assert 0.9 * resident <= peak < 100  # the system counts some pages late
    assert len(held) / 1e9 < peak
    del held  # what is freed stays counted
    assert EpochCosts(CPU).peak_memory_gb() >= 0.9 * peak


def test_every_epoch_reports_them():
    reports = reports_of(stub_fit(StubTask([0.1, 0.2], batches=3), StubTraining(epochs=2)))
    for report in reports:
        assert report["items_per_s"] == pytest.approx(3 / report["train_s"])  # batches of one row
        assert 0 <= report["waiting_share"] <= 1
        assert report["peak_memory_gb"] > 0


@pytest.mark.parametrize(
    ("metrics", "words"),
    [
        ({"items_per_s": 431.4, "waiting_share": 0.031, "peak_memory_gb": 1.24}, ", 431 items/s, waiting 3 %, 1.2 GB"),
        ({"items_per_s": 0.345}, ", 0.34 items/s"),
        ({"epoch_s": 3.0}, ""),
    ],
)
def test_costs_in_the_line_of_an_epoch(metrics, words):
    assert costs_in_words(metrics) == words
