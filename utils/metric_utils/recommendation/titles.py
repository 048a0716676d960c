"""The title of a track without what marks a version of it: live, remastered, demo, radio edit, guests."""

from __future__ import annotations

import re
import unicodedata

_ACCENTS = re.compile("[\u0300-\u036f]")  # of Latin, Greek and Cyrillic; marks of other scripts make other letters
_DASH = r"\s[-\u2010-\u2015\u2212~|]+\s"
_GUESTS = re.compile(r"[\s(\[{]+(?:feat|ft|featuring)\b\.?\s[^()\[\]{}]*?(?=[)\]}(\[{]|" + _DASH + "|$)")
_NOTE = re.compile(r"[(\[{]([^()\[\]{}]*)[)\]}]")  # in brackets, innermost first
_AFTER_DASH = re.compile(rf"(.*\S){_DASH}(.*)", re.DOTALL)  # at the last dash with blanks around it
_PLAIN_ENDING = re.compile(r"\s(?:\d{4}\s)?(?:digital(?:ly)?\s)?remaster(?:ed)?(?:\s\d{4})?$|\sradio edit$")
_VERSION = re.compile(
    # "live" alone is an everyday word: "Live Forever" and "Long Live" are titles
    r"^live(?:$|[\s,]+(?:at|in|on|from|version|session|sessions|acoustic|recording|take|demo|\W*\d))|[\s,]live$|"
    r"\b(?:re)?master(?:ed|ing)?\b|\b(?:re)?mix(?:ed)?\b|\bdemos?\b|\bacoustic\b|\bedit(?:ed)?\b|\bversion\b|"
    r"\bunplugged\b|\binstrumental\b|\bkaraoke\b|\bsessions?\b|\bmono\b|\bstereo\b|\bbonus track\b|\brehearsal\b|"
    r"\bouttake\b|\b(?:alternate|alternative) take\b|\btake \d+\b|\bcover\b|\brework(?:ed)?\b|\bextended\b|"
    r"\bexplicit\b|\ba cappella\b|\bre-?recorded\b"
)
_OTHER_PIECE = re.compile(r"\b(?:part|pts?|vol|volume|no|nr|movement|mvt|act|chapter)\b")
_APOSTROPHES = re.compile("['\u2018\u2019\u02bc`\u00b4]")


def normal_title(title: str) -> str:
    """Remove from a title what marks a version, and its spelling: case, accents, punctuation.

    Brackets, and what follows a dash, go if they name a version ("(Live at Leeds)", "- 2011 Remaster", "[demo]"), and
    guests ("feat. ...") always. They remain if they name another piece: "(Part II)", "Vol. 2", "(Reprise)". A word of
    a title without brackets or a dash remains too: "Long Live", "Acoustic".

    Returns:
        Lower case words with single blanks; "" only of a blank title: what is nothing but marks ("(Live)", "???")
        remains.
    """
    text = _ACCENTS.sub("", unicodedata.normalize("NFKD", title)).casefold()
    text = " ".join(unicodedata.normalize("NFC", text).split())
    without = _GUESTS.sub(" ", text)
    without = _without_notes(without)
    while (found := _AFTER_DASH.fullmatch(without)) and _is_version(found[2]):
        without = found[1]
    without = _PLAIN_ENDING.sub("", without)
    return _words(without) or _words(text) or text


def _without_notes(text: str) -> str:
    def replaced(note: re.Match[str]) -> str:
        return " " if _is_version(note[1]) or not note[1].strip() else note[0]

    return _NOTE.sub(replaced, text)


def _is_version(note: str) -> bool:
    note = note.strip()
    return bool(_VERSION.search(note)) and not _OTHER_PIECE.search(note)


def _words(text: str) -> str:
    text = re.sub(r"\bpts?\b\.?", "part", text.replace("&", " and "))
    return " ".join(re.findall(r"\w+", _APOSTROPHES.sub("", text).replace("_", " ")))
