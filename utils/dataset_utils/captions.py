"""Match the captions of a dataset with its clips."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from utils.artefact_utils import Caption, Clip
from utils.dataset_utils.clips import Rejected, content_id, match_key
from utils.text_utils import normalise_caption


class RawCaption(NamedTuple):
    """A caption as in the dataset; `text` is None if the dataset has no normalised form."""

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
    """Match every caption with its clip.

    Args:
        clips: those that can be decoded.
        captions: as in the dataset.
        split: its name, which changes the tids.
        refused: name -> reason of the rejected clips; a caption with exactly such a name is not matched with another
            clip of a similar name.
        by_path: whether captions (and `refused`) name clips by path, not by file name.
    Returns:
        The clips with captions, the captions with clips, and the rest with reasons.
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
            # with its outer blanks: the evaluation of submissions compares captions with the dataset's literally
            matched.append(Caption(tid, clip.fid, clip.fname, caption.raw_text, text, caption.source_id))
    captioned = {caption.fid for caption in matched}
    rejected += [Rejected("clip", clip.fname, "without a caption") for clip in clips if clip.fid not in captioned]
    return [clip for clip in clips if clip.fid in captioned], matched, rejected
