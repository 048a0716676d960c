"""The words of each kind, and those of loudness, pitch, speed and number.

An event is told in one of two ways: as a clause (`a deep bell rings twice`) made of an Agent and a Verb,
or as a noun phrase (`two strikes of a deep bell`) made of a Unit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from preprocessing.synthetic_corpus.kinds import Loudness, Pitch, Speed

# Of a sound (`a deep bark`) ...
PITCH_ADJECTIVES: Mapping[Pitch, tuple[str, ...]] = {
    "low": ("deep", "low", "low-pitched"),
    "high": ("high", "high-pitched"),
}
# ... and of what makes it (`a shrill whistle`), where `a high whistle` could be one on a tower.
_AGENT_PITCH: Mapping[Pitch, tuple[str, ...]] = {
    "low": ("deep", "low-pitched"),
    "high": ("high-pitched", "shrill"),
}
_CREATURE_PITCH: Mapping[Pitch, tuple[str, ...]] = {
    "low": ("low-pitched", "deep-sounding"),
    "high": ("high-pitched", "shrill-sounding"),
}
# How a noun behaves: `a` takes an article, `mass` and `plural` none; `person` and `bare` take no adjective.
Form = Literal["a", "mass", "plural", "person", "bare"]


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
        countable: whether `three times` may follow and tells the number of strikes.
    """

    plain: str
    third: str
    gerund: str
    tail: str = ""
    countable: bool = True


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


LOUDNESS_ADJECTIVES: Mapping[Loudness, tuple[str, ...]] = {
    "quiet": ("quiet", "soft", "faint"),
    "moderate": ("moderately loud", "medium-loud"),
    "loud": ("loud", "very loud", "noisy"),
}
LOUDNESS_ADVERBS: Mapping[Loudness, tuple[str, ...]] = {
    "quiet": ("quietly", "softly", "faintly"),
    "moderate": ("at a medium volume", "at a moderate level"),
    "loud": ("loudly", "very loudly", "noisily"),
}
SPEED_ADJECTIVES: Mapping[Speed, tuple[str, ...]] = {"slow": ("slow", "unhurried"), "fast": ("fast", "rapid", "quick")}
SPEED_ADVERBS: Mapping[Speed, tuple[str, ...]] = {
    "slow": ("slowly", "at a slow pace"),
    "fast": ("quickly", "rapidly", "at a fast pace"),
}
NUMBERS: Mapping[int, str] = {2: "two", 3: "three", 4: "four", 5: "five"}

_SOMEONE = (Agent("someone", "person"), Agent("a person", "person"))
_SIZED_VOICE: Mapping[Pitch, tuple[str, ...]] = {
    "low": ("big", "large", "deep-voiced"),
    "high": ("small", "little", "high-voiced"),
}

