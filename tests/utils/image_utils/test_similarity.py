from __future__ import annotations

import io
import itertools

import numpy as np
import pytest
from PIL import Image

from preprocessing.synthetic_pictures.pictures import plan_picture, render
from utils.image_utils.similarity import MAX_DISTANCE, fingerprint, similar_pairs


def smooth(seed, width=200, height=150):
    """A picture with the large areas of a photograph."""
    coarse = np.random.default_rng(seed).integers(0, 256, (7, 9, 3), np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


def distance(one, other):
    bits = int(fingerprint(np.asarray(one)), 16) ^ int(fingerprint(np.asarray(other)), 16)
    return bits.bit_count()


def encoded_again(image, quality):
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return Image.open(file).convert("RGB")


@pytest.mark.parametrize("seed", range(5))
def test_encoding_and_scaling_hardly_change_it(seed):
    image = smooth(seed)
    assert distance(image, encoded_again(image, 30)) <= MAX_DISTANCE
    assert distance(image, image.resize((100, 75), Image.Resampling.BICUBIC)) <= MAX_DISTANCE
    assert distance(image, image.convert("L").convert("RGB")) <= MAX_DISTANCE
    assert distance(image, smooth(seed + 100)) > 2 * MAX_DISTANCE


def test_its_bits_are_those_of_a_ramp():
    ramp = np.repeat(np.arange(0, 170, 10, dtype=np.uint8)[None, :, None], 16, axis=0).repeat(3, axis=2)
    assert fingerprint(ramp) == "f" * 64
    assert fingerprint(ramp[:, ::-1]) == "0" * 64


def test_drawings_of_similar_scenes_are_not_the_same():
    drawings = [Image.open(io.BytesIO(render(plan_picture(0, 1, index)))) for index in range(60)]
    prints = [fingerprint(np.asarray(drawing)) for drawing in drawings]
    assert not list(similar_pairs(prints, [str(number) for number in range(60)]))


def test_pairs_are_those_of_a_comparison_one_by_one():
    rng = np.random.default_rng(0)
    base = rng.integers(0, 2, (4, 256), np.uint8)
    bits = base[rng.integers(0, 4, 1100)] ^ (rng.uniform(size=(1100, 256)) < 0.08)
    prints = [np.packbits(row).tobytes().hex() for row in bits]
    groups = [str(number) for number in rng.integers(0, 3, 1100)]
    numbers = [int(text, 16) for text in prints]
    some = [*range(40), *range(500, 530), *range(1080, 1100)]
    expected = {
        (one, other)
        for one, other in itertools.combinations(some, 2)
        if groups[one] != groups[other] and (numbers[one] ^ numbers[other]).bit_count() <= MAX_DISTANCE
    }
    found = set(similar_pairs(prints, groups))
    assert {pair for pair in found if set(pair) <= set(some)} == expected
    assert expected


def test_no_pictures_have_no_pairs():
    assert list(similar_pairs([], [])) == []
