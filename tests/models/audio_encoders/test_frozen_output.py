"""What the frozen layers of an encoder make of clips, and its learning layers of that, is the embedding."""

import pytest
import torch
from torch.nn.utils.rnn import pad_sequence

from models.audio_encoders.cnn10 import CNN10Encoder
from tests.models.audio_encoders.test_wav2vec2 import WRITERS, batch_of, built

LAYERS = ("Wav2Vec2Encoder", "HubertEncoder", "WhisperEncoder")  # of equal width and rate


def without_padding(output, counts):
    """As one batch is put together of clips that were computed in others."""
    rows = list(output) if counts is None else [row[:count] for row, count in zip(output, counts, strict=True)]
    return pad_sequence(rows, batch_first=True)


def check(encoder, features, lengths):
    """The embedding, and the gradients of what learns, both ways."""
    encoder.train()
    found, grads = [], []
    with torch.no_grad():
        output = without_padding(*encoder.frozen_output(features, lengths))
    assert output.dim() != features.dim()
    for given in (features, output):
        torch.manual_seed(0)
        embedding = encoder(given, lengths)
        embedding.square().sum().backward()
        found.append(embedding.detach())
        grads.append([p.grad.clone() for p in encoder.parameters() if p.requires_grad])
        encoder.zero_grad()
    torch.testing.assert_close(found[1], found[0], rtol=1e-5, atol=1e-5)
    for one, other in zip(*grads, strict=True):
        torch.testing.assert_close(other, one, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("pooling", ["mean", "attention", "statistics"])
@pytest.mark.parametrize(
    ("name", "weighted"), [*((name, False) for name in WRITERS), *((name, True) for name in LAYERS)]
)
def test_of_networks_on_waves(tmp_path, name, pooling, weighted):
    keys = {"pooling": pooling} | ({"weighted_layers": True} if weighted else {})
    encoder = built(name, tmp_path / "model", trainable=False, **keys)
    if pooling == "attention":
        torch.nn.init.normal_(encoder.pool.score.weight)  # it starts as the mean
    if encoder.layer_weights is not None:
        torch.nn.init.normal_(encoder.layer_weights.logits)
    check(encoder, *batch_of(encoder))


def test_of_panns():
    torch.manual_seed(0)
    encoder = CNN10Encoder(6, base_channels=2)
    encoder.freeze_layers(trainable=False)
    check(encoder, torch.randn(3, 50, 64), torch.tensor([50, 20, 3]))


def test_an_encoder_that_learns_takes_no_outputs(tmp_path):
    assert not CNN10Encoder(6, base_channels=2).first_frozen
    encoder = built("Wav2Vec2Encoder", tmp_path / "model")
    assert not encoder.first_frozen
    with pytest.raises(ValueError, match=r"expected \(B, S\)"):
        encoder(torch.zeros(2, 100, 16), torch.tensor([100, 100]))
