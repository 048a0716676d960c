"""Captions read back by an independent parser, and compared with the events that they tell of."""

from __future__ import annotations

import re
from collections import Counter

import numpy as np
import pytest

from preprocessing.synthetic_corpus.captions import draw_captions
from preprocessing.synthetic_corpus.kinds import KINDS, LEVEL_DB
from preprocessing.synthetic_corpus.scenes import draw_scene

KIND_PATTERNS = {
    "bell": r"\bbell\b",
    "alarm": r"\balarm",
    "knock": r"\bknock|\braps?\b|\brapping|door\b",
    "dog": r"\bdogs?\b|\bhound|\bsheepdog",
    "drip": r"\bdrip|water drops?\b",
    "footsteps": r"\bfoot(?!ball)|\bwalk",
    "bird": r"\bbird|\bsongbird|\bthrush|\bstarling|\bwren\b",
    "horn": r"\bhorn\b|\bhonk|\bhooter",
    "whistle": r"\bwhistle",
    "owl": r"\bowl\b",
    "clap": r"\b(hand)?claps?\b|\bclapping",
    "telephone": r"phone\b",
    "siren": r"\bsiren|\bemergency",
    "engine": r"\bengine|\bmotor",
    "rain": r"\brain",
    "wind": r"\bwindy?\b",
    "clock": r"\bclock",
    "saw": r"\bsaw",
    "waves": r"\bwaves\b",
    "insect": r"\binsect|\bbugs?\b|\bbeetle|\bdragonfly",
    "thunder": r"\bthunder",
    "typing": r"\btyp|keyboard",
    "cricket": r"\bcricket|\bgrasshopper|\bcicada",
    "helicopter": r"\bhelicopter",
}
COUNT_WORDS = {
    r"\bonce\b|\bsingle\b": 1,
    r"\btwice\b|\btwo\b|\bcouple\b": 2,
    r"\bthree\b": 3,
    r"\bfour\b": 4,
    r"\bfive\b": 5,
}
WORDS_OF = {
    "loudness": {
        "quiet": r"\b(quiet|soft|faint)(ly)?\b",
        "moderate": r"\bmoderate|\bmedium",
        "loud": r"(?<!moderately )(?<!medium-)\b(loud|noisy|loudly|noisily)\b",
    },
    "pitch": {
        "low": r"\b(deep|low|big|large)\b",
        "high": r"\b(high|shrill|small|little)\b",
    },
    "speed": {
        "slow": r"\b(slow|slowly|unhurried)\b",
        "fast": r"\b(fast|rapid|quick|rapidly|quickly)\b",
    },
}
WITH = r"with(?! both hands| a hand saw| a wood saw)"
TOGETHER = rf"while|as|over|on top of|meanwhile|{WITH}|in the background|behind|at the same time"
IN_TURN = r"then|next|after that|after|before|followed by|finally|lastly|last|at the end|later|afterwards|first"
# `and` joins two events, unless an adverb follows it
BOUNDARY = re.compile(rf",|\b({TOGETHER}|{IN_TURN})\b|\band (?!at a|down|(?:very )?\w+ly\b(?! loud))")


def segments(text):
    """The parts of a caption that tell of one event each, in the order of the text."""
    parts = (part.strip() for part in BOUNDARY.sub("|", text.lower().rstrip(".")).split("|"))
    return [part for part in parts if part not in ("", "and", "it", "nothing more")]


def kinds_in(text):
    return [kind for kind, pattern in KIND_PATTERNS.items() if re.search(pattern, text)]


@pytest.fixture(scope="module")
def drawn():
    """(scene, its five captions), many times."""
    pairs = []
    for number in range(800):
        rng = np.random.default_rng([4, number])
        scene = draw_scene(rng)
        pairs.append((scene, draw_captions(rng, scene)))
    return pairs


