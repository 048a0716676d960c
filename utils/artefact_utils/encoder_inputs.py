"""What the files of a frozen encoder's outputs say of its input: sample rate, longest window, front-end."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any, Literal

from utils.cli_utils import short_repr

_INPUT = re.compile(r"(\d{1,9}) Hz, windows of at most ([0-9.e+-]{1,20}) s(, its limit|, its least)?(?:, (.*))?")


def brings_front_end(model: str) -> bool:
    """Whether an encoder is an exported one, whose file holds its own front-end."""
    return model.endswith(".json")


def front_end_mark(numbers: Mapping[str, Any]) -> str:
    """Return a digest of a front-end's numbers, such as [1f0a5b6c]."""
    text = json.dumps(dict(numbers), sort_keys=True).encode()
    return f"[{hashlib.blake2b(text, digest_size=4).hexdigest()}]"


def input_text(sample_rate_hz: int, samples: int, bound: Literal["", "limit", "least"], front_end: str) -> str:
    """Describe the input of an encoder for the attributes of a file.

    Args:
        sample_rate_hz: of the waves.
        samples: of the longest window.
        bound: whether the network itself limits the window from above or below; empty: data.max_duration_s does.
        front_end: of a network on log-mels: its description, which ends with its mark; else empty.
    """
    text = f"{sample_rate_hz} Hz, windows of at most {samples / sample_rate_hz:g} s"
    return ", ".join([text, *([f"its {bound}"] if bound else []), *([front_end] if front_end else [])])


def without_own_front_end(text: str, model: str) -> str:
    """Drop the front-end from the description of a model's input where the model brings it along."""
    found = _INPUT.fullmatch(text)
    return text[: found.start(4)] if found and found[4] and brings_front_end(model) else text


def other_input(text: str, max_duration_s: float, front_end: str | None) -> str | None:
    """What the encoder heard otherwise than this run wants; None if it is the same."""
    found = _INPUT.fullmatch(text)
    rate = int(found[1]) if found else 0
    if not found or not rate:
        return f"input is {short_repr(text)}, expected sample rate and longest window"
    longest, wanted = found[2], f"{round(max_duration_s * rate) / rate:g}"
    alike = longest == wanted
    if found[3]:
        alike = max_duration_s >= float(longest) if found[3] == ", its limit" else True
    if not alike:
        return f"its longest window is {longest} s, this run wants data.max_duration_s of {max_duration_s:g} s"
    if front_end is not None and found[4] and not found[4].endswith(front_end):
        return f"front-end is {found[4]}, this run wants data.front_end {front_end}"
    return None
