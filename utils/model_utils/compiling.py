"""`training.compile`: torch.compile of what learns, in place, so that checkpoints are those of a run without it."""

from __future__ import annotations

import sys
from typing import Literal

import torch
from torch import nn

Compile = Literal["auto"] | bool

# Compiling takes minutes. With "auto" that is spent on networks of so many parameters, which train for hours: CNN14 and
# not the smaller CNNs, and all but tiny transformers.
_LARGE = 10_000_000
# One graph for each shape of a batch, in training and in evaluation; at torch's own limit, 8, the rest runs eagerly.
_MOST_GRAPHS = 512


class Compiled:
    """What is compiled of a model, and how long that has taken so far; graphs are made when a batch first needs them.

    Compiled are, wherever they are in the model:

    - a network that says how by a `compile` of its own, such as the PANNs encoders and the autoencoders;
    - each layer of a stack, an `nn.ModuleList`, such as the layers of a transformer: one graph serves them all, so that
      compiling takes seconds, and batches of any length.

    Networks most of whose parameters are frozen are left as they are, and so is all else: projections and criteria
    are a small part of a step.

    Args:
        model: in its place; names of parameters and checkpoints do not change.
        device: of the model.
        wanted: "auto": on a GPU, networks of 10 million parameters and more. Where no compiler works, nothing is
            compiled, and a line says so.
        backend: of torch.compile.
    """

    def __init__(
        self, model: nn.Module, device: torch.device, wanted: Compile = "auto", backend: str = "inductor"
    ) -> None:
        self.networks: list[str] = []
        self._graphs, self._seconds = _spent()
        found: dict[str, nn.Module] = {}
        if wanted is True or (wanted == "auto" and device.type != "cpu"):
            found = _to_compile(model, _LARGE if wanted == "auto" else 0)
        problem = _problem(device, backend) if found else None
        if problem is not None:
            print(
                f"training.compile: no compiler works here, so that nothing is compiled: {problem}; install one, such "
                "as g++, or set training.compile: false",
                flush=True,
            )
            return
        if found:
            _prepare()
            print("training.compile: compiling while the first batches come, which can take minutes", flush=True)
        for name, network in found.items():
            if _says_how(network):
                network.compile(backend=backend)
            else:
                # Not `nn.Module.compile`, which takes hooks into the graph: some are there for a single batch.
                network.forward = torch.compile(network.forward, backend=backend, dynamic=True)
            self.networks.append(name)
        self._graphs, self._seconds = _spent()

    def news(self) -> str | None:
        """Say what was compiled since this was last called; None: nothing."""
        before = self._graphs, self._seconds
        self._graphs, self._seconds = _spent()
        graphs, seconds = self._graphs - before[0], self._seconds - before[1]
        if not self.networks or not graphs:
            return None
        return f"training.compile: {graphs} graphs in {seconds:.0f} s; they last to the end of the run"


def _to_compile(model: nn.Module, size: int) -> dict[str, nn.Module]:
    """Find the networks to compile, by name: those of at least so many parameters."""
    found: dict[str, nn.Module] = {}

    def visit(name: str, module: nn.Module) -> None:
        if sum(parameter.numel() for parameter in module.parameters()) < size:
            return
        if _says_how(module):
            found[name] = module
        elif isinstance(module, nn.ModuleList) and all(_is_callable(layer) for layer in module):
            found.update({f"{name}.{number}": layer for number, layer in enumerate(module)})
        else:
            for child_name, child in module.named_children():
                visit(f"{name}.{child_name}".removeprefix("."), child)

    visit("", model)
    return {name: module for name, module in found.items() if _learns(module)}


def _says_how(module: nn.Module) -> bool:
    return type(module).compile is not nn.Module.compile


def _is_callable(module: nn.Module) -> bool:
    return type(module).forward is not nn.Module.forward


def _learns(module: nn.Module) -> bool:
    """Whether at least half of the parameters learn."""
    sizes = [(parameter.numel(), parameter.requires_grad) for parameter in module.parameters()]
    return bool(sizes) and 2 * sum(n for n, learns in sizes if learns) >= sum(n for n, _ in sizes)


def _problem(device: torch.device, backend: str) -> str | None:
    """Compile and run a sum, and return what is wrong with the compiler; None: nothing."""
    from torch._dynamo.exc import TorchDynamoException  # seconds to import, as all of torch._dynamo

    try:
        torch.compile(lambda x: x.sin() + 1, backend=backend)(torch.ones(3, device=device))
    except TorchDynamoException as error:
        # the first line names what has raised the error, the second says what it is
        return " ".join([line.strip() for line in str(error).splitlines() if line.strip()][:2])
    return None


def _prepare() -> None:
    """Set what torch.compile reads from its own settings."""
    import torch._dynamo
    import torch._inductor.config

    config = torch._dynamo.config
    config.recompile_limit = max(config.recompile_limit, _MOST_GRAPHS)
    config.accumulated_recompile_limit = max(config.accumulated_recompile_limit, 4 * _MOST_GRAPHS)
    config.suppress_errors = True  # what cannot be compiled runs eagerly, and torch says why, once
    config.optimize_ddp = False  # it cuts graphs at the buckets of gradients, and refuses autograd functions in them
    if torch.are_deterministic_algorithms_enabled():
        # no choice of kernels by timing them: the next run could choose others, which add in another order
        torch._inductor.config.deterministic = True


def _spent() -> tuple[int, float]:
    """Return how many graphs torch has compiled in this process, and the seconds that took."""
    if "torch._dynamo.utils" not in sys.modules:
        return 0, 0.0
    from torch._dynamo.utils import calculate_time_spent, counters

    return int(counters["stats"]["unique_graphs"]), calculate_time_spent()["total_wall_time"]
