"""What a linear method of the same size explains: principal components of blocks of the input."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from models.autoencoders import Autoencoder
from tasks.music.clips import EvenWindows

# Numbers of training blocks that components are computed from: 134 MB in float32.
_MOST_NUMBERS = 2**25
_SPARE_COMPONENTS, _ITERATIONS = 10, 4  # of the randomised decomposition
_SEED = 0


class PcaReference(NamedTuple):
    """Principal components that hold as many numbers of a window as the autoencoder's code."""

    components: int  # of a block
    block: int  # frames or samples; 1 for features
    explained: float  # share of the variance of the blocks of another split


def pca_reference(model: Autoencoder, train: EvenWindows, other: EvenWindows) -> PcaReference | None:
    """Compute principal components on training blocks, and how much they explain of another split.

    A block is what one code of the autoencoder stands for; what is left of a window after whole blocks is not used.
    Global random numbers are not touched.

    Args:
        model: on the CPU or a GPU, in eval mode; its standardisation is used.
        train: windows of the training split.
        other: windows to explain.
    Returns:
        The reference; None where no window has a whole block.
    """
    block = block_length(model, train)
    total = int((train.windows.lengths // block).sum())
    if not total or not (other.windows.lengths // block).sum():
        return None
    fitted = _sample(blocks_of(model, train, block), total)
    mean = fitted.mean(0)
    components = min(model.latent_dim, *fitted.shape)
    directions = _components(fitted - mean, components)
    error = energy = 0.0
    for blocks in blocks_of(model, other, block):
        centred = blocks - mean
        energy += blocks.double().square().sum().item()
        error += (centred.double().square().sum() - (centred @ directions).double().square().sum()).item()
    return PcaReference(components, block, 1 - error / energy) if energy else None


def block_length(model: Autoencoder, windows: Iterable[tuple[Tensor, Tensor]]) -> int:
    """Compute how many frames or samples one code stands for, in the first batch of windows."""
    inputs, lengths = next(iter(windows))
    output = model(inputs.to(next(model.parameters()).device), lengths)
    return max(1, round(int(lengths.sum()) / int(output.steps.sum())))


def blocks_of(model: Autoencoder, windows: Iterable[tuple[Tensor, Tensor]], block: int) -> Iterator[Tensor]:
    """Cut standardised windows into blocks.

    Args:
        model: whose standardisation is used.
        windows: (B, T, F), (B, S) or (B, D), and (B,) lengths.
        block: frames or samples of one.
    Yields:
        (n, block * F), without blocks that reach into the padding.
    """
    device = next(model.parameters()).device
    for inputs, lengths in windows:
        values = model.standardised(inputs.to(device), lengths)
        if model.kind == "features":
            yield values
            continue
        count = values.shape[1] // block
        if not count:  # the ends of tracks alone, all shorter than a block
            continue
        whole = torch.arange(count, device=device) < (lengths.to(device) // block)[:, None]
        yield values[:, : count * block].reshape(len(values), count, -1)[whole]


def _sample(blocks: Iterable[Tensor], total: int) -> Tensor:
    """Every k-th of `total` blocks, as many as fit into memory."""
    taken: list[Tensor] = []
    place, step = 0, 1
    for part in blocks:
        if place == 0:
            step = max(1, -(-total * part.shape[1] // _MOST_NUMBERS))
        taken.append(part[-place % step :: step].clone())
        place += len(part)
    return torch.cat(taken)


def _components(centred: Tensor, components: int) -> Tensor:
    """(D, K) orthonormal directions of the largest variance of (n, D) vectors."""
    devices = [centred.device] if centred.is_cuda else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(_SEED)
        rank = min(components + _SPARE_COMPONENTS, *centred.shape)
        _, _, directions = torch.svd_lowrank(centred, q=rank, niter=_ITERATIONS)
    return directions[:, :components]