@pytest.fixture(scope="module")
def read(drawn):
    """(scene, caption, [(event, its segment) in the order of the text])."""
    result = []
    for scene, captions in drawn:
        events = {event.kind: event for event in scene.events}
        for caption in captions:
            parts = segments(caption)
            named = [kinds_in(part) for part in parts]
            assert all(len(kinds) == 1 for kinds in named), (caption, parts, named)
            told = [(events[kinds[0]], part) for kinds, part in zip(named, parts, strict=True)]
            result.append((scene, caption, told))
    return result


def test_the_parser_knows_every_kind():
    assert set(KIND_PATTERNS) == set(KINDS)


def test_every_caption_names_exactly_the_kinds_of_its_clip(read):
    for scene, caption, told in read:
        assert Counter(event.kind for event, _ in told) == Counter(event.kind for event in scene.events), caption


def test_counts_are_true(read):
    said = 0
    for _, caption, told in read:
        for event, text in told:
            for pattern, count in COUNT_WORDS.items():
                if re.search(pattern, text):
                    assert event.count == count, caption
                    said += 1
            if "several" in text or "repeatedly" in text:
                assert event.count >= 3, caption
    assert said > 1000


@pytest.mark.parametrize("attribute", WORDS_OF)
def test_attributes_are_true(read, attribute):
    said = Counter()
    for _, caption, told in read:
        for event, text in told:
            for word, pattern in WORDS_OF[attribute].items():
                if re.search(pattern, text):
                    assert vars(event)[attribute] == word, caption
                    said[word] += 1
    assert min(said[word] for word in WORDS_OF[attribute]) > 100


def test_order_is_true(read):
    for scene, caption, told in read:
        if len(told) == 1 or scene.layout == "overlap":
            continue
        lower = caption.lower()
        kinds = [event.kind for event, _ in told]
        in_time = [event.kind for event in scene.events]
        if re.search(r"\w after (?!that)", lower):  # `Y after X`
            kinds = kinds[1:] + kinds[:1]
        if lower.startswith("before "):  # `before Y, X`
            kinds = kinds[::-1]
        if scene.layout == "overlap_then":
            assert kinds[-1] == in_time[-1], caption
        else:
            assert kinds == in_time, caption


def test_simultaneity_is_said_of_overlaps_alone(read):
    for scene, caption, _ in read:
        found = re.search(rf"\b({TOGETHER})\b", caption, re.IGNORECASE) is not None
        assert found == scene.layout.startswith("overlap"), caption


def test_a_background_is_softer_than_what_is_in_front_of_it(read):
    seen = 0
    for scene, caption, _ in read:
        before, background, after = re.sub(" behind ", " in the background |", caption.lower()).partition(
            "in the background"
        )
        if not background:
            continue
        seen += 1
        front, back = scene.events[:2]
        named = segments(after)[0] if before.endswith(("and ",)) or not before else segments(before)[-1]
        assert kinds_in(named) == [back.kind], caption
        assert LEVEL_DB[back.loudness] < LEVEL_DB[front.loudness], caption
    assert seen > 100


def test_five_different_captions_without_slips(drawn):
    for _, captions in drawn:
        assert len(captions) == 5
        assert len({caption.lower().rstrip(".") for caption in captions}) == 5
        for caption in captions:
            assert not re.search(r"\s\s|^\s|\s$|\s[,.]|,,|\.\.", caption), caption
            assert not re.search(r"\ba [aeiou]|\ban [^aeiou]", caption, re.IGNORECASE), caption
            assert not re.search(r"\bthere is (two|three|four|five|several|some|a couple)", caption, re.I), caption
            assert not re.search(r"\bthere are (a (?!couple)|an |the )", caption, re.IGNORECASE), caption
            assert not re.search(r"\b(\w+) \1\b", caption, re.IGNORECASE), caption
            assert "{" not in caption
            assert "None" not in caption


def test_english_varies(drawn):
    captions = [caption for _, five in drawn for caption in five]
    assert len(set(captions)) > 0.95 * len(captions)
    assert len({word for caption in captions for word in re.findall(r"[a-z]+", caption.lower())}) > 180
    ends = np.mean([caption.endswith(".") for caption in captions])
    capitals = np.mean([caption[0].isupper() for caption in captions])
    assert 0.6 < ends < capitals < 0.95
