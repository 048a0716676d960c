"""A scene in words: five captions that differ, and that are true of shapes, colours, counts, sizes and places."""

from __future__ import annotations

from collections.abc import Mapping
from string import Formatter

import numpy as np

from preprocessing.synthetic_pictures.phrases import Phrase, noun_phrase, one_of
from preprocessing.synthetic_pictures.scenes import Layout, Scene

CAPTIONS_PER_PICTURE = 5

# Fields: A, B, C the groups; isA its verb; itA its pronoun; place, ground; the words of each relation.
_TEMPLATES: Mapping[Layout, tuple[str, ...]] = {
    "single": (
        "{A} {place}",
        "{A} {place} of the picture",
        "there is {A} {place}",
        "{A} on {ground}",
        "{place} {isA} {A}",
        "a picture of {A} {place}",
        "{A} {isA} {place} of the image",
        "{A}, {place}, on {ground}",
    ),
    "row": (
        "{A} in a row",
        "{A} side by side",
        "a row of {A}",
        "{A} next to each other on {ground}",
        "there are {A} from left to right",
        "{A} are lined up horizontally",
        "a line of {A} across the picture",
    ),
    "column": (
        "{A} in a column",
        "{A} one above the other",
        "a column of {A}",
        "{A} stacked on {ground}",
        "there are {A} from top to bottom",
        "{A} are lined up vertically",
        "a pile of {A}, one over the next",
    ),
    "side_by_side": (
        "{A} {left} {B}",
        "{B} {right} {A}",
        "{A} {isA} {left} {B}",
        "{B} {isB} {right} {A}",
        "{A} and {B} side by side",
        "{A} on the left and {B} on the right",
        "there {isA} {A} {left} {B}",
        "{A} {left} {B} on {ground}",
        "on the left {isA} {A}, on the right {isB} {B}",
        "{A} beside {B}",
        "{A} with {B} to the right of {itA}",
    ),
    "stacked": (
        "{A} {above} {B}",
        "{B} {below} {A}",
        "{A} {isA} {above} {B}",
        "{B} {isB} {below} {A}",
        "{A} at the top and {B} at the bottom",
        "there {isA} {A} {above} {B}",
        "{A} {above} {B} on {ground}",
        "at the top {isA} {A}, at the bottom {isB} {B}",
        "{B} with {A} above {itB}",
        "{A} with {B} below {itA}",
    ),
    "inside": (
        "{A} inside {B}",
        "{A} {isA} in the middle of {B}",
        "{B} with {A} inside {itB}",
        "{B} around {A}",
        "there is {B} with {A} in {itB}",
        "{A} within {B} on {ground}",
        "{B} contains {A}",
        "{A} surrounded by {B}",
    ),
    "three_across": (
        "{A}, {B} and {C} from left to right",
        "{B} between {A} and {C}",
        "{B} {isB} between {A} on the left and {C} on the right",
        "from left to right: {A}, {B} and {C}",
        "{A} on the left, {B} in the middle and {C} on the right",
        "there {isA} {A}, then {B}, and {C} on the right",
        "{A}, next to {itA} {B}, and {C} at the right",
        "{A} and {C} with {B} between them",
    ),
}
_WORDS: Mapping[str, tuple[str, ...]] = {
    "left": ("to the left of", "left of", "on the left of"),
    "right": ("to the right of", "right of", "on the right of"),
    "above": ("above", "over", "higher than"),
    "below": ("below", "under", "underneath", "beneath"),
}
_GROUND_WORDS = ("background", "ground", "surface")


def draw_captions(rng: np.random.Generator, scene: Scene) -> tuple[str, ...]:
    """Five different captions of a scene, each from another template."""
    templates = _TEMPLATES[scene.layout]
    captions: list[str] = []
    for number in rng.permutation(len(templates))[:CAPTIONS_PER_PICTURE].tolist():
        caption = _fill(rng, templates[number], scene)
        while any(caption.lower() == other.lower() for other in captions):
            caption = _fill(rng, templates[number], scene)
        captions.append(caption)
    return tuple(_written(rng, caption) for caption in captions)


def _fill(rng: np.random.Generator, template: str, scene: Scene) -> str:
    """Fill a template; pronouns and verbs agree with the phrases of the same caption."""
    shapes = [group.shape for group in scene.groups]
    same = len(set(shapes)) < len(shapes)
    phrases: dict[str, Phrase] = {
        letter: noun_phrase(rng, group, with_colour=same) for letter, group in zip("ABC", scene.groups, strict=False)
    }
    texts = {letter: phrase.text for letter, phrase in phrases.items()}
    texts |= {f"is{letter}": phrase.be for letter, phrase in phrases.items()}
    texts |= {f"it{letter}": phrase.it for letter, phrase in phrases.items()}
    for field in dict.fromkeys(name for _, name, _, _ in Formatter().parse(template) if name):
        if field in _WORDS:
            texts[field] = one_of(rng, _WORDS[field])
        elif field == "ground":
            texts[field] = _ground(rng, scene)
        elif field == "place":
            texts[field] = _place(rng, scene)
    return template.format(**texts)


def _ground(rng: np.random.Generator, scene: Scene) -> str:
    """Such as `a striped grey background`."""
    words = [scene.pattern] if scene.pattern != "plain" and rng.uniform() < 0.5 else []
    return " ".join(["a", *words, scene.ground, one_of(rng, _GROUND_WORDS)])


def _place(rng: np.random.Generator, scene: Scene) -> str:
    """Where the shape of a `single` scene is."""
    assert scene.place is not None
    y, x = scene.place
    if scene.place == ("middle", "middle"):
        return one_of(rng, ("in the middle", "in the centre"))
    if "middle" not in scene.place:
        other = one_of(rng, ("upper" if y == "top" else "lower", y))
        return f"in the {other} {x} corner"
    if x == "middle":
        return f"at the {y}"
    return one_of(rng, (f"on the {x} side", f"at the {x} edge"))


def _written(rng: np.random.Generator, caption: str) -> str:
    """Raw text as annotators leave it: mostly a capital and a full stop, sometimes neither."""
    style = rng.uniform()
    if style < 0.15:
        return caption
    caption = caption[0].upper() + caption[1:]
    return caption if style < 0.3 else caption + " ."
