"""What holds for every text encoder on tokens."""

import torch

from models.text_encoders.clip import CLIPTextSpec
from models.text_encoders.token_encoder import TokenEncoder
from models.text_encoders.transformer import TransformerTextSpec

TEXTS = ["a dog barks", "rain", "a bell rings once and then low rain falls", "a dog barks twice"]


def built(spec: CLIPTextSpec | TransformerTextSpec) -> TokenEncoder:
    torch.manual_seed(0)
    return spec.build(5, 0)


def two_steps(spec: CLIPTextSpec | TransformerTextSpec, encoder: TokenEncoder, precision: torch.dtype) -> None:
    optimizer = torch.optim.SGD([p for p in encoder.parameters() if p.requires_grad], lr=0.1)
    tokens = spec.tokenizer()(TEXTS)
    for _ in range(2):
        encoder.train()
        with torch.autocast("cpu", dtype=precision, enabled=precision != torch.float32):
            loss = encoder(*tokens).float().square().mean()
        assert loss.isfinite()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


@torch.inference_mode()
def check_embeddings(spec: CLIPTextSpec | TransformerTextSpec) -> None:
    """The same alone, in a batch, and at every call; captions differ."""
    tokenizer, encoder = spec.tokenizer(), built(spec).eval()
    together = encoder(*tokenizer(TEXTS))
    assert together.shape == (4, 5)
    for row, text in enumerate(TEXTS):
        torch.testing.assert_close(encoder(*tokenizer([text]))[0], together[row], atol=1e-5, rtol=0)
    assert torch.equal(encoder(*tokenizer(TEXTS)), together)
    assert (together - together.roll(1, 0)).abs().max(1).values.min() > 1e-2


def check_frozen(spec: CLIPTextSpec | TransformerTextSpec) -> None:
    encoder = built(spec)
    before = {key: value.clone() for key, value in encoder.state_dict().items()}
    two_steps(spec, encoder, torch.float32)
    assert encoder.training
    assert not any(module.training for module in encoder.network.modules())
    assert all(parameter.grad is None for parameter in encoder.network.parameters())
    for key, value in encoder.state_dict().items():
        assert torch.equal(value, before[key]) == key.startswith("network."), key


def check_trainable(spec: CLIPTextSpec | TransformerTextSpec, precision: torch.dtype) -> None:
    encoder = built(spec)
    before = {key: value.clone() for key, value in encoder.named_parameters()}
    two_steps(spec, encoder, precision)
    changed = [key for key, value in encoder.named_parameters() if not torch.equal(value, before[key])]
    assert len(changed) > 0.8 * len(before)
    assert all(value.isfinite().all() for value in encoder.parameters())
    again = built(spec)
    again.load_state_dict(encoder.state_dict())
    tokens = spec.tokenizer()(TEXTS)
    assert torch.equal(again.eval()(*tokens), encoder.eval()(*tokens))
