"""The list of dicts that holds a whole split: one row a caption, with the vectors of the clip and of the caption.

`embeddings_<split>.pkl`: {"uniq_id", "audio_embedding" (D,), "text_embedding" (E,), "text", "audio_path"}.
"""

from __future__ import annotations

import hashlib
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from utils.artefact_utils.beside import beside, mark_of
from utils.artefact_utils.files import UnreadableError, check_is_file, is_there
from utils.artefact_utils.pickles import dump_pickle, load_pickle
from utils.artefact_utils.tables import Caption, Clip
from utils.artefact_utils.vector_tables import VectorTable
from utils.cli_utils import ArtefactError

FORMAT_VERSION = 1
KEYS = ("uniq_id", "audio_embedding", "text_embedding", "text", "audio_path")


class Pairs(NamedTuple):
    """A split as the input of a run: clips, their captions, and the vectors of both."""

    clips: list[Clip]  # C; durations, rates and channels are unknown: 0
    captions: list[Caption]  # M
    audio: NDArray[np.float32]  # (C, D)
    text: NDArray[np.float32]  # (M, E)


def write_pairs(path: Path, pairs: Pairs, notes: dict[str, Any]) -> None:
    """Write the list of dicts, one a caption, complete or not at all.

    Args:
        path: the pickle.
        pairs: the split; captions whose clip is not among the clips are left out.
        notes: what made the vectors.
    """
    clips = {clip.fid: (clip.path, np.array(vector)) for clip, vector in zip(pairs.clips, pairs.audio, strict=True)}
    rows = []
    for caption, vector in zip(pairs.captions, pairs.text, strict=True):
        if caption.fid in clips:
            audio_path, audio = clips[caption.fid]
            values = (caption.source_id, audio, np.array(vector), caption.raw_text, audio_path)
            rows.append(dict(zip(KEYS, values, strict=True)))
    dump_pickle(path, rows, {"format_version": FORMAT_VERSION, **notes})


def place_of_pairs(path: Path, notes: dict[str, Any]) -> Path:
    """Return the path of the list of these models: the plain name, or one beside it if that is of other models."""
    chosen = {key: notes.get(key) for key in ("model", "text_model")}
    try:
        found = load_pickle(path, "")[1] if is_there(path) else chosen
    except UnreadableError:
        raise
    except ArtefactError:  # broken: it is made again
        found = chosen
    same = all(found.get(key) == value for key, value in chosen.items())
    return path if same else beside(path, mark_of(chosen))


def read_pairs(path: Path) -> Pairs:
    """The clips and captions of a list of dicts, in its order; rows of one audio_path are captions of one clip.

    Raises:
        ArtefactError: missing, broken or empty, a row without one of the five keys, vectors of several dimensions or
            not finite, or rows of one clip that differ in its vector.
    """
    repair = "correct data.pairs"
    check_is_file(path, repair)
    rows, _ = load_pickle(path, f"with the program that made it, or {repair}")
    _refuse_bad_rows(rows, path, repair)
    first_rows: dict[str, int] = {}  # audio_path -> row
    for number, row in enumerate(rows):
        first = rows[first_rows.setdefault(str(row["audio_path"]), number)]["audio_embedding"]
        if first is not row["audio_embedding"] and not np.array_equal(first, row["audio_embedding"]):
            raise ArtefactError(
                f"{path}: row {number} gives {row['audio_path']} another audio_embedding than row "
                f"{first_rows[str(row['audio_path'])]}, expected one a clip; {repair}"
            )
    audio = _table([rows[number] for number in first_rows.values()], "audio_embedding", path, repair)
    clips = [_clip(audio_path, vector) for audio_path, vector in zip(first_rows, audio, strict=True)]
    fids = {clip.path: clip.fid for clip in clips}
    captions = [_caption(number, row, fids[str(row["audio_path"])]) for number, row in enumerate(rows)]
    return Pairs(clips, captions, audio, _table(rows, "text_embedding", path, repair))


def _refuse_bad_rows(rows: Any, path: Path, repair: str) -> None:
    if not isinstance(rows, list) or not rows:
        found = "an empty list" if isinstance(rows, list) else type(rows).__name__
        raise ArtefactError(f"{path}: found {found}, expected a list of dicts; {repair}")
    for number, row in enumerate(rows):
        missing = [key for key in KEYS if not isinstance(row, dict) or key not in row]
        if missing:
            raise ArtefactError(
                f"{path}: row {number} has no {', '.join(missing)}, expected {', '.join(KEYS)}; {repair}"
            )
        if not isinstance(row["text"], str) or not row["text"].strip():
            raise ArtefactError(f"{path}: row {number} has the text {row['text']!r}, expected words; {repair}")
        for key in ("uniq_id", "text", "audio_path"):
            try:
                str(row[key]).encode("utf-8", "surrogateescape")  # such as file names that are no UTF-8
            except UnicodeEncodeError:
                raise ArtefactError(
                    f"{path}: row {number} has half of a surrogate pair in its {key}, expected characters; {repair}"
                ) from None


def _clip(audio_path: str, vector: NDArray[np.float32]) -> Clip:
    name = PurePosixPath(audio_path).name
    mark = hashlib.blake2b(vector.tobytes(), digest_size=16).hexdigest()
    return Clip(_digest(audio_path), name, audio_path, 0.0, 0, 0, name, mark)


def _caption(number: int, row: dict[str, Any], fid: str) -> Caption:
    uniq_id, text = str(row["uniq_id"]), str(row["text"])
    tid = _digest(fid, uniq_id, text, str(number))
    return Caption(tid, fid, PurePosixPath(str(row["audio_path"])).name, text, text, uniq_id)


def _digest(*parts: str) -> str:
    """Return 16 hex digits of all texts together."""
    digest = hashlib.blake2b(digest_size=8)
    for part in parts:
        content = part.encode("utf-8", "surrogateescape")
        digest.update(len(content).to_bytes(8, "little") + content)
    return digest.hexdigest()


def _table(rows: list[dict[str, Any]], key: str, path: Path, repair: str) -> NDArray[np.float32]:
    """(rows, D) float32."""
    table = VectorTable(len(rows), path, repair, path.parent)
    for number, row in enumerate(rows):
        table.put(number, f"{key} of {row['uniq_id']}", np.asarray(row[key]))
    return table.checked()
