"""One event in words: as a clause, with a participle, or as a noun phrase."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from preprocessing.synthetic_corpus.kinds import KINDS
from preprocessing.synthetic_corpus.scenes import Event
from preprocessing.synthetic_corpus.vocabulary import (
    LOUDNESS_ADJECTIVES,
    LOUDNESS_ADVERBS,
    NUMBERS,
    PITCH_ADJECTIVES,
    SPEED_ADJECTIVES,
    SPEED_ADVERBS,
    WORDS,
)
from preprocessing.synthetic_corpus.word_forms import Agent, Unit, Verb

T = TypeVar("T")


@dataclass(frozen=True)
class Mention:
    """Which attributes of an event a phrase tells; what is left out is never contradicted."""

    count: bool
    loudness: bool
    pitch: bool
    speed: bool


def draw_mention(rng: np.random.Generator, event: Event, detail: float = 1.0) -> Mention:
    """Attributes worth telling, each with its own chance.

    Args:
        rng: draws them.
        event: attributes that it has no word for are never mentioned.
        detail: 0..1, scales the chances; long captions tell less of each event.
    """
    chances = detail * np.array([0.7, 0.1 if event.loudness == "moderate" else 0.45, 0.5, 0.45])
    count, loudness, pitch, speed = (rng.uniform(size=4) < chances).tolist()
    return Mention(count, loudness, pitch and event.pitch != "mid", speed and event.speed != "steady")


def article(phrase: str) -> str:
    """`a` or `an`, by the first letter: no word of the vocabulary is spoken against its spelling."""
    return "an" if phrase[0] in "aeiou" else "a"


def clause(rng: np.random.Generator, event: Event, mention: Mention) -> str:
    """A finite clause, such as `a deep bell rings loudly three times`."""
    agent, verb = _agent_and_verb(rng, event, mention)
    if agent is None:  # no verb can carry the count
        return heard(rng, event, mention)
    subject, adverbs = _subject(rng, event, mention, agent)
    finite = verb.plain if agent.form == "plural" else verb.third
    return _join(subject, finite, verb.tail, adverbs, _times(rng, event, mention, verb))


def start_clause(rng: np.random.Generator, event: Event, mention: Mention) -> str:
    """Return a clause that says that a steady sound begins (`rain starts falling`); of others, the usual clause."""
    if KINDS[event.kind].counted:
        return clause(rng, event, mention)
    words = WORDS[event.kind]
    verb = _one_of(rng, words.verbs)
    agent = _one_of(rng, verb.agents or words.agents)
    subject, adverbs = _subject(rng, event, mention, agent)
    start = _one_of(rng, ("start", "begin")) + ("" if agent.form == "plural" else "s")
    action = _one_of(rng, (verb.gerund, f"to {verb.plain}"))
    return _join(subject, start, action, verb.tail, adverbs)


def participle(rng: np.random.Generator, event: Event, mention: Mention) -> str:
    """A clause without a finite verb, such as `a deep bell ringing three times`."""
    agent, verb = _agent_and_verb(rng, event, mention)
    if agent is None:
        return noun_phrase(rng, event, mention)[0]
    subject, adverbs = _subject(rng, event, mention, agent)
    return _join(subject, verb.gerund, verb.tail, adverbs, _times(rng, event, mention, verb))


def heard(rng: np.random.Generator, event: Event, mention: Mention) -> str:
    """A finite clause around the noun phrase, such as `three knocks on wood are heard`."""
    phrase, plural = noun_phrase(rng, event, mention)
    verb = _one_of(rng, (("is heard", "are heard"), ("can be heard", "can be heard"), ("is audible", "are audible")))
    return f"{phrase} {verb[plural]}"


def there_is(rng: np.random.Generator, event: Event, mention: Mention) -> str:
    """`there is` or `there are` with the noun phrase."""
    phrase, plural = noun_phrase(rng, event, mention)
    return f"there {'are' if plural else 'is'} {phrase}"


def noun_phrase(rng: np.random.Generator, event: Event, mention: Mention) -> tuple[str, bool]:
    """A noun phrase, such as `three loud knocks on wood`, and whether it is plural."""
    unit = _one_of(rng, WORDS[event.kind].units)
    adjectives = []
    if mention.loudness:
        adjectives.append(_one_of(rng, LOUDNESS_ADJECTIVES[event.loudness]))
    if mention.speed:
        adjectives.append(_one_of(rng, SPEED_ADJECTIVES[event.speed]))
    if mention.pitch:
        adjectives.append(_one_of(rng, PITCH_ADJECTIVES[event.pitch]))
    if not KINDS[event.kind].counted:
        return _steady_phrase(unit, adjectives), unit.form == "plural"
    if event.count == 1:
        adjectives = [*(["single"] if mention.count and rng.uniform() < 0.6 else []), *adjectives]
        phrase = _join(*adjectives, unit.one, unit.tail)
        return f"{article(phrase)} {phrase}", False
    number = NUMBERS[event.count] if mention.count else _vague_number(rng, event)
    return _join(number, *adjectives, unit.many, unit.tail), True


def _steady_phrase(unit: Unit, adjectives: list[str]) -> str:
    """`loud rain`, `a loud siren sound`, `the loud wail of a siren`."""
    phrase = _join(*adjectives, unit.one, unit.tail)
    if unit.tail.startswith("of "):
        return f"the {phrase}"
    return f"{article(phrase)} {phrase}" if unit.form == "a" else phrase


def _agent_and_verb(rng: np.random.Generator, event: Event, mention: Mention) -> tuple[Agent | None, Verb]:
    """Choose who does what; no agent when the count is mentioned and the verb cannot express it."""
    words = WORDS[event.kind]
    verb = _one_of(rng, words.verbs)
    agent = _one_of(rng, verb.agents or words.agents)
    return (None if mention.count and not verb.countable else agent), verb


def _subject(rng: np.random.Generator, event: Event, mention: Mention, agent: Agent) -> tuple[str, str]:
    """The subject with its adjectives, and the adverbs that tell what the adjectives did not."""
    fixed = agent.form in ("person", "bare")
    as_adjective = not fixed and (mention.speed or rng.uniform() < 0.5)
    adjectives, adverbs = [], []
    if mention.speed:
        adverbs.append(_one_of(rng, SPEED_ADVERBS[event.speed]))
    if mention.loudness and as_adjective:
        adjectives.append(_one_of(rng, LOUDNESS_ADJECTIVES[event.loudness]))
    elif mention.loudness:
        adverbs.append(_one_of(rng, LOUDNESS_ADVERBS[event.loudness]))
    if mention.pitch and not fixed:
        adjectives.append(_one_of(rng, WORDS[event.kind].pitch[event.pitch]))
    phrase = _join(*adjectives, agent.noun)
    subject = f"{article(phrase)} {phrase}" if agent.form == "a" else phrase
    return subject, " and ".join(adverbs)


def _times(rng: np.random.Generator, event: Event, mention: Mention, verb: Verb) -> str:
    """`three times`, or a vaguer word, or nothing."""
    if not KINDS[event.kind].counted or not verb.countable:
        return ""
    if not mention.count:
        return _one_of(rng, ("several times", "repeatedly", "")) if event.count >= 3 else ""
    exact = {1: ("once", "a single time", "just once"), 2: ("twice", "two times")}
    return _one_of(rng, exact.get(event.count, (f"{NUMBERS.get(event.count)} times",)))


def _vague_number(rng: np.random.Generator, event: Event) -> str:
    """A word for more than one that is true of this many."""
    return _one_of(rng, ("several", "some", "")) if event.count >= 3 else _one_of(rng, ("a couple of", ""))


def _join(*parts: str) -> str:
    return " ".join(part for part in parts if part)


def _one_of(rng: np.random.Generator, choices: Sequence[T]) -> T:
    return choices[int(rng.integers(len(choices)))]
