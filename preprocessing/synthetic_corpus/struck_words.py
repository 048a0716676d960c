"""The words of the kinds whose strikes can be counted."""

from __future__ import annotations

from collections.abc import Mapping

from preprocessing.synthetic_corpus.kinds import Pitch
from preprocessing.synthetic_corpus.word_forms import PEOPLE, Agent, Words, agents, counted, verb

_SIZED_VOICE: Mapping[Pitch, tuple[str, ...]] = {
    "low": ("big", "large", "deep-voiced"),
    "high": ("small", "little", "high-voiced"),
}
CREATURE_PITCH: Mapping[Pitch, tuple[str, ...]] = {
    "low": ("low-pitched", "deep-sounding"),
    "high": ("high-pitched", "shrill-sounding"),
}

STRUCK_WORDS: Mapping[str, Words] = {
    "bell": Words(
        agents(
            "bell",
            "church bell",
            "metal bell",
            "bell in a tower",
            "school bell",
            "brass bell",
            "temple bell",
            "monastery bell",
        ),
        (
            verb("ring"),
            verb("toll"),
            verb("chime"),
            verb("sound"),
            verb("strike", "a bell", by=PEOPLE),
            verb("ring", "a church bell", by=PEOPLE),
        ),
        counted(
            ("bell strike", ""),
            ("stroke", "of a bell"),
            ("chime", "of a bell"),
            ("toll", "of a tower bell"),
            ("bell ring", ""),
            ("ring", "of a brass bell"),
            ("bong", "of a tower bell"),
            ("clang", "of a bell"),
        ),
    ),
    "alarm": Words(
        agents(
            "alarm",
            "electronic alarm",
            "alarm buzzer",
            "burglar alarm",
            "alarm system",
            "electronic alarm device",
            "warning alarm",
        ),
        (verb("beep"), verb("sound"), verb("bleep"), verb("blip", gerund="blipping")),
        counted(
            ("alarm beep", ""),
            ("beep", "of an alarm"),
            ("bleep", "of an alarm"),
            ("electronic alarm tone", ""),
            ("beep", "of a burglar alarm"),
            ("blip", "of an alarm device"),
            ("alarm signal", ""),
        ),
    ),
    "knock": Words(
        (*PEOPLE, Agent("a caller", "person")),
        (
            verb("knock", "on wood"),
            verb("knock", "on a door"),
            verb("rap", "on a wooden door", gerund="rapping"),
            verb("knock", "at a closed door"),
            verb("rap", "on a table top", gerund="rapping"),
            verb("knock", "on the door of a room"),
            verb("knock", "on a wooden box"),
            verb("hammer", "on a door"),
            verb("bang", "on a wooden door"),
        ),
        counted(
            ("knock", "on wood"),
            ("knock", "on a door"),
            ("rap", "on a wooden board"),
            ("knock", "at the door"),
            ("door knock", ""),
            ("rap", "on a door"),
            ("knock", "on a table"),
            ("thump", "on a door"),
        ),
    ),
    "dog": Words(
        agents("dog", "hound", "sheepdog", "hunting dog", "farm dog"),
        (verb("bark"), verb("woof"), verb("bark", "at someone"), verb("bay")),
        counted(
            ("bark", "of a dog"),
            ("dog bark", ""),
            ("woof", "from a dog"),
            ("bark", "of a hound"),
            ("bow-wow", "of a dog"),
        ),
        _SIZED_VOICE,
    ),
    "drip": Words(
        (Agent("water", "bare"), *agents("a tap", "a water tap", "a bathroom tap", form="person")),
        (
            verb("drip", gerund="dripping"),
            verb("drip", "into water", gerund="dripping"),
            verb("drip", "down", gerund="dripping"),
            verb("drip", "onto a plate", gerund="dripping"),
        ),
        counted(
            ("water drop", ""),
            ("drip", "of water"),
            ("plop", "of dripping water"),
            ("water drip", ""),
            ("plink", "of a water drop"),
            ("drip", "from a tap"),
        ),
    ),
    "footsteps": Words(
        (*PEOPLE, Agent("a walker", "person"), Agent("a passer-by", "person")),
        (
            verb("walk", "past", countable=False),
            verb("walk", "on a hard floor", countable=False),
            verb("walk", "along", countable=False),
            verb("walk", "across a room", countable=False),
            verb("walk", "up the stairs", countable=False),
            verb("walk", "along a path", countable=False),
        ),
        counted(
            ("footstep", ""),
            ("footstep", "on a hard floor"),
            ("step", "of someone walking"),
            ("footfall", "of a walker"),
            ("footstep", "on the stairs"),
            ("walking step", ""),
            ("foot tread", "of someone walking"),
        ),
    ),
    "bird": Words(
        agents("bird", "songbird", "wild bird", "garden bird", "bird in a bush", "thrush", "starling", "wren"),
        (
            verb("chirp"),
            verb("tweet"),
            verb("peep"),
            verb("cheep"),
        ),
        counted(
            ("bird chirp", ""),
            ("chirp", "of a bird"),
            ("tweet", "of a bird"),
            ("cheep", "of a songbird"),
            ("peep", "of a bird"),
            ("birdsong note", ""),
            ("chirp", "of a thrush"),
        ),
        CREATURE_PITCH,
    ),
    "horn": Words(
        agents("car horn", "horn", "vehicle horn", "horn of a car", "horn in the traffic"),
        (
            verb("honk"),
            verb("blare"),
            verb("toot"),
            verb("honk", "a car horn", by=agents("someone", "a driver", "an impatient driver", form="person")),
            verb("sound", "the car horn in traffic", by=(*PEOPLE, Agent("a driver", "person"))),
            verb(
                "honk", "at other cars on the road", by=agents("a car", "a vehicle", "a van", "a lorry", form="person")
            ),
        ),
        counted(
            ("honk", "of a car horn"),
            ("horn blast", ""),
            ("toot", "of a horn"),
            ("car horn honk", ""),
            ("honk", "of a car in traffic"),
            ("blare", "of a vehicle horn"),
            ("hoot", "of a car's hooter"),
        ),
    ),
    "whistle": Words(
        agents("whistle", "sports whistle", "pea whistle", "trainer's whistle", "whistle on a sports field"),
        (
            verb("blow"),
            verb("sound"),
            verb("trill"),
            verb("blow", "a whistle", by=(*PEOPLE, Agent("a trainer", "person"))),
            verb("blow", "a whistle to stop the match", by=(*PEOPLE, Agent("a sports official", "person"))),
            verb("blow", "the whistle at a football match", by=PEOPLE),
        ),
        counted(
            ("whistle blast", ""),
            ("blast", "of a whistle"),
            ("trill", "of a whistle"),
            ("blast", "of a sports official's whistle"),
            ("whistle blow", ""),
            ("blast", "of a whistle at a match"),
        ),
    ),
    "owl": Words(
        agents("owl", "eagle owl", "barn owl", "owl in a forest", "owl on a branch", "hunting owl", "night owl"),
        (verb("hoot"), verb("call"), verb("hoot", "at night"), verb("call", "in the night")),
        counted(
            ("hoot", "of an owl"),
            ("owl call", ""),
            ("owl hoot", ""),
            ("night call", "of an owl"),
            ("hoot", "of an eagle owl"),
            ("hoot", "of a nocturnal owl"),
        ),
    ),
    "clap": Words(
        (*PEOPLE, Agent("a listener", "person"), Agent("a child", "person")),
        (
            verb("clap", gerund="clapping"),
            verb("clap", "with both hands", gerund="clapping"),
            verb("clap", "in praise", gerund="clapping"),
            verb("clap", "at a show", gerund="clapping"),
        ),
        counted(
            ("hand clap", ""),
            ("clap", "of hands"),
            ("clap", ""),
            ("handclap", ""),
            ("clap", "from a listener"),
            ("hand clap", "in praise"),
        ),
    ),
    "telephone": Words(
        agents("telephone", "phone", "old telephone", "desk phone", "house phone", "rotary phone"),
        (verb("ring"), verb("ring", "in a room"), verb("ring", "on a table")),
        counted(
            ("telephone ring", ""),
            ("ring", "of a phone"),
            ("ring", "of an old telephone"),
            ("phone ring", ""),
            ("ringtone", "of a telephone"),
            ("ring", "of a desk phone"),
        ),
    ),
}
