"""Low-rank matrices in a frozen language model: they learn and are in checkpoints, its own weights are not."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

from models.captioner import Captioner
from models.lora import LoraSpec
from tests.models.captioners import captioner_of, overfit, sixteen_pairs
from tests.tiny_language import write_qwen3
from utils.cli_utils import ArtefactError, UserError
from utils.model_utils.frozen_weights import SavedWeights, frozen_networks, weights_to_save, without_frozen


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a tiny Qwen3."""
    return write_qwen3(tmp_path_factory.mktemp("models") / "qwen3")


def with_lora(folder: Path, **settings: object) -> Captioner:
    plain = captioner_of(folder, "a {input}")
    torch.manual_seed(0)
    return Captioner(plain.adapter, plain.language, "a {input}", lora=LoraSpec(**{"rank": 2} | settings))


def loss_of(captioner: Captioner) -> float:
    pairs = sixteen_pairs(captioner.language)
    return captioner.losses(pairs.frames, pairs.lengths, pairs.ids, pairs.id_lengths)[0].item()


def test_at_first_the_matrices_change_nothing(folder):
    assert loss_of(with_lora(folder).eval()) == loss_of(captioner_of(folder, "a {input}").eval())


def test_a_step_changes_the_adapter_and_the_matrices_and_not_one_bit_of_the_model(folder):
    captioner = with_lora(folder)
    before = {name: value.clone() for name, value in captioner.state_dict().items()}
    overfit(captioner, sixteen_pairs(captioner.language), steps=1)
    learning = [p for name, p in captioner.named_parameters() if "lora_" in name]
    # two layers, each with a pair of matrices for queries and for values
    assert len(learning) == 8
    optimizer = torch.optim.SGD([p for p in captioner.parameters() if p.requires_grad], lr=0.1)
    for _ in range(2):  # the second matrix is zero at first, so that the first one learns from the second step on
        captioner.zero_grad()
        captioner.losses(*_batch(captioner))[0].backward()
        optimizer.step()
    for name, value in captioner.state_dict().items():
        assert torch.equal(value, before[name]) != ("lora_" in name or name.startswith("adapter.")), name


def _batch(captioner):
    pairs = sixteen_pairs(captioner.language)
    return pairs.frames, pairs.lengths, pairs.ids, pairs.id_lengths


def test_only_the_dropout_of_the_matrices_is_on_in_training(folder):
    captioner = with_lora(folder, dropout=0.5).train()
    training = [name for name, module in captioner.language_model.named_modules() if module.training]
    assert training
    assert all("lora_dropout" in name for name in training)
    assert not any(module.training for module in captioner.eval().modules())


def test_checkpoints_hold_the_matrices_but_not_the_model_whose_digest_is_still_compared(folder, tmp_path):
    captioner = with_lora(folder)
    overfit(captioner, sixteen_pairs(captioner.language), steps=3)
    frozen = frozen_networks(captioner)
    weights = weights_to_save(captioner, frozen)
    assert set(weights) == {name for name, p in captioner.named_parameters() if p.requires_grad}
    assert {network.source for network in frozen.values()} == {str(folder)}
    again = with_lora(folder)
    state = without_frozen(SavedWeights(weights, frozen), frozen_networks(again), tmp_path / "state.pt")
    again.load_state_dict(state, strict=False)
    assert loss_of(again.eval()) == loss_of(captioner.eval())
    other = with_lora(write_qwen3(tmp_path / "other", seed=1))
    with pytest.raises(ArtefactError, match="in another state than"):
        without_frozen(SavedWeights(weights, frozen), frozen_networks(other), tmp_path / "state.pt")


def test_bfloat16_models_have_float32_matrices(folder):
    plain = captioner_of(folder)
    plain.language_model.to(torch.bfloat16)
    half = Captioner(plain.adapter, plain.language, lora=LoraSpec(rank=2))
    assert {p.dtype for p in half.parameters() if p.requires_grad} == {torch.float32}
    half.losses(*_batch(half))[0].backward()


def test_layers_that_there_are_not_and_a_missing_package_are_one_line(folder, monkeypatch):
    with pytest.raises(UserError, match=r"model\.lora\.target_modules: query fit no linear layers of .*q_proj"):
        with_lora(folder, target_modules=["query"])
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(UserError, match=r"model\.lora: peft is not installed; pip install"):
        with_lora(folder)
