"""The form of the PANNs encoders in plain operations: equal to the one by hand, and one graph when compiled."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch._dynamo.testing import CompileCounter

from models.audio_encoders.cnn6 import CNN6Encoder
from models.audio_encoders.panns_masked import frame_mask, masked_batch_norm, masked_moments, size_on_grid
from tests.models.audio_encoders.test_panns import ENCODERS, FLOOR, _encoder, _features, _padded, assert_close

LENGTHS = [70, 33, 5, 64, 1]
# tracing a graph takes long on a CPU: the smallest network alone
BOTH = [*((kind, False) for kind in ENCODERS), (CNN6Encoder, True)]


@pytest.fixture
def masked(monkeypatch):
    """A function that makes an encoder take its form in plain operations, eagerly or as one graph."""

    def change(encoder, compiled):
        if compiled:
            torch.compiler.reset()
            encoder.compile(backend="aot_eager", fullgraph=True)
        else:
            monkeypatch.setattr("models.audio_encoders.panns.plain_form_needed", lambda: True)

    yield change
    torch.compiler.reset()


def computed(encoder, clips, lengths):
    """Everything that a training step of an encoder makes, and its frames in evaluation."""
    output = encoder(clips, lengths)
    output.pow(2).sum().backward()
    gradients = {name: parameter.grad for name, parameter in encoder.named_parameters()}
    buffers = {name: buffer.clone() for name, buffer in encoder.named_buffers()}
    with torch.no_grad():
        frames, counts = encoder.eval().frames(clips, lengths)
    return {"output": output, "frames": frames, "counts": counts} | gradients | buffers


@pytest.mark.parametrize(("kind", "compiled"), BOTH)
def test_it_has_the_outputs_gradients_and_statistics_of_the_form_by_hand(kind, compiled, masked):
    clips, lengths = _padded(_features(LENGTHS), extra=3)
    expected = computed(_encoder(kind, dropout=0.0, fc_dropout=0.0).double(), clips.double(), lengths)
    encoder = _encoder(kind, dropout=0.0, fc_dropout=0.0).double()
    masked(encoder, compiled)
    found = computed(encoder, clips.double(), lengths)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, atol=1e-10, rtol=1e-10, msg=lambda text, n=name: f"{n}: {text}")


@pytest.mark.parametrize("kind", ENCODERS)
def test_an_embedding_is_the_same_alone_and_in_any_batch(kind, masked):
    encoder = _encoder(kind).eval()
    masked(encoder, compiled=False)
    clips = _features([75, 32, 3])
    with torch.no_grad():
        together = [encoder(*_padded(clips, 9, value)) for value in (FLOOR, 1e9, float("nan"))]
        alone = torch.cat([encoder(clip[None], torch.tensor([len(clip)])) for clip in clips])
    assert (together[0] - alone).abs().max() <= 1e-5
    assert all(torch.equal(other, together[0]) for other in together[1:])


def test_training_does_not_feel_extra_padding(masked):
    found = []
    for extra in (0, 60):
        encoder = _encoder(dropout=0.0, fc_dropout=0.0).double()
        masked(encoder, compiled=False)
        clips, lengths = _padded(_features(LENGTHS), extra)
        found.append(computed(encoder, clips.double(), lengths))
    for name, value in found[0].items():
        if name != "frames":  # as many as the batch has
            assert_close(found[1][name], value, name)


def test_batches_of_similar_size_are_one_graph():
    """Frames are padded to a multiple of the stride, here 16, and clips to an even number."""
    torch.compiler.reset()
    counter = CompileCounter()
    encoder = _encoder(CNN6Encoder, dropout=0.0, fc_dropout=0.0)
    encoder.compile(backend=counter, fullgraph=True)
    for lengths in ([70, 33], [80, 1], [65], [66, 66]):
        assert encoder(*_padded(_features(lengths))).shape == (len(lengths), 5)
        assert encoder.frames(*_padded(_features(lengths)))[0].shape[1] == max(lengths) // 16
    assert counter.frame_count == 1
    encoder.eval()(*_padded(_features([81, 3])))
    assert counter.frame_count == 2


def test_frozen_blocks_stay_to_the_bit(masked):
    encoder = _encoder()
    encoder.freeze_layers(trainable=True, freeze_blocks=2)
    masked(encoder, compiled=False)
    before = {key: value.clone() for key, value in encoder.state_dict().items()}
    encoder.train()(*_padded(_features(LENGTHS))).pow(2).sum().backward()
    held = ("bn0.", "conv_block1.", "conv_block2.")
    changed = {key for key, value in encoder.state_dict().items() if not torch.equal(value, before[key])}
    assert changed == {
        key for key in before if not key.startswith(held) and key.rpartition(".")[2].startswith(("run", "num"))
    }
    assert {n for n, p in encoder.named_parameters() if p.grad is None} == {
        n for n, _ in encoder.named_parameters() if n.startswith(held)
    }


def test_compiling_leaves_the_keys_of_a_checkpoint_as_they_are():
    encoder = _encoder()
    before = list(encoder.state_dict())
    encoder.compile(backend="eager")
    assert list(encoder.state_dict()) == before


@given(st.integers(1, 100_000), st.sampled_from([1, 16, 32]))
def test_a_size_on_the_grid_is_at_most_an_eighth_larger(size, step):
    found = size_on_grid(size, step)
    assert found % step == 0
    steps = -(-size // step)
    assert steps <= found // step <= max(steps + steps / 8, steps)


def test_there_are_eight_sizes_an_octave():
    assert sorted({size_on_grid(size, 32) for size in range(513, 1025)}) == list(range(576, 1025, 64))
    assert sorted({size_on_grid(size, 32) for size in range(1, 257)}) == list(range(32, 257, 32))


def test_moments_count_the_own_frames():
    values = torch.tensor([[1.0, 2.0, 100.0], [6.0, -50.0, 7.0]]).double()[:, None, :, None].expand(2, 1, 3, 2)
    mean, variance, count = masked_moments(values, frame_mask(torch.tensor([2, 1]), 3))
    assert count.item() == 6
    assert mean.item() == pytest.approx(3)
    assert variance.item() == pytest.approx(14 / 3)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_a_variance_far_from_zero_does_not_cancel(dtype):
    torch.manual_seed(0)
    norm = nn.BatchNorm2d(2)
    values = (500 + torch.tensor([0.0, 8.0])[:, None, None] * torch.randn(3, 2, 1000, 4)).to(dtype)
    output = masked_batch_norm(norm, values, frame_mask(torch.tensor([1000, 400, 10]), 1000))
    own = torch.cat(
        [clip[:, :length].flatten(1).double() for clip, length in zip(values, [1000, 400, 10], strict=True)], 1
    )
    expected = (own - own.mean(1, keepdim=True)) / (own.var(1, correction=0, keepdim=True) + norm.eps).sqrt()
    assert output.dtype == dtype
    torch.testing.assert_close(
        output[0].flatten(1).double(), expected[:, :4000], atol=1e-4 if dtype == torch.float32 else 0.03, rtol=0
    )
    assert norm.running_mean[0] == 50
    assert norm.running_var[0] == pytest.approx(0.9)
    torch.testing.assert_close(norm.running_var[1].double(), 0.9 + own[1].var() / 10, atol=1e-3, rtol=1e-4)
