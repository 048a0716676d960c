"""Which groups of shapes a picture shows and where: drawn before any pixel is, so that captions are cheap."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np

from preprocessing.synthetic_pictures.shapes import SHAPES

Layout = Literal["single", "row", "column", "side_by_side", "stacked", "inside", "three_across"]
Size = Literal["small", "medium", "large"]
T = TypeVar("T")

LEAST_SIDE, MOST_SIDE = 112, 224
COLOURS: Mapping[str, tuple[int, int, int]] = {
    "red": (208, 36, 36),
    "orange": (240, 136, 24),
    "yellow": (240, 212, 40),
    "green": (44, 150, 60),
    "blue": (40, 84, 200),
    "purple": (128, 52, 160),
    "pink": (240, 130, 180),
    "brown": (122, 74, 36),
    "black": (24, 24, 26),
    "white": (248, 248, 246),
}
# The ground of a picture, with the colours of shapes that would hardly be seen on it.
GROUNDS: Mapping[str, tuple[tuple[int, int, int], tuple[str, ...]]] = {
    "grey": ((158, 158, 156), ()),
    "beige": ((218, 200, 168), ("white", "yellow", "pink")),
    "pale blue": ((170, 202, 226), ("white",)),
    "pale green": ((178, 214, 172), ("white", "yellow")),
    "dark": ((58, 62, 66), ("black", "brown", "purple", "blue")),
    "white": ((236, 236, 234), ("white", "yellow")),
}
PATTERNS = ("plain", "plain", "speckled", "striped", "checked")
# Diameters as shares of the picture's shorter side; nothing lies between the words.
DIAMETERS: Mapping[Size, tuple[float, float]] = {"small": (0.11, 0.15), "medium": (0.2, 0.25), "large": (0.36, 0.44)}

_SHARES: Mapping[Layout, float] = {
    "single": 0.2,
    "row": 0.08,
    "column": 0.07,
    "side_by_side": 0.22,
    "stacked": 0.22,
    "inside": 0.1,
    "three_across": 0.11,
}
_PLACES = tuple((y, x) for y in ("top", "middle", "bottom") for x in ("left", "middle", "right"))
_CENTRES = {"top": 0.24, "middle": 0.5, "bottom": 0.76, "left": 0.24, "right": 0.76}
_NAMES, _COLOUR_NAMES = tuple(SHAPES), tuple(COLOURS)
_WITHHELD_ONE_IN = 7


@dataclass(frozen=True)
class Group:
    """Equal shapes that are near each other.

    Attributes:
        shape: a key of `SHAPES`.
        colour: a key of `COLOURS`.
        size: the word for `diameter`; `medium` is never spoken of.
        diameter: of each, as a share of the picture's shorter side.
        centres: (x, y) of each, as shares of width and height.
    """

    shape: str
    colour: str
    size: Size
    diameter: float
    centres: tuple[tuple[float, float], ...]

    @property
    def count(self) -> int:
        """How many shapes."""
        return len(self.centres)


@dataclass(frozen=True)
class Scene:
    """What a picture shows.

    Attributes:
        layout: how the groups lie to each other. Groups are named from left to right or from top to bottom, the inner
            one of `inside` first.
        groups: one to three.
        place: of the shape of `single`: top, middle or bottom, and left, middle or right.
        width: pixels.
        height: pixels.
        ground: a key of `GROUNDS`.
        pattern: of the ground.
    """

    layout: Layout
    groups: tuple[Group, ...]
    place: tuple[str, str] | None
    width: int
    height: int
    ground: str
    pattern: str


def withheld(shape: str, colour: str) -> bool:
    """Whether training never shows this shape in this colour; it does show each shape, and each colour.

    One combination in seven, so that about one held-out picture in four asks for what was never seen.
    """
    return (_NAMES.index(shape) + 3 * _COLOUR_NAMES.index(colour)) % _WITHHELD_ONE_IN == 0


def draw_scene(rng: np.random.Generator, *, training: bool) -> Scene:
    """A scene.

    Args:
        rng: draws it.
        training: whether it is to be of combinations that training may show.
    """
    layout = list(_SHARES)[rng.choice(len(_SHARES), p=list(_SHARES.values()))]
    width, height = _sides(rng)
    ground = _one_of(rng, tuple(GROUNDS))
    place = _one_of(rng, _PLACES) if layout == "single" else None
    looks = _draw_looks(rng, layout, GROUNDS[ground][1], training=training)
    unit = min(width, height)
    groups = _ARRANGEMENTS[layout](_Drawing(rng, looks, (unit / width, unit / height), place))
    return Scene(layout, groups, place, width, height, ground, _one_of(rng, PATTERNS))


def _sides(rng: np.random.Generator) -> tuple[int, int]:
    """Width and height, neither more than 4/3 of the other."""
    width = int(rng.integers(LEAST_SIDE, MOST_SIDE + 1))
    height = round(width * rng.uniform(0.75, 4 / 3))
    return width, int(np.clip(height, LEAST_SIDE, MOST_SIDE))


@dataclass(frozen=True)
class _Drawing:
    """What the arrangements draw from.

    Attributes:
        rng: draws.
        looks: (shape, colour) of each group.
        unit: the shorter side, as a share of width and of height.
        place: where `single` is to be.
    """

    rng: np.random.Generator
    looks: list[tuple[str, str]]
    unit: tuple[float, float]
    place: tuple[str, str] | None


def _draw_looks(
    rng: np.random.Generator, layout: Layout, unseen: tuple[str, ...], *, training: bool
) -> list[tuple[str, str]]:
    """Shape and colour of each group; groups of one shape differ in colour, and one that holds another does so."""
    wanted = {"single": 1, "row": 1, "column": 1, "three_across": 3}.get(layout, 2)
    colours = tuple(colour for colour in _COLOUR_NAMES if colour not in unseen)
    looks: list[tuple[str, str]] = []
    while len(looks) < wanted:
        look = (_one_of(rng, _NAMES), _one_of(rng, colours))
        holder = layout == "inside" and len(looks) == 1
        clash = holder and (not SHAPES[look[0]].holds or _alike(look[1], looks[0][1]))
        if look not in looks and not clash and not (training and withheld(*look)):
            looks.append(look)
    return looks


def _alike(one: str, other: str) -> bool:
    """Whether a shape is hard to see on another one."""
    dark = {"black", "brown", "purple"}
    close = ({"red", "brown"}, {"orange", "yellow"}, {"blue", "purple"})
    return one == other or {one, other} <= dark or {one, other} in close


def _single(given: _Drawing) -> tuple[Group, ...]:
    assert given.place is not None
    sizes: tuple[Size, ...] = (
        ("small", "medium", "large") if given.place == ("middle", "middle") else ("small", "medium")
    )
    y, x = (_CENTRES[word] + given.rng.uniform(-0.05, 0.05) for word in given.place)
    return (_group(given, 0, _one_of(given.rng, sizes), ((x, y),)),)


def _row(given: _Drawing) -> tuple[Group, ...]:
    count = int(given.rng.integers(2, 6))
    size: Size = "small" if count > 3 else _one_of(given.rng, ("small", "medium"))
    xs = _spread(given.rng, count, 0.04)
    y = given.rng.uniform(0.3, 0.7)
    return (_group(given, 0, size, tuple((x, y + given.rng.uniform(-0.02, 0.02)) for x in xs)),)


def _column(given: _Drawing) -> tuple[Group, ...]:
    (group,) = _row(given)
    return (Group(group.shape, group.colour, group.size, group.diameter, tuple((y, x) for x, y in group.centres)),)


def _spread(rng: np.random.Generator, count: int, margin: float) -> list[float]:
    """Places along a line, evenly but for a little."""
    step = (1 - 2 * margin) / count
    return [margin + step * (number + 0.5 + rng.uniform(-0.08, 0.08)) for number in range(count)]


def _side_by_side(given: _Drawing) -> tuple[Group, ...]:
    return tuple(_filled(given, number, (0.02 + 0.49 * number, 0.04, 0.47, 0.92)) for number in range(2))


def _stacked(given: _Drawing) -> tuple[Group, ...]:
    return tuple(_filled(given, number, (0.04, 0.02 + 0.49 * number, 0.92, 0.47)) for number in range(2))


def _three_across(given: _Drawing) -> tuple[Group, ...]:
    return tuple(_filled(given, number, (0.02 + 0.325 * number, 0.2, 0.31, 0.6), most=2) for number in range(3))


def _inside(given: _Drawing) -> tuple[Group, ...]:
    centre = tuple(given.rng.uniform(0.36, 0.64, 2).tolist())
    outer = _group(given, 1, "large", ((centre[0], centre[1]),))
    inner = Group(*given.looks[0], "small", outer.diameter * 0.36, outer.centres)
    return inner, outer


def _filled(given: _Drawing, number: int, box: tuple[float, float, float, float], most: int = 4) -> Group:
    """One to four shapes in a box (left, top, width, height), each in a cell of its own."""
    rng = given.rng
    left, top, width, height = box
    count = 1 if rng.uniform() < 0.5 else int(rng.integers(2, most + 1))
    sizes: tuple[Size, ...] = ("small", "medium", "large")
    size = _one_of(rng, sizes[: max(1, (4 if most > 2 else 3) - count)])
    # cells as square as they can be
    rooms = (width / given.unit[0], height / given.unit[1])
    columns = max(range(1, count + 1), key=lambda n: min(rooms[0] / n, rooms[1] / -(-count // n)))
    rows = -(-count // columns)
    diameter = min(_between(rng, DIAMETERS[size]), 0.96 * rooms[0] / columns, 0.96 * rooms[1] / rows)
    centres = []
    for cell in rng.permutation(columns * rows)[:count].tolist():
        row, column = divmod(cell, columns)
        free = (rooms[0] / columns - diameter, rooms[1] / rows - diameter)
        shift = [float(rng.uniform(-0.4, 0.4)) * room * unit for room, unit in zip(free, given.unit, strict=True)]
        centres.append(
            (left + width * (column + 0.5) / columns + shift[0], top + height * (row + 0.5) / rows + shift[1])
        )
    shape, colour = given.looks[number]
    return Group(shape, colour, size, diameter, tuple(centres))


def _group(given: _Drawing, number: int, size: Size, centres: tuple[tuple[float, float], ...]) -> Group:
    shape, colour = given.looks[number]
    return Group(shape, colour, size, _between(given.rng, DIAMETERS[size]), centres)


_ARRANGEMENTS: Mapping[Layout, Callable[[_Drawing], tuple[Group, ...]]] = {
    "single": _single,
    "row": _row,
    "column": _column,
    "side_by_side": _side_by_side,
    "stacked": _stacked,
    "inside": _inside,
    "three_across": _three_across,
}


def _one_of(rng: np.random.Generator, choices: Sequence[T]) -> T:
    return choices[int(rng.integers(len(choices)))]


def _between(rng: np.random.Generator, limits: tuple[float, float]) -> float:
    return float(rng.uniform(*limits))
