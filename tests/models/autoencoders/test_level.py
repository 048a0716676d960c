"""The level of a window is taken off: by hand, and a softer copy of a recording is the same to an autoencoder."""

import math

import pytest
import torch

from models.autoencoders.level import Level
from tests.models.autoencoders.autoencoders import WIDTH, batch, build, windows
from utils.cli_utils import UserError

GAIN_DB = -10.0
# A gain in natural logarithms of power, which log-mels are.
SOFTER = {"logmel": lambda x: x + GAIN_DB / 10 * math.log(10), "wave": lambda x: x * 10 ** (GAIN_DB / 20)}
WITH_LEVELS = [
    ("wave", "window"),
    ("wave-window", "window"),
    ("frame", "window"),
    ("frame-window", "frame"),
    ("spectrogram", "frame"),
    ("spectrogram-window", "window"),
]


def test_levels_by_hand():
    """The padding, NaN, does not count."""
    own = torch.tensor([[True, True, True], [True, False, False]])
    bands = torch.tensor([[[1.0, 3.0], [5.0, 7.0], [0.0, 2.0]], [[4.0, 6.0], [math.nan] * 2, [math.nan] * 2]])
    window, frame = Level(waves=False), Level(waves=False, per="frame")
    assert window.of(bands, own).tolist() == [[[3.0]], [[5.0]]]
    assert frame.of(bands, own)[0].tolist() == [[2.0], [6.0], [1.0]]
    assert window.take_off(bands, window.of(bands, own))[0].tolist() == [[-2, 0], [2, 4], [-3, -1]]
    assert frame.take_off(bands, frame.of(bands, own))[0].tolist() == [[-1, 1], [-1, 1], [-1, 1]]
    samples, wave = torch.tensor([[[3.0], [-4.0], [0.0]], [[2.0], [9.0], [9.0]]]), Level(waves=True)
    level = wave.of(samples, own)
    assert level.flatten().tolist() == pytest.approx([math.sqrt(25 / 3), 2.0])
    torch.testing.assert_close(wave.put_back(wave.take_off(samples, level), level), samples)


def test_silence_has_no_level_to_divide_by():
    own = torch.ones(1, 4, dtype=torch.bool)
    wave, silence = Level(waves=True), torch.zeros(1, 4, 1)
    assert wave.take_off(silence, wave.of(silence, own)).tolist() == silence.tolist()


@pytest.mark.parametrize(("key", "per"), WITH_LEVELS)
def test_a_softer_copy_has_the_same_embedding(key, per):
    """Its reconstruction is softer by as much; without the key it is neither."""
    inputs = None
    for remove_level, same in ((per, True), ("none", False)):
        autoencoder = build(key, remove_level=remove_level)
        inputs = inputs or windows(autoencoder, [17, 40])
        x, lengths = batch(autoencoder, inputs, extra=2)
        autoencoder.fit([(x, lengths)])
        softer = SOFTER[autoencoder.kind](x)
        one, other = autoencoder(x, lengths), autoencoder(softer, lengths)
        assert torch.allclose(one.embedding, other.embedding, rtol=1e-3, atol=1e-4) == same
        expected = SOFTER[autoencoder.kind](autoencoder.restored(one.reconstruction, x, lengths))[0, :17]
        restored = autoencoder.restored(other.reconstruction, softer, lengths)[0, :17]
        assert torch.allclose(restored, expected, rtol=1e-3, atol=1e-3) == same


def test_levels_of_frames_are_of_log_mels_alone():
    with pytest.raises(UserError, match="remove_level"):
        build("wave", remove_level="frame")
    with pytest.raises(UserError, match="remove_level"):
        build("mlp", remove_level="window")
    assert build("frame", remove_level="frame").layers.width == WIDTH
