"""Prompts for zero-shot classification: templates with a place for the label."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from utils.cli_utils import UserError

PLACE = "{label}"

DEFAULT_TEMPLATES = (
    "This is a sound of {label}.",  # LAION-CLAP (Wu et al. 2023); MS-CLAP (Elizalde et al. 2023, section 3.3)
    "this is the sound of {label}",  # microsoft/CLAP, 2023 version, src/zero_shot_classification.py
    "Sound of a {label}",  # the model card of laion/clap-htsat-unfused
    "{label}",  # the label alone, as MS-CLAP does for keywords
)


def check_templates(templates: Sequence[str], source: str) -> list[str]:
    """Check templates of prompts; returns them without outer blanks.

    Args:
        templates: each with `{label}`.
        source: the file or option that they are from, for messages.
    Raises:
        UserError: there is none, one has no place for the label, or one occurs twice.
    """
    stripped = [template.strip() for template in templates]
    if not stripped:
        raise UserError(f"{source}: holds no template; write one a line, such as '{DEFAULT_TEMPLATES[0]}'")
    for number, template in enumerate(stripped):
        if PLACE not in template:
            raise UserError(f"{source}: template '{template}' has no {PLACE}; write {PLACE} where the label belongs")
        if template in stripped[:number]:
            raise UserError(f"{source}: template '{template}' occurs twice; keep one")
    return stripped


def read_templates(path: Path) -> list[str]:
    """Read templates from a file, one a line; blank lines are ignored.

    Raises:
        UserError: no such file, not UTF-8, or see `check_templates`.
    """
    if not path.is_file():
        found = "is a folder" if path.is_dir() else "no such file"
        raise UserError(f"--templates {path}: {found}; name a text file with one template a line")
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 ({error.reason} at byte {error.start}); save it as UTF-8") from error
    return check_templates([line for line in text.splitlines() if line.strip()], str(path))


def spoken(label: str) -> str:
    """A label as a prompt says it: `_` is a blank, and blanks are single."""
    return " ".join(label.replace("_", " ").split())


def prompts_of(label: str, templates: Sequence[str]) -> list[str]:
    """The prompts of one label, one a template."""
    return [template.replace(PLACE, spoken(label)) for template in templates]
