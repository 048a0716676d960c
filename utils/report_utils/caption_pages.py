"""The page of a captioner: each clip with a player or a picture, what people say of it, and what the system says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import NamedTuple

from utils.report_utils.pages import Card, Content, Grid, Note, Page, Paragraph, Player, Thumbnail

_COLUMN_PX = 260  # the clip, the hypothesis and the references side by side, below each other on a phone
_NOTE = (
    "CIDEr-D and the similarity are of this clip alone. By CIDEr-D, then by similarity; many clips have a CIDEr-D of "
    "almost 0, since it counts shared words and not meaning."
)


class CaptionedClip(NamedTuple):
    """A clip with the captions of people and of a system."""

    name: str
    file: Path | None  # the sound or the picture; None: it is not known
    references: Sequence[str]
    hypothesis: str
    cider_d: float
    similarity: float | None  # to the references; None: it was not measured


@dataclass(frozen=True)
class Listed:
    """Texts below a quiet title, a line each."""

    title: str
    texts: Sequence[str]

    def html(self, folder: Path) -> str:
        """Return the title with its list."""
        items = "".join(f"<li>{escape(text)}</li>" for text in self.texts)
        return f'<div class="said"><p class="quiet">{escape(self.title)}</p><ul>{items}</ul></div>'


def caption_page(
    title: str, subtitle: str, metrics: Sequence[Content], clips: Sequence[CaptionedClip], shown: int, *, pictures: bool
) -> Page:
    """Build the page.

    Args:
        title: of the page.
        subtitle: which system, of which split.
        metrics: blocks of the first section.
        clips: in any order.
        shown: how many of the best, and how many of the worst; the others follow.
        pictures: whether the clips are pictures; else they are sounds.
    """
    ordered = sorted(clips, key=lambda clip: (-clip.cider_d, -(clip.similarity or 0.0), clip.name))
    best = ordered[:shown]
    worst = ordered[max(shown, len(ordered) - shown) :][::-1]
    between = ordered[shown : len(ordered) - len(worst)]
    page = Page(title, subtitle)
    page.section("Metrics", *metrics)
    for name, chosen in (("Best", best), ("Worst", worst), ("In between", between)):
        if chosen:
            page.section(
                name, *([Note(_NOTE)] if name == "Best" else []), *(_card(clip, pictures=pictures) for clip in chosen)
            )
    return page


def _card(clip: CaptionedClip, *, pictures: bool) -> Card:
    similarity = "" if clip.similarity is None else f", similarity {clip.similarity:.3f}"
    people = "1 reference" if len(clip.references) == 1 else f"{len(clip.references)} references"
    columns = [
        _medium(clip, pictures=pictures),
        Listed("the system says", [clip.hypothesis or "(says nothing)"]),
        Listed(people, clip.references),
    ]
    return Card(clip.name, f"CIDEr-D {clip.cider_d:.3f}{similarity}", [Grid(columns, _COLUMN_PX)])


def _medium(clip: CaptionedClip, *, pictures: bool) -> Content:
    if clip.file is None:
        return Paragraph(["not a clip of the split"], quiet=True)
    return Thumbnail(clip.file, clip.name, _COLUMN_PX) if pictures else Player(clip.file)
