"""A system without sounds or captions: a two-layer network that predicts a number from a vector."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import ClassVar, Literal, NamedTuple

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from tasks.base import RunSpec
from utils.cli_utils import ArtefactError
from utils.cli_utils.repairs import Product
from utils.config_utils import Spec
from utils.data_utils import DataSpec
from utils.model_utils import Loader, TrainingSpec, seed_everything


class VectorDataSpec(DataSpec):
    """The `data:` block: a file `<split>.npz` for each split, with `x` (N, D) and `y` (N,)."""

    def vectors(self, split: str) -> Path:
        """The vectors of a split."""
        return self.features / f"{split}.npz"


class NetworkSpec(Spec):
    """The `model:` block."""

    hidden_dim: int = Field(8, ge=1)

    def build(self, in_dim: int) -> nn.Module:
        """The network, for vectors of this width."""
        return nn.Sequential(nn.Linear(in_dim, self.hidden_dim), nn.ReLU(), nn.Linear(self.hidden_dim, 1))


class RegressionTrainingSpec(TrainingSpec):
    """The `training:` block; the error is better when it is lower."""

    select_on: str = "val_rmse"

    higher_is_better: ClassVar[Mapping[str, bool]] = {"val_rmse": False}


class RegressionRun(RunSpec):
    """tasks/regression.yaml."""

    task: Literal["regression"]
    data: VectorDataSpec
    model: NetworkSpec = NetworkSpec()
    training: RegressionTrainingSpec = RegressionTrainingSpec()

    scripts: ClassVar[Mapping[Product, str]] = {"training": "main.py", "scores": "postprocessing.regression_error"}

    def build(self, split: str = "train") -> RegressionTask:
        """The task, with freshly seeded weights."""
        seed_everything(self.training.seed)
        return RegressionTask(self, split)


class VectorSplit:
    """A split: N vectors and N numbers."""

    def __init__(self, path: Path, name: str) -> None:
        if not path.is_file():
            raise ArtefactError(f"{path}: no such file; write the vectors of '{name}' there")
        with np.load(path, allow_pickle=False) as file:
            self.x, self.y = torch.from_numpy(file["x"]), torch.from_numpy(file["y"])
        self.name = name
        self.revisions: dict[str, str] = {}  # no frozen encoder made the vectors

    def summary(self) -> dict[str, str]:
        """What `main.py` prints of the split."""
        return {"vectors": str(len(self.x)), "width": str(self.x.shape[1])}

    def recordings(self) -> dict[str, str]:
        """Nothing tells a vector from another one of the same numbers."""
        return {}

    def digest(self) -> str:
        """Changes with any number: a resumed experiment must not go on with other data."""
        content = hashlib.blake2b(self.x.numpy().tobytes() + self.y.numpy().tobytes(), digest_size=16)
        return content.hexdigest()

    def check(self) -> None:
        """Refuse numbers that are not finite."""
        if not (self.x.isfinite().all() and self.y.isfinite().all()):
            raise ArtefactError(f"the vectors of '{self.name}' hold NaN or infinite values; write them again")


class ShuffledBatches:
    """Batches in an order that depends on (seed, epoch) alone, so that a resumed run draws what it would have drawn."""

    def __init__(self, split: VectorSplit, batch_size: int, seed: int) -> None:
        self._split, self._batch_size, self._seed = split, batch_size, seed
        self._epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch that the next iteration draws."""
        self._epoch = epoch

    def __len__(self) -> int:
        return -(-len(self._split.x) // self._batch_size)

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        order = np.random.default_rng([self._seed, self._epoch]).permutation(len(self._split.x))
        for rows in torch.from_numpy(order).split(self._batch_size):
            yield {"x": self._split.x[rows], "y": self._split.y[rows]}


class Predictions(NamedTuple):
    """What the network makes of a split."""

    found: Tensor  # (N,)
    wanted: Tensor  # (N,)


class RegressionTask:
    """Answers the questions that the code outside a system asks."""

    def __init__(self, run: RegressionRun, split: str) -> None:
        self._run = run
        self._splits: dict[str, VectorSplit] = {}
        self._network = run.model.build(self.data(split).x.shape[1])

    def model(self) -> nn.Module:
        """The network."""
        return self._network

    def data(self, role: str) -> VectorSplit:
        """The split of `train`, `val` or `eval`, or one by its own name."""
        name = dict(self._run.data.splits).get(role, role)
        if name not in self._splits:
            self._splits[name] = VectorSplit(self._run.data.vectors(name), name)
        return self._splits[name]

    def loaders(self) -> Mapping[str, Loader]:
        """The training batches."""
        training = self._run.training
        return {"train": ShuffledBatches(self.data("train"), training.batch_size, training.seed)}

    def losses(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """The squared error is minimised; the absolute error is reported beside it, as `train_absolute`."""
        error = self._network(batch["x"])[:, 0] - batch["y"]
        return {"loss": error.square().mean(), "absolute": error.abs().mean()}

    def outputs(self, split: str) -> Predictions:
        """A number for every vector."""
        data = self.data(split)
        device = next(self._network.parameters()).device
        return Predictions(self._network(data.x.to(device))[:, 0].cpu(), data.y)

    def metrics(self, outputs: Predictions) -> dict[str, float]:
        """The root mean square error; lower is better."""
        return {"val_rmse": (outputs.found - outputs.wanted).square().mean().sqrt().item()}
