"""Clips as the output of a frozen encoder: <split>_audio_embeddings.hdf5, <split>_audio_frames.hdf5.

One dataset a clip, by fid: (D,) a vector, (T, D) frames. Attributes say what made them and which clips the encoder
refused. Pictures have frames alone: <split>_image_frames.hdf5. Vectors of another program are read by
utils.artefact_utils.foreign_embeddings.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from utils.artefact_utils.clip_arrays import ClipArrayParts, found_beside
from utils.artefact_utils.clip_views import ClipArrayReader
from utils.artefact_utils.encoder_inputs import other_input, without_own_front_end
from utils.artefact_utils.foreign_embeddings import ForeignVectors, open_foreign
from utils.artefact_utils.hdf5 import reading
from utils.artefact_utils.hdf5_arrays import ArrayPlace, check_shape
from utils.artefact_utils.tables import Clip
from utils.artefact_utils.vector_tables import VectorTable
from utils.cli_utils import ArtefactError

# `layers` of an encoder that is used whole.
ALL_LAYERS = "all"
# A picture's frames: of each patch, or one of the whole picture.
ImagePooling = Literal["patches", "pooled"]
IMAGE_POOLINGS = get_args(ImagePooling)


class EmbeddingSource(NamedTuple):
    """Where the vectors of a split come from, and what must have made them."""

    path: Path
    model: str | None  # as the YAML names it; None: features of another program; the model is not compared
    layers: int | None
    repair: str  # what writes or corrects the file, for messages
    scratch: Path  # a folder for a table that is too large to be held in memory
    max_duration_s: float | None = None  # of a window; None: any input will do
    precision: str = "fp32"
    front_end: str | None = None  # `front_end_mark` of what the encoder hears; None: it brings its own
    pooling: ImagePooling | None = None  # None: as the encoder does it
    key: str = "data.audio_embeddings"  # of the YAML, for messages


class AudioTable(NamedTuple):
    """One vector a clip, in the order of the given clips."""

    vectors: NDArray[np.float32]  # (N, D); rows of clips that were left out are zero
    kept: NDArray[np.bool_]  # (N,) False: the encoder refused the clip
    left_out: dict[str, str]  # fid -> reason
    keyed_by: str  # what the file calls its clips by: "fid", "file name", ...
    made_with: Mapping[str, str] = MappingProxyType({})  # attributes of the file; empty: another program's

    @property
    def revision(self) -> str:
        """The encoder's `model_revision`; empty in files of another program."""
        return self.made_with.get("revision", "")


class EmbeddingSettings(NamedTuple):
    """What the arrays were made with; stored in the file, and compared before it is reused."""

    kind: Literal["vectors", "frames"]
    model: str  # as the YAML names it
    revision: str  # `model_revision`: digest of the weights, or the hub's name
    layers: int | None  # number of transformer layers in use, from the first; None: all
    pooling: str  # how a clip became a vector
    input: str  # what the encoder hears: sample rate, longest window, front-end
    precision: str  # of the network's arithmetic
    dtype: str  # of the arrays


class EmbeddingParts(ClipArrayParts):
    """The embeddings of a split while they are written."""

    def __init__(self, path: Path, settings: EmbeddingSettings) -> None:
        """Open the parts beside `path`; those of other settings are ignored."""
        layers = ALL_LAYERS if settings.layers is None else str(settings.layers)
        super().__init__(path, settings._asdict() | {"layers": layers})

    def choices(self, attributes: Mapping[str, str]) -> dict[str, str]:
        """Model, layers, precision, and what the model hears, except for a front-end that it brings along."""
        chosen = {key: attributes.get(key, "") for key in ("model", "layers", "precision", "input")}
        chosen["input"] = without_own_front_end(chosen["input"], chosen["model"])
        # of sounds the encoder says how it pools, and an improved way replaces the file
        pooling = attributes.get("pooling", "")
        return chosen | ({"pooling": pooling} if pooling in IMAGE_POOLINGS else {})

    def left_out(self) -> dict[str, str]:
        """Return the clips that the encoder refused, from the assembled file's attribute: fid -> reason."""
        try:
            return dict(json.loads(self.note("left_out") or "{}"))
        except (ValueError, TypeError, RecursionError):  # not as `finish` notes it: it is written again
            return {}

    def finish(self, fids: Sequence[str], left_out: Mapping[str, str], command: str) -> None:
        """Assemble the file of the clips that are `finished`, with the reasons of the others."""
        self.assemble(fids, command, {"left_out": json.dumps(dict(left_out))})


class _EmbeddingReader(ClipArrayReader):
    what = "embedding"

    def fill(self, fids: Sequence[str], table: VectorTable) -> None:
        """Copy the vectors of `fids`; the row of an empty fid is skipped and stays zero.

        Raises:
            ArtefactError: a clip has none, or one of another shape.
        """
        wanted = [(row, fid) for row, fid in enumerate(fids) if fid]
        views = self.views([fid for _, fid in wanted])
        for (row, fid), view in zip(wanted, views, strict=True):
            table.put(row, fid, view[:])

    def check(self, place: ArrayPlace) -> None:
        check_shape(place, 1)


