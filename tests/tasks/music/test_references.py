"""The linear reference: components of blocks, against numpy's decomposition; and errors of hand-made windows."""

import numpy as np
import pytest
import torch

from tasks.music.clips import EvenWindows
from tasks.music.references import block_length, blocks_of, pca_reference
from tests.training import fit_of


def parts_of(music, kind, *settings):
    task = fit_of(music.run(kind, *settings))._task
    model = task.model().eval()
    train, val = (EvenWindows(task.data(role), 4, None) for role in ("train", "val"))
    return model, train, val


@pytest.mark.parametrize("kind", ["features", "wave", "logmel"])
def test_the_share_is_that_of_an_exact_decomposition(music, kind):
    model, train, val = parts_of(music, kind)
    before = torch.random.get_rng_state()
    with torch.inference_mode():
        found = pca_reference(model, train, val)
        block = block_length(model, train)
        fitted, other = (torch.cat(list(blocks_of(model, part, block))).double().numpy() for part in (train, val))
    assert torch.equal(before, torch.random.get_rng_state())
    assert block == {"features": 1, "wave": 64, "logmel": 4}[kind]
    mean = fitted.mean(0)
    directions = np.linalg.svd(fitted - mean, full_matrices=False)[2][: found.components]
    rest = (other - mean) - (other - mean) @ directions.T @ directions
    assert found.components == 4
    assert found.explained == pytest.approx(1 - (rest**2).sum() / (other**2).sum(), abs=0.01)


def test_blocks_leave_out_what_reaches_into_the_padding(music):
    model, *_ = parts_of(music, "logmel")
    with torch.inference_mode():
        windows = torch.arange(2 * 5 * 64, dtype=torch.float32).reshape(2, 5, 64)
        short = (windows[:, :1], torch.tensor([1, 1]))  # without a whole block
        (found,) = blocks_of(model, [short, (windows, torch.tensor([5, 3]))], 2)
        standardised = model.standardised(windows, torch.tensor([5, 3]))
    assert found.shape == (3, 128)
    assert torch.equal(found[0], standardised[0, :2].flatten())
    assert torch.equal(found[2], standardised[1, :2].flatten())


def test_windows_are_evenly_spaced_and_the_same_every_time(music):
    task = fit_of(music.run("logmel"))._task
    every = EvenWindows(task.data("train"), 4, None)
    some = EvenWindows(task.data("train"), 4, 5)
    assert len(every.windows.clips) > 12  # the long track has several
    assert len(some.windows.clips) == 5
    assert {0, len(task.data("train").clips) - 1} <= set(some.windows.clips.tolist())
    for (one, n), (two, m) in zip(some, some, strict=True):
        assert torch.equal(one, two)
        assert torch.equal(n, m)
    assert sum(len(lengths) for _, lengths in every) == len(every.windows.clips)
