"""Whether a frozen encoder on this machine is still the one that made a run's features."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from utils.cli_utils import ArtefactError


def refuse_stale(model: str, made: Iterable[str], revision_of: Callable[[str], str], what: str, repair: str) -> None:
    """Compare an encoder with the one that made features, where it is a file or folder on this machine.

    Args:
        model: as the YAML names it.
        made: the revisions that the features note; empty: none is noted.
        revision_of: computes that of the model now.
        what: the features, for messages.
        repair: what makes them again.
    Raises:
        ArtefactError: the encoder has changed since.
    """
    then = set(made) - {""}
    if not then or not Path(model).expanduser().exists():
        return
    now = revision_of(model)
    if stale := then - {now}:
        raise ArtefactError(
            f"{model}: is now {now}, but the {what} were made when it was {min(stale)}; make them again: {repair}"
        )
