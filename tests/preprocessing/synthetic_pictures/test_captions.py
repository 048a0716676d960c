from __future__ import annotations

import re

import numpy as np
import pytest

from preprocessing.synthetic_pictures.phrases import COLOUR_WORDS, NUMBER_WORDS, SHAPE_WORDS, noun_phrase
from preprocessing.synthetic_pictures.pictures import plan_picture
from preprocessing.synthetic_pictures.scenes import COLOURS, Group

SHAPE_OF = {word: shape for shape, forms in SHAPE_WORDS.items() for form in forms for word in form}
COLOUR_OF = {word: colour for colour in COLOURS for word in COLOUR_WORDS.get(colour, (colour,))}
NUMBER_OF = {word: number for number, words in NUMBER_WORDS.items() for word in words}
GROUND = re.compile(r"\bon a [\w ]+ (?:background|ground|surface)")
MENTION = re.compile(
    rf"\b(?:(?P<number>{'|'.join(NUMBER_OF)}|an?|some) )(?:(?:small|little|tiny|large|big|huge|single) )?"
    rf"(?:(?P<colour>{'|'.join(sorted(COLOUR_OF, key=len, reverse=True))}) )?"
    rf"(?P<shape>{'|'.join(sorted(SHAPE_OF, key=len, reverse=True))})\b"
)


@pytest.fixture(scope="module")
def plans():
    return [plan_picture(3, 2, index) for index in range(300)]


def mentions(caption):
    """(shape, colour or None, number or None) of everything that a caption names, in its order."""
    text = GROUND.sub("", caption.lower())
    found = []
    for match in MENTION.finditer(text):
        number = {"a": 1, "an": 1, "some": None}.get(match["number"], NUMBER_OF.get(match["number"]))
        found.append((SHAPE_OF[match["shape"]], COLOUR_OF.get(match["colour"] or ""), number))
    return found


def fits(mention, group):
    shape, colour, number = mention
    return shape == group.shape and colour in (None, group.colour) and number in (None, group.count)


def test_five_different_captions(plans):
    for plan in plans:
        assert len({caption.lower() for caption in plan.captions}) == 5
        assert all(len(caption.split()) >= 3 for caption in plan.captions)


def test_captions_are_true_of_their_own_picture(plans):
    for plan in plans:
        for caption in plan.captions:
            if plan.scene.layout in ("row", "column") and not mentions(caption):
                continue  # `a row of three circles` has its number behind `of`
            found = mentions(caption)
            assert len(found) == len(plan.scene.groups), caption
            assert all(any(fits(mention, group) for group in plan.scene.groups) for mention in found), caption


def test_the_order_of_a_relation_is_that_of_the_picture(plans):
    ahead = {"left of", "above", "over", "higher than"}
    behind = {"right of", "below", "under", "underneath", "beneath"}
    checked = 0
    for plan in plans:
        for caption in plan.captions:
            relation = re.search(
                rf"(?:are|is|{'|'.join(SHAPE_OF)}) (?:(?:to|on) the )?({'|'.join(ahead | behind)}) ", caption
            )
            if plan.scene.layout in ("side_by_side", "stacked") and relation and " with " not in caption:
                first, second = mentions(caption)
                groups = plan.scene.groups if relation[1] in ahead else plan.scene.groups[::-1]
                assert fits(first, groups[0]), caption
                assert fits(second, groups[1]), caption
                checked += 1
    assert checked > 200


def test_the_place_of_a_single_shape_is_said(plans):
    opposite = {"top": "bottom|lower", "bottom": "top|upper", "left": r"\bright (?:side|edge|corner)", "right": "left"}
    for plan in plans:
        for word in plan.scene.place or ():
            for caption in plan.captions if word in opposite else ():
                assert not re.search(opposite[word], caption), caption


def test_articles_and_plurals():
    rng = np.random.default_rng(0)
    one = Group("star", "orange", "medium", 0.2, ((0.5, 0.5),))
    texts = {noun_phrase(rng, one, with_colour=True).text for _ in range(50)}
    assert texts == {"an orange star", "an orange five-pointed star"}
    two = Group("cross", "black", "small", 0.1, ((0.2, 0.5), (0.8, 0.5)))
    phrases = [noun_phrase(rng, two, with_colour=False) for _ in range(80)]
    assert all(
        phrase.plural and phrase.be == "are" and phrase.text.endswith(("crosses", "plus signs")) for phrase in phrases
    )
    assert {"two", "a", "some"} == {phrase.text.split()[0] for phrase in phrases}


def test_captions_are_varied(plans):
    captions = [caption.lower() for plan in plans for caption in plan.captions]
    assert len(set(captions)) > 0.9 * len(captions)
