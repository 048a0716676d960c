"""PANNs' networks written down plainly from the paper and its layer tables: no lengths, no masks."""

import numpy as np
import torch
from torch import Tensor, nn

from utils.audio_utils import FrontEnd, mel_filters


def _block(c_in: int, c_out: int, kernels: tuple[int, ...], stride: int = 1) -> nn.Module:
    block = nn.Module()
    for number, kernel in enumerate(kernels, start=1):
        step = stride if number == 1 else 1
        block.add_module(f"conv{number}", nn.Conv2d(c_in, c_out, kernel, step, kernel // 2, bias=False))
        block.add_module(f"bn{number}", nn.BatchNorm2d(c_out))
        c_in = c_out
    return block


class PlainPANNs(nn.Module):
    """Features (B, T, F), every frame a clip's own -> PANNs' embedding (B, C)."""

    def __init__(
        self,
        kernels: tuple[tuple[int, ...], ...],  # of each block
        pools: tuple[int, ...],
        base: int = 64,
        n_mels: int = 64,
        stride: int = 1,  # of the first convolution
    ) -> None:
        super().__init__()
        self.pools = pools
        self.bn0 = nn.BatchNorm2d(n_mels)
        c_in = 1
        for number in range(1, len(pools) + 1):
            c_out = base * 2 ** (number - 1)
            self.add_module(f"conv_block{number}", _block(c_in, c_out, kernels[number - 1], stride if c_in == 1 else 1))
            c_in = c_out
        self.fc1 = nn.Linear(c_in, c_in)

    def forward(self, features: Tensor) -> Tensor:
        layers = dict(self.named_modules())
        x = self.bn0(features[:, None].transpose(1, 3)).transpose(1, 3)
        for number, pool in enumerate(self.pools, start=1):
            for name in ("1", "2"):
                if f"conv_block{number}.conv{name}" in layers:
                    x = layers[f"conv_block{number}.conv{name}"](x)
                    x = torch.relu(layers[f"conv_block{number}.bn{name}"](x))
            x = nn.functional.avg_pool2d(x, (pool, pool))
        x = x.mean(dim=3)
        x = x.max(dim=2).values + x.mean(dim=2)
        return torch.relu(self.fc1(x))


PLAIN = {
    "CNN14Encoder": (((3, 3),) * 6, (2, 2, 2, 2, 2, 1), 1),
    "CNN10Encoder": (((3, 3),) * 4, (2, 2, 2, 2), 1),
    "CNN8Encoder": (((7,), (3, 3), (3, 3), (3,)), (2, 2, 2, 1), 2),  # ours, not PANNs'
    "CNN6Encoder": (((5,),) * 4, (2, 2, 2, 2), 1),
}


def plain_panns(name: str, base: int = 64, n_mels: int = 64) -> PlainPANNs:
    kernels, pools, stride = PLAIN[name]
    return PlainPANNs(kernels, pools, base, n_mels, stride)


def randomise(network: nn.Module, seed: int = 0) -> None:
    """Random batch-norm parameters and statistics, as training leaves them."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.weight.uniform_(0.5, 1.5, generator=generator)
                module.bias.normal_(0, 0.3, generator=generator)
                module.running_mean.normal_(0, 0.3, generator=generator)
                module.running_var.uniform_(0.5, 2, generator=generator)


PANNS = FrontEnd.model_validate({"name": "panns"})


def front_end_weights(front_end: FrontEnd) -> dict[str, Tensor]:
    """The front-end that a network of PANNs carries: the windowed Fourier basis (one row of it) and mel filters."""
    size = front_end.fft_size
    return {
        "spectrogram_extractor.stft.conv_real.weight": torch.hann_window(size)[None, None].repeat(2, 1, 1),
        "logmel_extractor.melW": torch.from_numpy(mel_filters(front_end)).T.contiguous(),
    }


def checkpoint(name: str, base: int = 64, seed: int = 0, front_end: FrontEnd = PANNS) -> dict:
    """What PANNs publish: the network with its front-end and classifier, the iteration, and the sampler's arrays."""
    torch.manual_seed(seed)
    network = plain_panns(name, base, front_end.n_mels)
    randomise(network, seed)
    state = (
        network.state_dict()
        | front_end_weights(front_end)
        | {"fc_audioset.weight": torch.randn(7, network.fc1.out_features), "fc_audioset.bias": torch.randn(7)}
    )
    sampler = {"indexes": np.arange(9), "pointer": np.int64(3), "queue": [np.arange(2), np.zeros(2)]}
    return {"iteration": 600_000, "model": dict(state), "sampler": sampler}


def network_of(content: dict) -> dict[str, Tensor]:
    """The tensors of such a checkpoint that are the network's, without front-end and classifier."""
    left_out = ("spectrogram_extractor.", "logmel_extractor.", "fc_audioset.")
    return {key: value for key, value in content["model"].items() if not key.startswith(left_out)}
