"""Who sounds, what it does, and what is heard: the words of one kind, and how they are inflected.

An event is described in one of two ways: as a clause (`a deep bell rings twice`) made of an Agent and a Verb,
or as a noun phrase (`two strikes of a deep bell`) made of a Unit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from preprocessing.synthetic_corpus.kinds import Pitch

# How a noun behaves: `a` takes an article, `mass` and `plural` none; `person` and `bare` take no adjective.
Form = Literal["a", "mass", "plural", "person", "bare"]

# Of what makes a sound (`a shrill whistle`), where `a high whistle` could be one on a tower.
_AGENT_PITCH: Mapping[Pitch, tuple[str, ...]] = {
    "low": ("deep", "low-pitched"),
    "high": ("high-pitched", "shrill"),
}


@dataclass(frozen=True)
class Agent:
    """Who or what sounds: the subject of a clause. A `person` carries its article in `noun`."""

    noun: str
    form: Form = "a"


@dataclass(frozen=True)
class Verb:
    """What the agent does.

    Attributes:
        plain: with a plural agent (`waves crash`).
        third: with a singular agent (`rain falls`).
        gerund: `falling`.
        tail: what follows the verb at once (`on a door`).
        countable: whether `three times` may follow and gives the number of strikes.
        agents: who does it, where that is not any agent of the kind (`a player blows a whistle`).
    """

    plain: str
    third: str
    gerund: str
    tail: str = ""
    countable: bool = True
    agents: tuple[Agent, ...] = ()


@dataclass(frozen=True)
class Unit:
    """The sound as a noun phrase.

    Attributes:
        one: singular, or mass, noun (`knock`, `rain`).
        many: plural; empty for a steady sound.
        tail: what follows the noun (`of a dog`, `on wood`).
        form: how `one` behaves; `plural` is for a steady sound that is a plural noun.
    """

    one: str
    many: str = ""
    tail: str = ""
    form: Form = "a"


@dataclass(frozen=True)
class Words:
    """All the words of one kind; `pitch` holds the adjectives of its agents."""

    agents: tuple[Agent, ...]
    verbs: tuple[Verb, ...]
    units: tuple[Unit, ...]
    pitch: Mapping[Pitch, tuple[str, ...]] = field(default_factory=lambda: _AGENT_PITCH)


PEOPLE = tuple(Agent(noun, "person") for noun in ("someone", "a person", "somebody"))


def agents(*nouns: str, form: Form = "a") -> tuple[Agent, ...]:
    """Several agents of one form."""
    return tuple(Agent(noun, form) for noun in nouns)


def verb(plain: str, tail: str = "", *, gerund: str = "", countable: bool = True, by: tuple[Agent, ...] = ()) -> Verb:
    """A regular verb; `gerund` where more is done than to drop an e (`tapping`)."""
    if plain.endswith("y") and plain[-2] not in "aeiou":
        third = plain[:-1] + "ies"
    else:
        third = plain + ("es" if plain.endswith(("s", "sh", "ch", "x", "z", "o")) else "s")
    return Verb(plain, third, gerund or plain.removesuffix("e") + "ing", tail, countable, by)


def counted(*phrases: tuple[str, str]) -> tuple[Unit, ...]:
    """Strikes that can be counted, as (noun, tail); the plural takes an s."""
    return tuple(Unit(noun, noun + "s", tail) for noun, tail in phrases)


def steady(*phrases: tuple[str, str], form: Form = "a") -> tuple[Unit, ...]:
    """Sounds that go on, as (noun, tail)."""
    return tuple(Unit(noun, tail=tail, form=form) for noun, tail in phrases)
