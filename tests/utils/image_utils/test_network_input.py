"""What a network takes of a picture: the same numbers as transformers' own processors compute."""

import numpy as np
import pytest

from utils.image_utils import ImageInput

MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.25, 0.3)


def picture(height, width, seed=0):
    """Smooth, with some noise."""
    rng = np.random.default_rng(seed)
    waves = np.sin(np.arange(height)[:, None, None] / 7 + np.arange(width)[None, :, None] / 5 + np.arange(3))
    return (120 + 90 * waves + rng.uniform(-30, 30, (height, width, 3))).astype(np.uint8)


def processed(image, **settings):
    """(H, W, 3) by transformers, without Torchvision."""
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    processor = CLIPImageProcessorPil(image_mean=MEAN, image_std=STD, **settings)
    return processor(image, input_data_format="channels_last", return_tensors="np")["pixel_values"][0].transpose(
        1, 2, 0
    )


@pytest.mark.parametrize("size", [(100, 75), (75, 100), (32, 32), (17, 9), (60, 480), (301, 302), (1, 1)])
@pytest.mark.parametrize("resample", [2, 3])
@pytest.mark.parametrize("resized", [32, 40, (32, 36)])
def test_the_numbers_are_those_of_transformers(size, resample, resized):
    image = picture(*size)
    wanted = ImageInput(32, 30, resized, resample, 1 / 255, MEAN, STD)
    found = wanted.prepare(image)
    assert (found.shape, found.dtype) == ((32, 30, 3), np.uint8)
    sides = (
        {"shortest_edge": resized} if isinstance(resized, int) else dict(zip(("height", "width"), resized, strict=True))
    )
    expected = processed(image, size=sides, crop_size={"height": 32, "width": 30}, resample=resample)
    np.testing.assert_allclose((found / 255 - MEAN) / STD, expected, atol=1e-5)


def test_a_strip_of_a_million_pixels_costs_no_memory():
    """Its shortest side brought to 32, it would have 32 x 32 million pixels."""
    wanted = ImageInput(32, 32, 32, 3, 1 / 255, MEAN, STD)
    strip = np.zeros((1, 1_000_000, 3), np.uint8)
    strip[:, 500_000:] = 255
    found = wanted.prepare(strip)
    assert (np.diff(found[:, :, 0].astype(int)) > 0).all()  # one pixel's edge, 32 pixels wide
    assert found[0, 0, 0] < 10
    assert found[0, -1, 0] > 245


def test_the_description_holds_every_number():
    wanted = ImageInput(224, 224, 256, 3, 1 / 255, MEAN, STD)
    text = "224 x 224 pixels of the centre, shortest side 256, bicubic, scale 0.00392157, mean 0.5 0.4 0.3"
    text += ", std 0.2 0.25 0.3"
    assert wanted.describe() == text
    changed = [wanted._replace(resized=(256, 250)), wanted._replace(resample=2), wanted._replace(std=MEAN)]
    assert len({text, *(one.describe() for one in changed)}) == 4
    assert ", resized to 256 x 250, " in changed[0].describe()


def test_a_long_strip_is_cut_where_nothing_of_it_is_seen():
    """The centre of a strip of 1 : 9 is that of its middle; of a resize without a cut nothing is left out."""
    strip = picture(10, 90)
    wanted = ImageInput(40, 40, 40, 3, 1 / 255, MEAN, STD)
    np.testing.assert_array_equal(wanted.prepare(strip), wanted.prepare(strip[:, 5:85]))
    squeezed = wanted._replace(resized=(40, 40))
    assert np.abs(squeezed.prepare(strip).astype(int) - squeezed.prepare(strip[:, 5:85])).max() > 10
