"""Low-rank matrices (LoRA) in a frozen network, through peft: they learn, its own weights do not.

Source: Hu et al. 2021, "LoRA: low-rank adaptation of large language models".
"""

from __future__ import annotations

from typing import Any

from pydantic import Field
from torch import nn

from models.frozen.hold import freeze
from utils.cli_utils import UserError
from utils.config_utils import Spec


class LoraSpec(Spec):
    """The `lora:` block."""

    rank: int = Field(8, ge=1, le=1024)
    alpha: int = Field(16, ge=1, le=10_000)  # the matrices' product is scaled by alpha / rank
    dropout: float = Field(0.0, ge=0, lt=1)  # of their inputs, in training
    target_modules: list[str] = Field(["q_proj", "v_proj"], min_length=1)  # ends of the names of linear layers


def add_lora(network: Any, spec: LoraSpec, source: str) -> list[nn.Module]:
    """Add low-rank matrices to layers of a network, in place; at first they change nothing.

    Args:
        network: of transformers; all that it has is frozen.
        spec: which layers, and how.
        source: where the network's weights come from.
    Returns:
        The dropout layers, which a frozen network in eval mode would otherwise switch off in training.
    Raises:
        UserError: peft is not installed, or no layer has such a name.
    """
    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ImportError as error:
        raise UserError(
            "model.lora: peft is not installed; pip install -r requirements.txt, or set lora: null"
        ) from error
    linear = _linear_names(network)
    config = LoraConfig(
        r=spec.rank, lora_alpha=spec.alpha, lora_dropout=spec.dropout, target_modules=list(spec.target_modules)
    )
    try:
        inject_adapter_in_model(config, network)
    except ValueError as error:  # no layer of that name, or one of another kind
        raise UserError(
            f"model.lora.target_modules: {', '.join(spec.target_modules)} fit no linear layers of {source}; "
            f"name some of {', '.join(linear)}"
        ) from error
    for name, parameter in network.named_parameters():
        parameter.requires_grad_("lora_" in name)
        if "lora_" in name:
            parameter.data = parameter.data.float()  # what learns is float32, whatever the network is
    _freeze_the_rest(network, source)
    return [inner for name, inner in network.named_modules() if "lora_dropout" in name]


def _freeze_the_rest(module: nn.Module, source: str) -> None:
    """Freeze the largest modules without anything that learns, so that checkpoints hold their names alone."""
    for child in module.children():
        if any(parameter.requires_grad for parameter in child.parameters()):
            _freeze_the_rest(child, source)
        else:
            freeze(child, source)


def _linear_names(network: nn.Module) -> list[str]:
    names = {name.rpartition(".")[2] for name, layer in network.named_modules() if isinstance(layer, nn.Linear)}
    return sorted(names)
