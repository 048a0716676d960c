"""Random states of the device, and batches on their way to it."""

import pytest
import torch

from tests.training import run_of
from utils.model_utils import to_device
from utils.model_utils.random_states import random_state, restore_random_state


def draw(device):
    return torch.rand(5, device=device), torch.nn.functional.dropout(torch.ones(50, device=device))


def test_random_states_go_on_where_they_were(device, tmp_path):
    torch.manual_seed(3)
    draw(device)
    state = random_state()
    assert len(state["cuda"]) == (torch.cuda.device_count() if device.type == "cuda" else 0)
    wanted = draw(device)
    draw(device)
    torch.save(state, tmp_path / "state")
    torch.manual_seed(4)
    restore_random_state(torch.load(tmp_path / "state", weights_only=True), tmp_path / "state")
    for found, expected in zip(draw(device), wanted, strict=True):
        assert torch.equal(found, expected)


def test_states_of_another_number_of_gpus_are_named(device, tmp_path, capsys):
    torch.manual_seed(3)
    state = random_state()
    state["cuda"] = [*state["cuda"], torch.get_rng_state(), torch.get_rng_state()]
    here = torch.cuda.device_count() if device.type == "cuda" else 0
    restore_random_state(state, tmp_path / "state")
    assert f"the random states of {here + 2} GPUs, here are {here}" in capsys.readouterr().out


@pytest.mark.parametrize("workers", [0, 1])
def test_batches_are_pinned_and_arrive_whole(workers, device, prepared):
    """The copies overlap with computing: the host's memory may be used again only after they are done."""
    loader = run_of(prepared, f"data.workers={workers}").build().loaders()["train"]
    loader.set_epoch(1)
    pairs = []
    for batch in loader:
        assert all(value.is_pinned() == (device.type == "cuda") for value in batch.values())
        pairs.append((batch, to_device(batch, device)))
    assert len(pairs) > 1
    for batch, moved in pairs:
        assert moved.keys() == batch.keys()
        for name, value in batch.items():
            assert moved[name].device.type == ("cpu" if name == "lengths" else device.type), name
            assert torch.equal(moved[name].cpu(), value), name
