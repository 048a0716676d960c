"""Which events a clip holds and when: drawn before any sound is made, so that it is cheap to draw again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Literal, TypeVar

import numpy as np

from preprocessing.synthetic_corpus.kinds import (
    KINDS,
    LEVEL_DB,
    LEVEL_JITTER_DB,
    Loudness,
    Pitch,
    Range,
    Speed,
    sound_duration_s,
)
from preprocessing.synthetic_corpus.synthesis import Voice

Layout = Literal["single", "sequence", "overlap", "long_sequence", "overlap_then"]
T = TypeVar("T")

SHORTEST_S, LONGEST_S = 2.0, 10.0

_LAYOUT_SHARES: Mapping[Layout, float] = {
    "single": 0.28,
    "sequence": 0.30,
    "overlap": 0.22,
    "long_sequence": 0.12,
    "overlap_then": 0.08,
}
_BACKGROUNDS = tuple(name for name, kind in KINDS.items() if not kind.counted and name != "thunder")
_FOREGROUNDS = tuple(name for name, kind in KINDS.items() if not kind.bed)
# (foreground, background): the background never hides what happens in front of it.
_OVERLAP_LOUDNESS: tuple[tuple[Loudness, Loudness], ...] = (
    ("loud", "loud"),
    ("loud", "moderate"),
    ("loud", "quiet"),
    ("moderate", "moderate"),
    ("moderate", "quiet"),
)


@dataclass(frozen=True)
class Event:
    """One sound of a clip.

    Attributes:
        kind: a key of `KINDS`.
        start_s: onset in the clip.
        count: separate strikes; 1 for one steady sound.
        loudness: the word that captions may use for `level_db`.
        pitch: the word for `voice.pitch_hz`; `mid` is never spoken of.
        speed: the word for `voice.rate_hz`; `steady` is never spoken of.
        level_db: active RMS, dB below full scale.
        voice: the numbers that the recipe gets.
    """

    kind: str
    start_s: float
    count: int
    loudness: Loudness
    pitch: Pitch
    speed: Speed
    level_db: float
    voice: Voice

    @property
    def duration_s(self) -> float:
        """From the onset to the end of the last strike."""
        return sound_duration_s(self.voice, self.count)

    @property
    def end_s(self) -> float:
        """Where the event has died away, in the clip."""
        return self.start_s + self.duration_s


@dataclass(frozen=True)
class Scene:
    """What a clip holds.

    Attributes:
        layout: how the events lie to each other; `overlap*` layouts name the foreground event first
            and the background second, the others name events in order of time.
        events: one to three, of different kinds.
        duration_s: of the clip, 2 to 10.
        noise_db: RMS of the faint background noise, dB below full scale.
        noise_colour: 0 white ... 1 the darkest.
    """

    layout: Layout
    events: tuple[Event, ...]
    duration_s: float
    noise_db: float
    noise_colour: float


def draw_scene(rng: np.random.Generator) -> Scene:
    """A scene of 2 to 10 s; every kind is equally likely to be drawn."""
    while True:
        layout = list(_LAYOUT_SHARES)[rng.choice(len(_LAYOUT_SHARES), p=list(_LAYOUT_SHARES.values()))]
        if scene := _short_enough(rng, layout, _ARRANGEMENTS[layout](rng)):
            return scene


def draw_scene_of(rng: np.random.Generator, kind: str) -> Scene:
    """A scene that holds one sound of a kind and nothing else, as loud, long and noisy as those of `draw_scene`."""
    while True:
        if scene := _short_enough(rng, "single", _in_sequence(rng, [kind])):
            return scene


def _short_enough(rng: np.random.Generator, layout: Layout, events: tuple[Event, ...]) -> Scene | None:
    """The scene of these events; None if it is too long."""
    end_s = max(event.end_s for event in events) + rng.uniform(0.1, 0.4)
    duration_s = max(end_s, rng.uniform(SHORTEST_S, SHORTEST_S + 0.5))
    if duration_s > LONGEST_S:
        return None
    return Scene(layout, events, duration_s, rng.uniform(-64, -52), rng.uniform())


def _single(rng: np.random.Generator) -> tuple[Event, ...]:
    return _in_sequence(rng, _kinds(rng, 1))


def _sequence(rng: np.random.Generator) -> tuple[Event, ...]:
    return _in_sequence(rng, _kinds(rng, 2))


def _long_sequence(rng: np.random.Generator) -> tuple[Event, ...]:
    return _in_sequence(rng, _kinds(rng, 3))


def _overlap(rng: np.random.Generator) -> tuple[Event, ...]:
    """(foreground, background): the background starts first and ends last."""
    background_kind = _one_of(rng, _BACKGROUNDS)
    foreground_kind = _one_of(rng, tuple(name for name in _FOREGROUNDS if name != background_kind))
    front_loudness, back_loudness = _one_of(rng, _OVERLAP_LOUDNESS)
    front = draw_event(rng, foreground_kind, front_loudness)
    back = draw_event(rng, background_kind, back_loudness)
    before_s, after_s = rng.uniform(0.4, 0.7, 2).tolist()
    duration_s = max(back.voice.duration_s, before_s + front.duration_s + after_s)
    back = replace(back, start_s=rng.uniform(0.1, 0.4), voice=replace(back.voice, duration_s=duration_s))
    return replace(front, start_s=back.start_s + before_s), back


def _overlap_then(rng: np.random.Generator) -> tuple[Event, ...]:
    """(foreground, background, a third event after both)."""
    front, back = _overlap(rng)
    others = tuple(name for name in KINDS if name not in (front.kind, back.kind))
    last = draw_event(rng, _one_of(rng, others), _one_of(rng, tuple(LEVEL_DB)))
    return front, back, replace(last, start_s=back.end_s + rng.uniform(0.2, 0.6))


_ARRANGEMENTS: Mapping[Layout, Callable[[np.random.Generator], tuple[Event, ...]]] = {
    "single": _single,
    "sequence": _sequence,
    "overlap": _overlap,
    "long_sequence": _long_sequence,
    "overlap_then": _overlap_then,
}


def _in_sequence(rng: np.random.Generator, kinds: list[str]) -> tuple[Event, ...]:
    """One event a kind, each after the one before has died away."""
    events: list[Event] = []
    time_s = rng.uniform(0.1, 0.4)
    for kind in kinds:
        event = draw_event(rng, kind, _one_of(rng, tuple(LEVEL_DB)))
        events.append(replace(event, start_s=time_s))
        time_s = events[-1].end_s + rng.uniform(0.2, 0.6)
    return tuple(events)


def draw_event(rng: np.random.Generator, kind_name: str, loudness: Loudness) -> Event:
    """An event at time 0."""
    kind = KINDS[kind_name]
    pitch = _one_of(rng, tuple(kind.pitch_hz))
    speed = _one_of(rng, tuple(kind.rate_hz))
    voice = Voice(
        duration_s=_between(rng, kind.duration_s),
        pitch_hz=_between(rng, kind.pitch_hz[pitch]),
        rate_hz=_between(rng, kind.rate_hz[speed]),
    )
    count = int(rng.integers(kind.counts[0], kind.counts[1] + 1))
    level_db = LEVEL_DB[loudness] + rng.uniform(-LEVEL_JITTER_DB, LEVEL_JITTER_DB)
    if count == 1 and kind.counted:
        speed = "steady"  # one strike has no pace to speak of
    return Event(kind_name, 0.0, count, loudness, pitch, speed, level_db, voice)


def _kinds(rng: np.random.Generator, count: int) -> list[str]:
    """Different kinds, in random order."""
    names = list(KINDS)
    return [names[number] for number in rng.choice(len(names), count, replace=False)]


def _one_of(rng: np.random.Generator, choices: tuple[T, ...]) -> T:
    return choices[int(rng.integers(len(choices)))]


def _between(rng: np.random.Generator, limits: Range) -> float:
    return float(rng.uniform(*limits))
