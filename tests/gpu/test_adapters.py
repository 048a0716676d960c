"""Adapters in low precision: padding is ignored to the bit where only its content differs, and gradients are finite."""

import pytest
import torch

from tests.models.adapters.adapters import SCALE, SETTINGS, batch, build, clips
from utils.model_utils.devices import Precision, autocast


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
@pytest.mark.parametrize("key", SETTINGS)
def test_padding_is_ignored_in_every_precision(key: str, precision: Precision, device: torch.device):
    adapter = build(key, prompt_tokens=2, standardise=True).to(device)
    frames = clips([5, 40, 1, 17])
    with torch.no_grad(), autocast(device, precision):
        tokens, rubbish = (
            adapter(*(x.to(device) for x in batch(frames, filling, 3))) for filling in (0.0, float("nan"))
        )
        alone = [adapter(clip[None].to(device), torch.tensor([len(clip)])) for clip in frames]
    assert torch.equal(tokens[0], rubbish[0])
    atol = (1e-5 if precision == "fp32" else 0.05) * SCALE
    for row, count, (one, own) in zip(tokens[0], tokens[1].tolist(), alone, strict=True):
        assert count == own.item()
        torch.testing.assert_close(row[:count], one[0], rtol=1e-5 if precision == "fp32" else 0.05, atol=atol)


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
@pytest.mark.parametrize("key", SETTINGS)
def test_gradients_are_finite_in_every_precision(key: str, precision: Precision, device: torch.device):
    adapter = build(key, prompt_tokens=2, noise=0.1).to(device).train()
    frames, lengths = batch(clips([5, 40, 1, 17]))
    with autocast(device, precision):
        tokens, _ = adapter(frames.to(device), lengths)
    (1024 * tokens.square().mean()).backward()
    for name, parameter in adapter.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
