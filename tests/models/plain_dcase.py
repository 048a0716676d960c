"""The DCASE 2023 baseline's CNN14 written down plainly from its layer table: one sequence, no lengths, no masks."""

import torch
from torch import Tensor, nn


class PlainDCASE(nn.Module):
    """Log-mels (B, T, F), every frame a clip's own -> (B, out_dim); keys `bn0`, `cnn.N`, `fc.1`, `fc2`.

    The baseline takes no clip shorter than 64 frames; here zeros behind bn0 complete one, as in this project.
    """

    def __init__(self, out_dim: int, base: int = 64, n_mels: int = 64) -> None:
        super().__init__()
        self.bn0 = nn.BatchNorm2d(n_mels)
        layers: list[nn.Module] = []
        c_in = 1
        for number in range(6):
            c_out = base * 2**number
            for channels in (c_in, c_out):
                layers += [nn.Conv2d(channels, c_out, 3, padding=1, bias=False), nn.BatchNorm2d(c_out), nn.ReLU()]
            layers += [nn.AvgPool2d(2), nn.Identity()]  # Identity in place of dropout
            c_in = c_out
        self.cnn = nn.Sequential(*layers)
        self.fc = nn.Sequential(nn.Identity(), nn.Linear(c_in, c_in), nn.ReLU())
        self.fc2 = nn.Linear(c_in, out_dim)

    def forward(self, features: Tensor) -> Tensor:
        return self.fc2(self.embed(features))

    def embed(self, features: Tensor) -> Tensor:
        x = self.bn0(features[:, None].transpose(1, 3)).transpose(1, 3)
        x = nn.functional.pad(x, (0, 0, 0, max(64 - x.shape[2], 0)))
        x = self.cnn(x).mean(dim=3)
        return self.fc(x.amax(dim=2) + x.mean(dim=2))


def panns_names(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same weights by the names of this project's encoder."""
    names = {"fc.1": "fc1", "fc2": "fc_out", "bn0": "bn0"}
    for block in range(6):
        for offset, name in ((0, "conv1"), (1, "bn1"), (3, "conv2"), (4, "bn2")):
            names[f"cnn.{8 * block + offset}"] = f"conv_block{block + 1}.{name}"
    return {f"{names[key.rpartition('.')[0]]}.{key.rpartition('.')[2]}": value for key, value in state.items()}


def plain_dcase(out_dim: int = 5, base: int = 2, seed: int = 0) -> PlainDCASE:
    """One with random weights and statistics."""
    from tests.models.plain_panns import randomise

    torch.manual_seed(seed)
    network = PlainDCASE(out_dim, base)
    randomise(network, seed)
    return network