WORDS: Mapping[str, Words] = {
    "bell": Words(
        (Agent("bell"), Agent("church bell"), Agent("metal bell")),
        (
            Verb("ring", "rings", "ringing"),
            Verb("toll", "tolls", "tolling"),
            Verb("chime", "chimes", "chiming"),
        ),
        (
            Unit("bell strike", "bell strikes"),
            Unit("stroke", "strokes", "of a bell"),
            Unit("chime", "chimes", "of a bell"),
        ),
    ),
    "alarm": Words(
        (Agent("alarm"), Agent("electronic alarm"), Agent("alarm buzzer")),
        (
            Verb("beep", "beeps", "beeping"),
            Verb("sound", "sounds", "sounding"),
            Verb("bleep", "bleeps", "bleeping"),
        ),
        (
            Unit("alarm beep", "alarm beeps"),
            Unit("beep", "beeps", "of an alarm"),
            Unit("bleep", "bleeps", "of an alarm"),
        ),
    ),
    "knock": Words(
        _SOMEONE,
        (
            Verb("knock", "knocks", "knocking", "on wood"),
            Verb("knock", "knocks", "knocking", "on a door"),
            Verb("rap", "raps", "rapping", "on a wooden door"),
        ),
        (
            Unit("knock", "knocks", "on wood"),
            Unit("knock", "knocks", "on a door"),
            Unit("rap", "raps", "on a wooden board"),
        ),
    ),
    "dog": Words(
        (Agent("dog"), Agent("hound")),
        (Verb("bark", "barks", "barking"), Verb("woof", "woofs", "woofing")),
        (
            Unit("bark", "barks", "of a dog"),
            Unit("dog bark", "dog barks"),
            Unit("woof", "woofs", "from a dog"),
        ),
        _SIZED_VOICE,
    ),
    "drip": Words(
        (Agent("water", "bare"), Agent("a tap", "person")),
        (Verb("drip", "drips", "dripping"),),
        (
            Unit("water drop", "water drops"),
            Unit("drip", "drips", "of water"),
            Unit("plop", "plops", "of dripping water"),
        ),
    ),
    "footsteps": Words(
        _SOMEONE,
        (
            Verb("walk", "walks", "walking", "past", countable=False),
            Verb("walk", "walks", "walking", "on a hard floor", countable=False),
        ),
        (
            Unit("footstep", "footsteps"),
            Unit("footstep", "footsteps", "on a hard floor"),
            Unit("step", "steps", "of someone walking"),
        ),
    ),
    "bird": Words(
        (Agent("bird"), Agent("songbird")),
        (
            Verb("chirp", "chirps", "chirping"),
            Verb("tweet", "tweets", "tweeting"),
            Verb("peep", "peeps", "peeping"),
        ),
        (
            Unit("bird chirp", "bird chirps"),
            Unit("chirp", "chirps", "of a bird"),
            Unit("tweet", "tweets", "of a bird"),
        ),
        _CREATURE_PITCH,
    ),
    "horn": Words(
        (Agent("car horn"), Agent("horn"), Agent("vehicle horn")),
        (
            Verb("honk", "honks", "honking"),
            Verb("blare", "blares", "blaring"),
            Verb("toot", "toots", "tooting"),
        ),
        (
            Unit("honk", "honks", "of a car horn"),
            Unit("horn blast", "horn blasts"),
            Unit("toot", "toots", "of a horn"),
        ),
    ),
    "whistle": Words(
        (Agent("whistle"), Agent("sports whistle"), Agent("pea whistle")),
        (
            Verb("blow", "blows", "blowing"),
            Verb("sound", "sounds", "sounding"),
            Verb("trill", "trills", "trilling"),
        ),
        (
            Unit("whistle blast", "whistle blasts"),
            Unit("blast", "blasts", "of a whistle"),
            Unit("trill", "trills", "of a whistle"),
        ),
    ),
    "owl": Words(
        (Agent("owl"),),
        (Verb("hoot", "hoots", "hooting"), Verb("call", "calls", "calling")),
        (Unit("hoot", "hoots", "of an owl"), Unit("owl call", "owl calls"), Unit("owl hoot", "owl hoots")),
    ),
    "clap": Words(
        _SOMEONE,
        (Verb("clap", "claps", "clapping"), Verb("clap", "claps", "clapping", "with both hands")),
        (Unit("hand clap", "hand claps"), Unit("clap", "claps", "of hands"), Unit("clap", "claps")),
    ),
    "telephone": Words(
        (Agent("telephone"), Agent("phone"), Agent("old telephone")),
        (Verb("ring", "rings", "ringing"),),
        (
            Unit("telephone ring", "telephone rings"),
            Unit("ring", "rings", "of a phone"),
            Unit("ring", "rings", "of an old telephone"),
        ),
    ),
    "siren": Words(
        (Agent("siren"), Agent("emergency siren")),
        (Verb("wail", "wails", "wailing"), Verb("sweep", "sweeps", "sweeping", "up and down")),
        (Unit("wail", tail="of a siren"), Unit("siren sound"), Unit("wailing siren")),
    ),
    "engine": Words(
        (Agent("engine"), Agent("motor")),
        (Verb("run", "runs", "running"), Verb("drone", "drones", "droning")),
        (Unit("drone", tail="of an engine"), Unit("engine noise", form="mass"), Unit("running motor")),
    ),
    "rain": Words(
        (Agent("rain", "mass"),),
        (
            Verb("fall", "falls", "falling"),
            Verb("pour", "pours", "pouring", "down"),
            Verb("patter", "patters", "pattering"),
        ),
        (Unit("rain", form="mass"), Unit("patter", tail="of rain"), Unit("rainfall", form="mass")),
    ),
    "wind": Words(
        (Agent("wind", "mass"),),
        (
            Verb("blow", "blows", "blowing"),
            Verb("howl", "howls", "howling"),
            Verb("gust", "gusts", "gusting"),
        ),
        (Unit("wind", form="mass"), Unit("howl", tail="of the wind"), Unit("gusting wind", form="mass")),
    ),
    "clock": Words(
        (Agent("clock"), Agent("wall clock")),
        (Verb("tick", "ticks", "ticking"), Verb("tick", "ticks", "ticking", "away")),
        (Unit("ticking", tail="of a clock"), Unit("ticking clock"), Unit("tick-tock", tail="of a clock")),
    ),
    "saw": Words(
        _SOMEONE,
        (Verb("saw", "saws", "sawing", "wood"), Verb("saw", "saws", "sawing", "through a board")),
        (
            Unit("sawing", tail="of wood"),
            Unit("rasp", tail="of a hand saw"),
            Unit("hand sawing", form="mass"),
        ),
    ),
    "waves": Words(
        (Agent("waves", "plural"), Agent("ocean waves", "plural")),
        (
            Verb("crash", "crashes", "crashing"),
            Verb("break", "breaks", "breaking", "on the shore"),
            Verb("roll", "rolls", "rolling", "ashore"),
        ),
        (
            Unit("crashing waves", form="plural"),
            Unit("wash", tail="of waves"),
            Unit("surf", tail="of ocean waves"),
        ),
    ),
    "insect": Words(
        (Agent("insect"), Agent("flying insect")),
        (Verb("buzz", "buzzes", "buzzing"), Verb("hum", "hums", "humming")),
        (Unit("buzz", tail="of an insect"), Unit("buzzing", tail="of a flying insect"), Unit("insect hum")),
        _CREATURE_PITCH,
    ),
    "thunder": Words(
        (Agent("thunder", "mass"),),
        (
            Verb("rumble", "rumbles", "rumbling"),
            Verb("roll", "rolls", "rolling"),
            Verb("crack", "cracks", "cracking"),
        ),
        (Unit("thunder", form="mass"), Unit("rumble", tail="of thunder"), Unit("roll", tail="of thunder")),
    ),
    "typing": Words(
        _SOMEONE,
        (
            Verb("type", "types", "typing"),
            Verb("type", "types", "typing", "on a keyboard"),
            Verb("tap", "taps", "tapping", "on a keyboard"),
        ),
        (
            Unit("typing", form="mass"),
            Unit("typing", tail="on a keyboard", form="mass"),
            Unit("clatter", tail="of a keyboard"),
        ),
    ),
    "cricket": Words(
        (Agent("cricket"),),
        (Verb("sing", "sings", "singing"), Verb("chirr", "chirrs", "chirring")),
        (Unit("song", tail="of a cricket"), Unit("chirring", tail="of a cricket"), Unit("singing cricket")),
    ),
    "helicopter": Words(
        (Agent("helicopter"),),
        (
            Verb("fly", "flies", "flying"),
            Verb("hover", "hovers", "hovering"),
            Verb("whir", "whirs", "whirring"),
        ),
        (
            Unit("chop", tail="of a helicopter"),
            Unit("hovering helicopter"),
            Unit("throb", tail="of helicopter rotors"),
        ),
    ),
}  # fmt: skip
