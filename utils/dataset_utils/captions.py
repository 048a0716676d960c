"""The captions of a data set, each given to its clip."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from utils.artefact_utils import Caption, Clip
from utils.dataset_utils.clips import Rejected, content_id, match_key
from utils.text_utils import normalise_caption


class RawCaption(NamedTuple):
    """A caption as the data set gives it; `text` is None where the data set has no normalised form."""

    name: str  # of the clip: its file name, or its path relative to data.root
    raw_text: str
    text: str | None
    source_id: str


def match_captions(
    clips: Sequence[Clip],
    captions: Iterable[RawCaption],
    split: str,
    refused: Mapping[str, str],
    *,
    by_path: bool = False,
) -> tuple[list[Clip], list[Caption], list[Rejected]]:
    """Give every caption its clip.

    Args:
        clips: those that can be decoded.
        captions: as the data set gives them.
        split: its name; a part of each tid.
        refused: name -> reason of the clips that were rejected; a caption that spells such a name exactly is not
            given to another clip.
        by_path: captions (and `refused`) name clips by their path, not by their file name.
    Returns:
        The clips that have a caption, the captions that have a clip, and the rest with its reason.
    """
    key = str if by_path else match_key
    by_name = {key(clip.path if by_path else clip.fname): clip for clip in clips}
    reasons = {key(name): reason for name, reason in refused.items()} | dict(refused)
    matched: list[Caption] = []
    rejected: list[Rejected] = []
    seen: dict[tuple[str, str], int] = {}
    for caption in captions:
        clip = None if caption.name in refused else by_name.get(key(caption.name))
        words = caption.raw_text.strip()
        text = (caption.text or "").strip() or normalise_caption(words)
        if clip is None:
            reason = reasons.get(caption.name) or reasons.get(key(caption.name), "no such file")
            rejected.append(Rejected("caption", caption.source_id, f"without a clip: '{caption.name}': {reason}"))
        elif not words or not text:
            rejected.append(Rejected("caption", caption.source_id, f"no words in {caption.raw_text!r}"))
        else:
            number = seen[clip.path, words] = seen.get((clip.path, words), -1) + 1
            tid = content_id(split, clip.path, words.encode(), str(number).encode())
            # outer blanks stay: whoever measures a submission looks its captions up as the data set spells them
            matched.append(Caption(tid, clip.fid, clip.fname, caption.raw_text, text, caption.source_id))
    captioned = {caption.fid for caption in matched}
    rejected += [Rejected("clip", clip.fname, "without a caption") for clip in clips if clip.fid not in captioned]
    return [clip for clip in clips if clip.fid in captioned], matched, rejected
