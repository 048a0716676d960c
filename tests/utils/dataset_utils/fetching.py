"""What the tests of downloads share: short ways to say what is fetched, and what came of it."""

from __future__ import annotations

from pathlib import Path

from utils.dataset_utils.downloads import Outcome
from utils.dataset_utils.one_download import FetchSettings
from utils.dataset_utils.video_list import ListedRecording


def settings(root: Path, **changes: object) -> FetchSettings:
    return FetchSettings(root, retries=2, wait_s=0.02)._replace(**changes)


def listed(url: str, id_: str = "x1", **values: object) -> ListedRecording:
    return ListedRecording(id_, "dog", url)._replace(**values)


def reasons(found: Outcome) -> dict[str, str]:
    return {failure.id: failure.reason for failure in found.failures}


def names(root: Path) -> set[str]:
    return {path.name for path in (root / "audio").iterdir()}
