"""The words of the kinds that go on."""

from __future__ import annotations

from collections.abc import Mapping

from preprocessing.synthetic_corpus.struck_words import CREATURE_PITCH
from preprocessing.synthetic_corpus.word_forms import PEOPLE, Agent, Words, agents, steady, verb

STEADY_WORDS: Mapping[str, Words] = {
    "siren": Words(
        agents("siren", "emergency siren", "siren of an emergency vehicle", "alert siren"),
        (verb("wail"), verb("sweep", "up and down"), verb("scream"), verb("wail", "in an emergency")),
        (
            *steady(("wail", "of a siren"), ("siren sound", ""), ("wailing siren", ""), ("emergency siren", "")),
            *steady(("scream", "of a siren"), ("wail", "of an emergency vehicle")),
        ),
    ),
    "engine": Words(
        agents("engine", "motor", "petrol engine", "combustion engine", "ship's engine"),
        (verb("run", gerund="running"), verb("drone"), verb("chug", gerund="chugging"), verb("purr")),
        (
            *steady(("drone", "of an engine"), ("running motor", ""), ("purr", "of a motor")),
            *steady(("chugging", "of a petrol engine"), ("running engine", "")),
            *steady(("engine noise", ""), ("motor noise", ""), form="mass"),
        ),
    ),
    "rain": Words(
        (*agents("rain", "rainwater", form="mass"), *agents("raindrops", form="plural")),
        (verb("fall"), verb("pour", "down"), verb("patter"), verb("come", "down"), verb("beat", "down")),
        (
            *steady(("rain", ""), ("rainfall", ""), ("rainy weather", ""), ("falling rain", ""), form="mass"),
            *steady(("patter", "of rain"), ("splatter", "of raindrops")),
        ),
    ),
    "wind": Words(
        agents("wind", "gusty wind", "cold wind", form="mass"),
        (verb("blow"), verb("howl"), verb("gust"), verb("moan"), verb("blow", "around the house")),
        (
            *steady(("wind", ""), ("gusting wind", ""), ("windy weather", ""), ("blowing wind", ""), form="mass"),
            *steady(("howl", "of the wind"), ("moan", "of the wind"), ("gust", "of wind")),
        ),
    ),
    "clock": Words(
        agents("clock", "wall clock", "kitchen clock", "old clock", "mantel clock"),
        (verb("tick"), verb("tick", "away"), verb("tick", "on a shelf"), verb("tick", "evenly")),
        steady(
            ("ticking", "of a clock"),
            ("ticking clock", ""),
            ("tick-tock", "of a clock"),
            ("ticking", "of an old clock"),
            ("ticking clockwork", ""),
            ("tick", "of a kitchen clock"),
        ),
    ),
    "saw": Words(
        (*PEOPLE, Agent("a handyman", "person"), Agent("a craftsman", "person")),
        (
            verb("saw", "wood"),
            verb("saw", "through a board"),
            verb("saw", "a piece of wood"),
            verb("saw", "with a hand saw"),
            verb("saw", "off a wooden beam"),
            verb("work", "with a wood saw"),
        ),
        (
            *steady(("sawing", "of wood"), ("rasp", "of a hand saw"), ("rasp", "of a saw on wood")),
            *steady(("sawing", "of a board"), ("scrape", "of a wood saw")),
            *steady(("hand sawing", ""), ("wood sawing", ""), form="mass"),
        ),
    ),
    "waves": Words(
        agents("waves", "ocean waves", "foaming waves", form="plural"),
        (
            verb("crash"),
            verb("break", "on the shore"),
            verb("roll", "ashore"),
            verb("wash", "up the sand"),
            verb("crash", "onto the shore"),
            verb("roll", "in from the ocean"),
        ),
        (
            *steady(("crashing waves", ""), ("breaking waves", ""), ("ocean waves", ""), form="plural"),
            *steady(("wash", "of waves"), ("surf", "of ocean waves"), ("roar", "of waves on the shore")),
        ),
    ),
    "insect": Words(
        agents("insect", "flying insect", "winged insect", "bug", "insect on a blossom", "beetle", "dragonfly"),
        (
            verb("buzz"),
            verb("hum", gerund="humming"),
            verb("buzz", "about"),
            verb("buzz", "among plants"),
            verb("hum", "in the air", gerund="humming"),
        ),
        steady(
            ("buzz", "of an insect"),
            ("buzzing", "of a flying insect"),
            ("insect hum", ""),
            ("buzz", "of a bug"),
            ("buzzing insect", ""),
            ("hum", "of insect wings"),
        ),
        CREATURE_PITCH,
    ),
    "thunder": Words(
        agents("thunder", "far-off thunder", "thunder of a storm", form="mass"),
        (
            verb("rumble"),
            verb("roll"),
            verb("crack"),
            verb("rumble", "in the clouds"),
            verb("roll", "across the sky"),
            verb("growl"),
        ),
        (
            *steady(("thunder", ""), ("rolling thunder", ""), ("storm thunder", ""), form="mass"),
            *steady(("rumble", "of thunder"), ("roll", "of thunder"), ("thunderclap", ""), ("thunderstorm", "")),
        ),
    ),
    "typing": Words(
        (*PEOPLE, Agent("a typist", "person")),
        (
            verb("type"),
            verb("type", "on a keyboard"),
            verb("tap", "on a keyboard", gerund="tapping"),
            verb("type", "a text"),
            verb("type", "at a desk"),
            verb("click", "away on a keyboard"),
        ),
        (
            *steady(("typing", ""), ("typing", "on a keyboard"), ("keyboard typing", ""), form="mass"),
            *steady(("clatter", "of a keyboard"), ("clicking", "of a keyboard"), ("tapping", "of a typist")),
        ),
    ),
    "cricket": Words(
        agents(
            "cricket",
            "field cricket",
            "tree cricket",
            "cricket in the grass",
            "grasshopper",
            "grasshopper in a meadow",
            "cicada",
        ),
        (
            verb("sing"),
            verb("chirr"),
            verb("sing", "on a summer evening"),
            verb("chirr", "in the warm evening"),
            verb("chirp"),
        ),
        steady(
            ("song", "of a cricket"),
            ("chirring", "of a cricket"),
            ("singing cricket", ""),
            ("song", "of a field cricket"),
            ("song", "of a grasshopper"),
            ("song", "of a cicada"),
            ("summer song", "of a cricket"),
        ),
    ),
    "helicopter": Words(
        agents("helicopter", "army helicopter", "helicopter in the sky", "transport helicopter"),
        (verb("fly"), verb("hover"), verb("whir", gerund="whirring"), verb("fly", "past"), verb("hover", "in the sky")),
        steady(
            ("chop", "of a helicopter"),
            ("hovering helicopter", ""),
            ("throb", "of helicopter rotors"),
            ("helicopter flight", ""),
            ("whir", "of a helicopter rotor"),
            ("flying helicopter", ""),
        ),
    ),
}
