"""The spelling of captions."""

from __future__ import annotations

import re
import unicodedata


def normalise_caption(raw_text: str) -> str:
    """Lower case, letters, digits and inner apostrophes or hyphens alone, single blanks."""
    composed = unicodedata.normalize("NFC", raw_text)  # \w knows 'é', not 'e' and an accent
    words = re.findall(r"\w+(?:['’\-]\w+)*", composed.lower())
    return " ".join(words)
