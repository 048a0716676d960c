"""How each kind of file of stage 1 is made again, for messages."""

from __future__ import annotations

from typing import NamedTuple


class Repairs(NamedTuple):
    """What to do about a file of each kind: the command lines, which the entry point knows; by default, words."""

    tables: str = "make the tables again"
    log_mels: str = "compute the log-mels again"
    audio_embeddings: str = "compute the audio embeddings again"
    audio_frames: str = "compute the frames again"
    text_embeddings: str = "compute the text embeddings again"
    pairs: str = "make the lists of pairs again"
    foreign: str = ""  # how features of another program are taken over; empty: not at all
