"""One group of shapes in words: `two small red circles`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from preprocessing.synthetic_pictures.scenes import Group, Size

T = TypeVar("T")

# singular, plural
SHAPE_WORDS: Mapping[str, tuple[tuple[str, str], ...]] = {
    "circle": (("circle", "circles"), ("disc", "discs"), ("dot", "dots")),
    "square": (("square", "squares"), ("block", "blocks")),
    "triangle": (("triangle", "triangles"),),
    "star": (("star", "stars"), ("five-pointed star", "five-pointed stars")),
    "heart": (("heart", "hearts"), ("heart shape", "heart shapes")),
    "diamond": (("diamond", "diamonds"), ("rhombus", "rhombuses")),
    "cross": (("cross", "crosses"), ("plus sign", "plus signs")),
    "ring": (("ring", "rings"), ("hoop", "hoops")),
    "crescent": (("crescent", "crescents"), ("half moon", "half moons")),
    "hexagon": (("hexagon", "hexagons"), ("six-sided shape", "six-sided shapes")),
}
COLOUR_WORDS: Mapping[str, tuple[str, ...]] = {"purple": ("purple", "violet"), "red": ("red", "red", "bright red")}
SIZE_WORDS: Mapping[Size, tuple[str, ...]] = {"small": ("small", "little", "tiny"), "large": ("large", "big", "huge")}
NUMBER_WORDS: Mapping[int, tuple[str, ...]] = {
    2: ("two", "two", "a pair of"),
    3: ("three",),
    4: ("four",),
    5: ("five",),
}


@dataclass(frozen=True)
class Phrase:
    """A group in words.

    Attributes:
        text: such as `a small red circle`.
        plural: whether its verb is.
    """

    text: str
    plural: bool

    @property
    def be(self) -> str:
        """The verb: is or are."""
        return "are" if self.plural else "is"

    @property
    def it(self) -> str:
        """The pronoun after a preposition."""
        return "them" if self.plural else "it"


def noun_phrase(rng: np.random.Generator, group: Group, *, with_colour: bool) -> Phrase:
    """A group as a noun phrase; what is left out is never contradicted.

    Args:
        rng: draws the words.
        group: of one or more shapes.
        with_colour: whether the colour has to be told, since another group has the same shape.
    """
    words = []
    if group.size != "medium" and rng.uniform() < 0.6:
        words.append(one_of(rng, SIZE_WORDS[group.size]))
    if with_colour or rng.uniform() < 0.92:
        words.append(one_of(rng, COLOUR_WORDS.get(group.colour, (group.colour,))))
    singular, plural = SHAPE_WORDS[group.shape][0 if rng.uniform() < 0.6 else -1]
    if rng.uniform() < 0.15:
        singular, plural = one_of(rng, SHAPE_WORDS[group.shape])
    if group.count > 1:
        number = one_of(rng, NUMBER_WORDS[group.count]) if rng.uniform() < 0.95 else "some"
        return Phrase(" ".join([number, *words, plural]), plural=True)
    if not words and rng.uniform() < 0.3:
        words.append("single")
    text = " ".join([*words, singular])
    return Phrase(f"{'an' if text[0] in 'aeiou' else 'a'} {text}", plural=False)


def one_of(rng: np.random.Generator, choices: Sequence[T]) -> T:
    """Draw one of the choices."""
    return choices[int(rng.integers(len(choices)))]
