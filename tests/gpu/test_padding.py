"""Padding is ignored in bf16 too: by every kind of encoder, to the bit where only its content differs."""

import pytest
import torch

from models.audio_encoders.panns import PANNsEncoder
from models.backbones import load_backbone
from models.text_encoders.clip import CLIPTextSpec
from models.text_encoders.transformer import TransformerTextSpec
from tests import tiny_models
from tests.models.audio_encoders.test_panns import ENCODERS, _encoder, _features, _padded
from tests.models.backbones.test_backbones import clips, padded
from tests.models.text_encoders.token_encoders import TEXTS, built
from utils.model_utils import autocast

KEY = "data.audio_embeddings.model"
BACKBONES = {
    "wav2vec2": tiny_models.write_wav2vec2,
    "hubert": tiny_models.write_hubert,
    "whisper": tiny_models.write_whisper,
    "clap": tiny_models.write_clap,
}
# bf16 has 8 bits, so that one rounding is 0.4 %; in a batch of another shape a kernel may round otherwise.
ROUNDINGS = 0.03


def check(embed, batches, alone, leaking, device):
    """Embeddings in bf16: of batches that differ in their padding alone, and of each clip by itself.

    Args:
        embed: a batch -> (B, E).
        batches: two of the same clips and one shape, with other values after the clips' ends.
        alone: a batch of one for each clip.
        leaking: a batch that calls its padding a part of the clips, so that it is not ignored.
        device: where to compute.
    """
    with torch.inference_mode(), autocast(device, "bf16"):
        first, other, leaked = [embed(*batch).float().cpu() for batch in (*batches, leaking)]
        single = torch.cat([embed(*clip).float().cpu() for clip in alone])
    assert torch.equal(other, first)
    size = first.norm(dim=1)
    off = ((first - single).norm(dim=1) / size).max().item()
    leak = ((first - leaked).norm(dim=1) / size).max().item()
    print(f"{device.type}: alone and in a batch differ by {off:.2%}; padding that is not ignored changes {leak:.2%}")
    assert off < min(ROUNDINGS, leak / 2)


@pytest.mark.parametrize("kind", ENCODERS)
def test_panns(kind: type[PANNsEncoder], device):
    encoder = _encoder(kind).to(device).eval()
    features = _features([64, 70, 33, 101])
    move = lambda audio, lengths: (audio.to(device), lengths)  # noqa: E731 - lengths stay on the CPU
    batches = [move(*_padded(features, value=value)) for value in (-36.04, 50.0)]
    leaking = batches[1][0], torch.full((4,), 101)
    check(encoder, batches, [move(*_padded([clip])) for clip in features], leaking, device)


@pytest.mark.parametrize("name", BACKBONES)
def test_backbones(name, device, tmp_path):
    backbone = load_backbone(str(BACKBONES[name](tmp_path / name)), KEY).to(device)
    waves = clips(backbone.sample_rate_hz)
    move = lambda audio, lengths: (audio.to(device), lengths)  # noqa: E731
    batches = [move(*padded(waves, fill)) for fill in (0.0, 0.7)]
    leaking = batches[1][0], torch.full((4,), batches[1][0].shape[1])
    alone = [move(wave[None], torch.tensor([len(wave)])) for wave in waves]
    check(backbone.vectors, batches, alone, leaking, device)


@pytest.mark.parametrize("spec", [CLIPTextSpec, TransformerTextSpec])
def test_text_encoders(spec, device, tmp_path):
    write = tiny_models.write_clip if spec is CLIPTextSpec else tiny_models.write_bert
    name = "CLIPTextEncoder" if spec is CLIPTextSpec else "TransformerTextEncoder"
    made = spec(name=name, model=str(write(tmp_path / "model")))
    encoder, tokenizer = built(made).to(device).eval(), made.tokenizer()
    tokens, mask = tokenizer(TEXTS)
    other = torch.where(mask.bool(), tokens, tokens.max() - 1)
    batches = [(ids.to(device), mask.to(device)) for ids in (tokens, other)]
    # CLIP reads a caption at its end token, and no token sees a later one: what would leak is another caption
    leaking = batches[1][0], torch.ones_like(batches[1][1])
    if spec is CLIPTextSpec:
        leaking = tuple(part.roll(1, 0) for part in batches[0])
    alone = [tuple(part.to(device) for part in tokenizer([text])) for text in TEXTS]
    check(encoder, batches, alone, leaking, device)
