"""Placeholders for commands in messages: a module names the product to make, the entry point writes the command.

Scripts and command lines are known to the entry point alone, and a message may come from another process (a trial, a
worker of a DataLoader); so the placeholder is in the text itself, such as `<make log-mels>`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Literal, cast
from urllib.parse import quote, unquote

Product = Literal[
    "tables",  # of clips and captions
    "log-mels",
    "audio-embeddings",  # --frames, --pickle: as frames, as lists of pairs
    "text-embeddings",
    "image-embeddings",
    "language-model",  # of a run's captions, small
    "taken-over-features",  # of the DCASE 2023 baseline
    "initial-weights",
    "exported-encoder",
    "training",  # --resume, --fresh
    "scores",
    "captions",  # that a run generates
    "caption-metrics",
    "track-features",  # hand-crafted, of tracks of music
]

_PLACEHOLDER = re.compile(r"<make ([a-z-]+)((?: [^ <>]+)*)>")


def make(product: Product, *options: str) -> str:
    """Return the placeholder of a command, for the text of an error.

    Args:
        product: what the command makes.
        options: of the command.
    """
    return f"<make {' '.join([product, *(quote(option, safe='/-_.~=,:+@') for option in options)])}>"


def has_repairs(text: str) -> bool:
    """Whether a text holds placeholders of `make`."""
    return _PLACEHOLDER.search(text) is not None


def with_commands(text: str, command_of: Callable[[Product, Sequence[str]], str]) -> str:
    """Replace every placeholder of a text.

    Args:
        text: of an error.
        command_of: product and options -> the command line.
    """

    def command(found: re.Match[str]) -> str:
        return command_of(cast("Product", found[1]), [unquote(option) for option in found[2].split()])

    return _PLACEHOLDER.sub(command, text)
