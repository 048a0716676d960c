"""Captions -> words, the same for all metrics of n-grams.

The metrics of captions are customarily computed on the tokens of the Penn Treebank as Stanford's tokenizer (Java) makes
them, lower case, without punctuation. `words_of` follows its rules as far as captions need them:

- lower case; typographic apostrophes and hyphens as their ASCII ones; accents composed (NFC);
- punctuation is removed: . , : ; ? ! ... quotation marks, brackets, dashes, and their Unicode relatives;
- hyphens and apostrophes between letters stay: "black-and-white", "o'clock";
- contractions are split: "dog's" -> "dog", "'s"; "isn't" -> "is", "n't";
- dots, commas and colons between digits stay: "3.5", "10,000", "12:30";
- symbols are words of their own: "$5" -> "$", "5"; "50%" -> "50", "%".

Differences from Stanford's: abbreviations lose their dots ("a.m." -> "a", "m"), "cannot" and "gonna" are one word, and
brackets leave no "-lrb-". Letters of every script are letters; text written without blanks is one word, as there.

Source: Vedantam, Zitnick and Parikh, CVPR 2015, and the evaluation code of COCO captions (ptbtokenizer.py).
"""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Sequence

_ALIKE = str.maketrans({"’": "'", "‘": "'", "ʼ": "'", "＇": "'", "‐": "-", "‑": "-"})
_PUNCTUATION = re.escape(".,:;?!…\"'`´“”„«»‹›()[]{}-–—―−¿¡。、，：；？！「」『』（）【】《》〈〉・।॥،؛؟")
_SYMBOLS = re.escape("$£€¥₹%&@#*+=<>|~^\\°•")
_LETTERS = rf"[^\s{_PUNCTUATION}{_SYMBOLS}]+"
_WORD = re.compile(rf"{_LETTERS}(?:(?:[-']|(?<=\d)[.,:](?=\d)){_LETTERS})*|[{_SYMBOLS}]")
_CONTRACTION = re.compile(r"(.+?)(n't|'(?:s|m|d|re|ve|ll))")


def words_of(caption: str) -> list[str]:
    """Split a caption into words; [] for one without any, such as "..."."""
    return list(_words(caption))


@functools.lru_cache(maxsize=2**15)  # every metric splits the same captions
def _words(caption: str) -> tuple[str, ...]:
    text = unicodedata.normalize("NFC", caption).translate(_ALIKE).lower()
    words: list[str] = []
    for word in _WORD.findall(text):
        split = _CONTRACTION.fullmatch(word) if "'" in word else None
        words.extend(split.groups() if split else (word,))
    return tuple(words)


def joined_words(caption: str) -> str:
    """Return the words of a caption with single blanks between: equal for captions that differ in spelling alone."""
    return " ".join(words_of(caption))


def check_captions(hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> None:
    """Check that each clip has a hypothesis and at least one reference.

    Args:
        hypotheses: (N,) the generated captions; one may be empty.
        references: (N,) the captions of each clip by people, any number of them.
    Raises:
        ValueError: no clips, other numbers of hypotheses and references, a clip without references, or a reference
            without a word.
    """
    if not len(hypotheses):
        raise ValueError("no clips: the metrics are undefined")
    if len(hypotheses) != len(references):
        raise ValueError(f"{len(hypotheses)} hypotheses, references of {len(references)} clips; expected one of each")
    for clip, of_clip in enumerate(references):
        if isinstance(of_clip, str):
            raise ValueError(f"the references of clip {clip} are one text; expected a list of texts")
        if not of_clip:
            raise ValueError(f"clip {clip} has no references; expected at least one")
        for reference in of_clip:
            if not words_of(reference):
                raise ValueError(f"clip {clip} has a reference without a word: {reference!r}")
