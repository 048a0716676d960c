from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from preprocessing.synthetic_corpus import phrases
from preprocessing.synthetic_corpus.phrases import Mention
from preprocessing.synthetic_corpus.scenes import draw_event

NOTHING = Mention(count=False, loudness=False, pitch=False, speed=False)
COUNT = replace(NOTHING, count=True)


def event(kind, count=1, **attributes):
    drawn = draw_event(np.random.default_rng(0), kind, "moderate")
    return replace(drawn, **{"count": count, "pitch": "mid", "speed": "steady", **attributes})


def all_of(form, *arguments, draws=300):
    return {form(np.random.default_rng(number), *arguments) for number in range(draws)}


@pytest.mark.parametrize(
    ("phrase", "expected"), [("owl", "an"), ("old telephone", "an"), ("bell", "a"), ("unhurried rasp", "an")]
)
def test_article(phrase, expected):
    assert phrases.article(phrase) == expected


def test_nothing_mentioned_leaves_kind_alone():
    owls = ("an owl", "an eagle owl", "a barn owl", "an owl in a forest", "an owl on a branch", "a hunting owl")
    assert all_of(phrases.clause, event("owl"), NOTHING, draws=600) == {
        f"{owl} {verb}"
        for owl in (*owls, "a night owl")
        for verb in ("hoots", "calls", "hoots at night", "calls in the night")
    }
    assert all_of(phrases.participle, event("thunder"), NOTHING) == {
        f"{thunder} {verb}"
        for thunder in ("thunder", "far-off thunder", "thunder of a storm")
        for verb in ("rumbling", "rolling", "cracking", "rumbling in the clouds", "rolling across the sky", "growling")
    }


def test_counts_are_said_exactly():
    clauses = all_of(phrases.clause, event("owl", 2), COUNT)
    assert {"an owl hoots twice", "a barn owl calls in the night two times"} <= clauses
    assert all(clause.endswith((" twice", " two times")) for clause in clauses)
    assert {text for text, _ in all_of(phrases.noun_phrase, event("owl", 4), COUNT)} == {
        "four hoots of an owl",
        "four owl calls",
        "four owl hoots",
        "four night calls of an owl",
        "four hoots of an eagle owl",
        "four hoots of a nocturnal owl",
    }


def test_a_vague_number_is_true_of_the_count():
    few = " ".join(all_of(phrases.clause, event("dog", 2), NOTHING) | all_of(phrases.heard, event("dog", 2), NOTHING))
    many = " ".join(all_of(phrases.clause, event("dog", 5), NOTHING) | all_of(phrases.heard, event("dog", 5), NOTHING))
    assert "several" not in few
    assert "repeatedly" not in few
    assert "couple" in few
    assert "couple" not in many
    assert "several times" in many


def test_a_verb_that_cannot_carry_the_count_gives_way_to_the_noun():
    clauses = all_of(phrases.clause, event("footsteps", 3), COUNT)
    assert all("three" in clause and clause.endswith(("heard", "audible")) for clause in clauses)
    assert all("walk" in clause for clause in all_of(phrases.clause, event("footsteps", 3), NOTHING))


def test_verbs_agree_with_their_subjects():
    assert {clause.split()[-1] for clause in all_of(phrases.clause, event("waves"), NOTHING)} == {
        "crash",
        "shore",
        "ashore",
        "sand",
        "ocean",
    }
    assert "waves break on the shore" in all_of(phrases.clause, event("waves"), NOTHING)
    assert {text.split()[1] for text in all_of(phrases.there_is, event("knock", 3), COUNT)} == {"are"}
    assert {text.split()[1] for text in all_of(phrases.there_is, event("knock", 1), COUNT)} == {"is"}
    assert "waves begin crashing" in all_of(phrases.start_clause, event("waves"), NOTHING)
    assert "rain starts to fall" in all_of(phrases.start_clause, event("rain"), NOTHING)


def test_a_verb_may_name_who_does_it():
    clauses = all_of(phrases.clause, event("horn"), NOTHING, draws=500)
    assert "a van honks at other cars on the road" in clauses
    assert not any("horn honks at other cars" in clause or "someone blares" in clause for clause in clauses)


def test_people_and_water_take_adverbs_not_adjectives():
    loud = Mention(count=False, loudness=True, pitch=False, speed=False)
    clauses = all_of(phrases.clause, event("drip", loudness="loud"), loud)
    assert clauses
    assert all(clause.endswith(("loudly", "noisily")) for clause in clauses)


def test_what_has_no_word_is_never_mentioned():
    for number in range(200):
        mention = phrases.draw_mention(np.random.default_rng(number), event("bell"))
        assert not mention.pitch
        assert not mention.speed
