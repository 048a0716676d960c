"""The words of loudness, pitch, speed and number, and the table of the words of each kind."""

from __future__ import annotations

from collections.abc import Mapping

from preprocessing.synthetic_corpus.kinds import Loudness, Pitch, Speed
from preprocessing.synthetic_corpus.steady_words import STEADY_WORDS
from preprocessing.synthetic_corpus.struck_words import STRUCK_WORDS
from preprocessing.synthetic_corpus.word_forms import Words

# Of a sound (`a deep bark`); what makes it has words of its own.
PITCH_ADJECTIVES: Mapping[Pitch, tuple[str, ...]] = {
    "low": ("deep", "low", "low-pitched"),
    "high": ("high", "high-pitched"),
}
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

WORDS: Mapping[str, Words] = {**STRUCK_WORDS, **STEADY_WORDS}
