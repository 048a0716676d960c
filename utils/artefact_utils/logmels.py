"""Log-mel features: <split>_audio_logmels.hdf5, one dataset (T, F) a clip, with the front-end that made them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from utils.artefact_utils.clip_arrays import ClipArrayParts, attributes_of, found_beside
from utils.artefact_utils.clip_views import ClipArrayReader
from utils.artefact_utils.hdf5_arrays import ArrayPlace, check_shape
from utils.cli_utils import ArtefactError
from utils.config_utils import parse_json


class LogMelSettings(NamedTuple):
    """What the features were made with; stored in the file and compared by its readers."""

    front_end: dict[str, Any]
    dtype: str = "float32"  # or float16: half the disk, 3 digits


class LogMelParts(ClipArrayParts):
    """The feature file of a split while it is written, clip by clip, by any number of processes."""

    def __init__(self, path: Path, settings: LogMelSettings) -> None:
        """Attach to the parts beside `path`; parts of other settings are not seen."""
        super().__init__(path, settings._asdict())

    def choices(self, attributes: Mapping[str, str]) -> dict[str, str]:
        """The front-end."""
        return {"front_end": attributes.get("front_end", "")}


class LogMelReader(ClipArrayReader):
    """Features of a split, (T, F) float32 or float16 a clip."""

    def __init__(self, path: Path, front_end: Mapping[str, Any], repair: str) -> None:
        """Open the file.

        Args:
            path: <split>_audio_logmels.hdf5; where it was made with another front-end, one beside it is read.
            front_end: the numbers of the front-end that this run wants.
            repair: the command that writes the file, for messages.
        Raises:
            ArtefactError: missing, broken, of another version or front-end.
        """
        wanted = attributes_of({"front_end": front_end})
        super().__init__(found_beside(path, lambda found: found.get("front_end") == wanted["front_end"]), repair)
        self._bands = front_end["n_mels"]
        found = _mapping_in(self.attributes.get("front_end", ""))
        if found != dict(front_end):
            changed = sorted(k for k in {*found, *front_end} if found.get(k) != front_end.get(k))
            raise ArtefactError(
                f"{path}: front-end is {_values(found, changed)}, this run wants {_values(front_end, changed)}; "
                f"write it again: {repair}"
            )

    def check(self, place: ArrayPlace) -> None:
        """Make sure that an array is (T > 0, F) with the bands of the front-end.

        Raises:
            StrangeArrayError: it is not.
        """
        check_shape(place, 2, self._bands)


def _mapping_in(text: str) -> dict[str, Any]:
    """The JSON object in a text; empty if there is none."""
    try:
        found = parse_json(text)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _values(front_end: Mapping[str, Any], keys: Sequence[str]) -> str:
    return ", ".join(f"{key} {front_end.get(key)}" for key in keys)
