"""What each rank of a test computes; functions of a module, which other processes can import."""

import contextlib
import itertools
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tasks.base import RunSpec
from tasks.runs import parse_run
from tests.training import keep_checkpoints
from utils.config_utils import override, read_settings, to_mapping
from utils.criterion_utils import InfoNCE
from utils.model_utils import Fit
from utils.model_utils.ranks import rank, ranks
from utils.model_utils.step import GradientStep
from utils.model_utils.trials import checkpoint_folders


def run_of(conf: str, settings: tuple[str, ...]) -> RunSpec:
    return parse_run(override(read_settings(Path(conf)), settings), conf)


def fit_of(conf: str, settings: tuple[str, ...]) -> Fit:
    run = run_of(conf, settings)
    return Fit(run.build(), run.training, run.optimizer, run.lr_scheduler)


def first_step(conf: str, *settings: str) -> tuple[dict[str, float], dict[str, Tensor]]:
    """Losses and gradients of the first batch, and no step of the optimizer.

    In double precision, also where models ask for float32, whose last bits depend on the processor; but where the
    encoder is frozen, and the loader runs it on features as they are.
    """
    run = run_of(conf, settings)
    task = run.build()
    is_exact = "model.audio_encoder.trainable=false" not in settings
    if is_exact:
        task.model().double()
    fit = Fit(task, run.training, run.optimizer, run.lr_scheduler)
    fit.model.train()
    fit._loader.set_epoch(1)
    batches = list(itertools.islice(fit._loader, fit.training.accumulate))
    with pytest.MonkeyPatch.context() as patch:
        if is_exact:
            patch.setattr(Tensor, "float", Tensor.double)
            batches = [{k: v.double() if v.is_floating_point() else v for k, v in one.items()} for one in batches]
        losses = fit._gradients(batches)
    gradients = {name: p.grad for name, p in fit.model.named_parameters() if p.grad is not None}
    buffers = {name: b for name, b in fit.model.named_buffers() if "running" in name}
    return {name: float(loss) for name, loss in losses.items()}, gradients | buffers


def train(conf: str, folder: str, stop_after: int | None, *settings: str) -> dict[str, Any]:
    """Train, from the newest checkpoint on; returns the metrics of the epochs and the weights at the end."""
    fit = fit_of(conf, settings)
    fit.restore(checkpoint_folders(Path(folder)))
    rows: list[dict[str, float]] = []
    save = keep_checkpoints(Path(folder))

    def report(metrics, write) -> None:
        rows.append(metrics)
        if rank() == 0:
            save(metrics, write)
        if metrics["epoch"] == stop_after:
            fit.training = fit.training.model_copy(update={"epochs": fit.epoch})  # as if it were killed here

    fit.run(report, to_mapping(run_of(conf, settings)))
    return {"rows": rows, "weights": fit.model.state_dict()}


def several(jobs: list[tuple[str, tuple[Any, ...]]]) -> list[Any]:
    """Call several functions of this module, one after the other."""
    return [globals()[name](*arguments) for name, arguments in jobs]


class Pairs:
    """A contrastive task of two linear layers in double precision, on pairs that are given."""

    def __init__(self, same_clip: str) -> None:
        torch.manual_seed(0)
        self.layers = torch.nn.ModuleDict({"audio": torch.nn.Linear(5, 3), "text": torch.nn.Linear(4, 3)}).double()
        self.criterion = InfoNCE(temperature=0.2, learnable_temperature=True, same_clip=same_clip).double()
        self.network = torch.nn.ModuleDict({"layers": self.layers, "criterion": self.criterion})

    def model(self):
        return self.network

    def loaders(self):
        return {}

    def outputs(self, split):
        return split

    def metrics(self, outputs):
        return {}

    def losses(self, batch):
        return self.contrast(self.embed(batch))

    def embed(self, batch):
        audio = torch.dropout(batch["audio"], 0.0, True)
        return {"audio": self.layers["audio"](audio), "text": self.layers["text"](batch["text"]), "ids": batch["ids"]}

    def contrast(self, embedded):
        return {"loss": self.criterion(embedded["audio"], embedded["text"], embedded["ids"])}


def pairs(count: int = 11) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(1)
    clips = torch.tensor([0, 1, 1, 2, 3, 3, 3, 4, 5, 0, 6])[:count]
    return {
        "audio": torch.randn(7, 5, generator=generator, dtype=torch.double)[clips],
        "text": torch.randn(count, 4, generator=generator, dtype=torch.double),
        "ids": clips,
    }


def contrast(same_clip: str, parts: int) -> tuple[float, dict[str, Tensor]]:
    """Loss and gradients of 11 pairs, dealt to the ranks and cut in parts."""
    task, batch = Pairs(same_clip), pairs()
    step = GradientStep(task, torch.amp.GradScaler("cpu", enabled=False), contextlib.nullcontext)
    pieces = torch.arange(11).tensor_split(ranks() * parts)[rank() * parts : (rank() + 1) * parts]
    losses = step([{name: value[rows] for name, value in batch.items()} for rows in pieces])
    return float(losses["loss"]), {name: p.grad for name, p in task.network.named_parameters()}