def read_audio_embeddings(source: EmbeddingSource, clips: Sequence[Clip], split: str) -> AudioTable:
    """The vectors of the clips of a split.

    Args:
        source: the file, and what must have made it.
        clips: the clips of the split.
        split: its name.
    Returns:
        Their vectors, and which clips the encoder refused.
    Raises:
        ArtefactError: the file is missing or broken, was made with another model, lacks a clip, or holds vectors of
            several dimensions, NaN or infinite values.
    """
    if source.model is None:
        return _read_foreign(source, clips, split)
    reader = _EmbeddingReader(found_embeddings(source, "vectors"), source.repair)
    if problem := why_other(reader.attributes, source, "vectors"):
        raise ArtefactError(f"{reader.path}: {problem}; write it again: {source.repair}")
    left_out = reasons_left_out(reader.attributes.get("left_out", ""), source)
    kept = np.array([clip.fid not in left_out for clip in clips])
    fids = [clip.fid if keep else "" for clip, keep in zip(clips, kept, strict=True)]
    table = VectorTable(len(clips), reader.path, source.repair, source.scratch)
    reader.fill(fids, table)
    return AudioTable(table.checked(), kept, _of(clips, left_out), "fid", reader.attributes)


def _read_foreign(source: EmbeddingSource, clips: Sequence[Clip], split: str) -> AudioTable:
    with open_foreign(source.path, source.repair) as foreign:
        left_out = reasons_left_out(foreign.left_out, source)
        kept = np.array([clip.fid not in left_out for clip in clips])
        held = [clip for clip, keep in zip(clips, kept, strict=True) if keep]
        keyed_by, keys = _matching_keys(foreign, held, split, source)
        table = VectorTable(len(clips), source.path, source.repair, source.scratch)
        with reading(source.path, f"with the program that made it, or {source.repair}"):
            for row, key in zip(np.flatnonzero(kept), keys, strict=True):
                table.put(int(row), key, foreign[key])
    return AudioTable(table.checked(), kept, _of(clips, left_out), keyed_by)


def _matching_keys(
    foreign: ForeignVectors, clips: Sequence[Clip], split: str, source: EmbeddingSource
) -> tuple[str, list[str]]:
    """What the file calls its clips by, and the key of each clip.

    Raises:
        ArtefactError: a clip has no key, or shares it with another.
    """
    kinds = {
        "fid": [clip.fid for clip in clips],
        "path": [clip.path for clip in clips],
        "split/file name": [f"{split}/{clip.fname}" for clip in clips],
        "file name": [clip.fname for clip in clips],
        "source_id": [clip.source_id for clip in clips],
    }
    known = foreign.keys_among([key for keys in kinds.values() for key in keys])
    kind = max(kinds, key=lambda name: sum(key in known for key in kinds[name]))
    keys = kinds[kind]
    missing = [key for key in keys if key not in known]
    if len(missing) == len(keys):
        some = ", ".join(repr(key) for key in foreign.some_keys()) or "none"
        raise ArtefactError(
            f"{source.path}: no key fits a clip of split '{split}': found {some}, expected keys by fid, file name, "
            f"'{split}/<file name>', path or source_id, such as {kinds['fid'][0]!r} or {clips[0].fname!r}; "
            f"{source.repair}"
        )
    if missing:
        raise ArtefactError(
            f"{source.path}: no embedding for {len(missing)} of {len(keys)} clips of split '{split}', found by {kind}; "
            f"the first is {missing[0]!r}; {source.repair}"
        )
    if len(set(keys)) < len(keys):
        first = next(key for number, key in enumerate(keys) if key in keys[:number])
        raise ArtefactError(
            f"{source.path}: several clips of split '{split}' share the {kind} {first!r}, expected a key for each; "
            f"{source.repair}"
        )
    return kind, keys


def found_embeddings(source: EmbeddingSource, kind: Literal["vectors", "frames"]) -> Path:
    """The file of the encoder and the settings that are wanted, among those beside each other; else the plain name."""

    def exactly(found: Mapping[str, str]) -> bool:
        return found.get("precision") == source.precision and not why_other(found, source, kind)

    path = found_beside(source.path, exactly)
    if path != source.path:
        return path
    return found_beside(source.path, lambda found: not why_other(found, source, kind))


def why_other(found: Mapping[str, str], source: EmbeddingSource, kind: Literal["vectors", "frames"]) -> str | None:
    """What a file was made with otherwise than this run wants; None: nothing."""
    layers = ALL_LAYERS if source.layers is None else str(source.layers)
    wanted = {"kind": kind, "model": str(source.model), "layers": layers}
    if source.pooling is not None:
        wanted["pooling"] = source.pooling
    problems = [
        f"{key} is {found.get(key, 'not noted')}, this run wants {value}"
        for key, value in wanted.items()
        if found.get(key) != value
    ]
    problem = next(iter(problems), None)
    if problem is None and source.max_duration_s is not None:
        problem = other_input(found.get("input", ""), source.max_duration_s, source.front_end)
    # a CPU computes in fp32, also where the YAML names fp16 or bf16
    if problem is None and found.get("precision") not in (source.precision, "fp32"):
        precision = found.get("precision", "not noted")
        problem = (
            f"precision is {precision}, this run wants {source.precision} (or set {source.key}.precision={precision})"
        )
    return problem


def reasons_left_out(note: str, source: EmbeddingSource) -> dict[str, str]:
    """The reasons by fid that a file notes.

    Raises:
        ArtefactError: the note is none of these.
    """
    try:
        found = json.loads(note) if note else {}
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict) or not all(isinstance(reason, str) for reason in found.values()):
        raise ArtefactError(f"{source.path}: left_out is no JSON object of fid and reason; {source.repair}")
    return found


def _of(clips: Sequence[Clip], left_out: Mapping[str, str]) -> dict[str, str]:
    return {clip.fid: left_out[clip.fid] for clip in clips if clip.fid in left_out}
