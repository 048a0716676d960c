"""A scene in words: five captions that differ, and that are true of kinds, order, counts and attributes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from string import Formatter

import numpy as np

from preprocessing.synthetic_corpus import phrases
from preprocessing.synthetic_corpus.phrases import Mention
from preprocessing.synthetic_corpus.scenes import Event, Layout, Scene

CAPTIONS_PER_CLIP = 5

# A field of a template is a letter, the form of the phrase, and a digit, the event of the scene.
_FORMS: Mapping[str, Callable[[np.random.Generator, Event, Mention], str]] = {
    "f": phrases.clause,
    "s": phrases.start_clause,
    "g": phrases.participle,
    "n": lambda rng, event, mention: phrases.noun_phrase(rng, event, mention)[0],
    "h": phrases.heard,
    "t": phrases.there_is,
}

_TEMPLATES: Mapping[Layout, tuple[str, ...]] = {
    "single": (
        "{f1}",
        "{h1}",
        "{t1}",
        "{g1}",
        "the sound of {n1}",
        "a recording of {g1}",
        "{n1}, and then nothing more",
        "all that happens is that {f1}",
        "we hear {n1}",
    ),
    "sequence": (
        "{f1}, then {s2}",
        "{f1} and then {f2}",
        "{n1} followed by {n2}",
        "{g1}, followed by {n2}",
        "{f2} after {n1}",
        "after {n1}, {s2}",
        "before {f2}, {f1}",
        "{f1} before {s2}",
        "first {f1}, then {f2}",
        "{t1}, and later {n2}",
        "{h1}, and afterwards {f2}",
        "{n1}, then {n2}",
        "{n2} after {n1}",
    ),
    "overlap": (
        "{f1} while {f2}",
        "while {f2}, {f1}",
        "{f1} as {f2}",
        "{g1} while {f2}",
        "{f1} over {n2}",
        "{n1} on top of {n2}",
        "{n1} and {n2} at the same time",
        "{t1} over {n2}",
        "{f2} and meanwhile {f1}",
        "{f2}, and over it {f1}",
    ),
    "long_sequence": (
        "{f1}, then {f2}, and finally {s3}",
        "{n1}, then {n2}, then {n3}",
        "{n1} followed by {n2} and then {n3}",
        "first {f1}, then {f2}, and last {f3}",
        "{f1}, after that {f2}, and at the end {f3}",
        "after {n1}, {f2}, and then {s3}",
        "{t1}, then {n2}, and lastly {n3}",
        "{g1}, next {n2}, and finally {n3}",
        "{f1} before {f2}, and then {s3}",
    ),
    "overlap_then": (
        "{f1} while {f2}, then {s3}",
        "while {f2}, {f1}, and then {f3}",
        "{n1} over {n2}, followed by {n3}",
        "{f1} as {f2}, and afterwards {s3}",
        "{n1} and {n2} at the same time, then {n3}",
        "after {n1} over {n2}, {f3}",
        "{f3} after {n1} on top of {n2}",
        "{f1} over {n2}, and finally {f3}",
    ),
}
# Said only when the second event of an overlap is softer than the first.
_BACKGROUND_TEMPLATES: Mapping[Layout, tuple[str, ...]] = {
    "overlap": (
        "{f1} with {n2} in the background",
        "{n1} with {n2} in the background",
        "in the background {f2} while {f1}",
        "{f1}, and in the background {f2}",
        "{n2} behind {n1}",
    ),
    "overlap_then": (
        "{f1} with {n2} in the background, then {s3}",
        "{n1} with {n2} in the background, followed by {n3}",
        "after {n1} with {n2} in the background, {f3}",
    ),
}
_DETAIL: Mapping[Layout, float] = {
    "single": 1.0,
    "sequence": 0.9,
    "overlap": 0.9,
    "long_sequence": 0.75,
    "overlap_then": 0.75,
}


def draw_captions(rng: np.random.Generator, scene: Scene) -> tuple[str, ...]:
    """Five different captions of a scene, each from another template."""
    templates = _TEMPLATES[scene.layout]
    if scene.layout in _BACKGROUND_TEMPLATES and scene.events[1].loudness != scene.events[0].loudness:
        templates += _BACKGROUND_TEMPLATES[scene.layout]
    captions: list[str] = []
    for number in rng.permutation(len(templates))[:CAPTIONS_PER_CLIP]:
        caption = _fill(rng, templates[number], scene)
        while any(caption.lower() == other.lower() for other in captions):
            caption = _fill(rng, templates[number], scene)
        captions.append(caption)
    return tuple(_written(rng, caption) for caption in captions)


def _fill(rng: np.random.Generator, template: str, scene: Scene) -> str:
    """Fill a template; the letter of a field says in which form."""
    fields = [name for _, name, _, _ in Formatter().parse(template) if name]
    texts = {}
    for name in fields:
        event = scene.events[int(name[1]) - 1]
        mention = phrases.draw_mention(rng, event, _DETAIL[scene.layout])
        texts[name] = _FORMS[name[0]](rng, event, mention)
    return template.format(**texts)


def _written(rng: np.random.Generator, caption: str) -> str:
    """Raw text as annotators leave it: mostly a capital and a full stop, sometimes neither."""
    style = rng.uniform()
    if style < 0.15:
        return caption
    caption = caption[0].upper() + caption[1:]
    return caption if style < 0.3 else caption + "."
