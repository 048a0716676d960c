"""The clips of a dataset: find them, decode them once, list what is rejected."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Generic, NamedTuple, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from utils.artefact_utils import Clip
from utils.audio_utils import AudioError, probe
from utils.process_utils import worker_pool
from utils.report_utils import progress_bar

# Files with other suffixes are rejected; how a file is decoded depends on its content.
AUDIO_SUFFIXES = {".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".au"}
AUDIO_SUFFIXES |= {".aac", ".m4a", ".mp4", ".webm", ".wma"}

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Listener(Protocol[T_co]):
    """Makes something of a clip while it is decoded, so that it is decoded once."""

    def hear(self, block: NDArray[np.float32], sample_rate_hz: int) -> None:
        """Take the next (S,) samples, mono."""

    def heard(self) -> T_co:
        """What is made of all of them."""


class Rejected(NamedTuple):
    """A clip or a caption that is left out, and why."""

    kind: str  # clip or caption
    name: str
    reason: str


class Decoded(NamedTuple, Generic[T]):
    """What decoding a file shows.

    Attributes:
        clip: it, or why it is left out.
        heard: what the listener made of it; None without a listener, and of what is left out.
    """

    clip: Clip | Rejected
    heard: T | None


class _Job(NamedTuple, Generic[T]):
    root: Path
    path: str  # of the clip, relative to it
    split: str
    listener: Callable[[], Listener[T]] | None


def audio_files(folder: Path) -> tuple[list[Path], list[Rejected]]:
    """List the audio files of a folder by name, and reject everything else; hidden files are ignored."""
    found = sorted(p for p in folder.iterdir() if not p.name.startswith("."))
    strange = {p: reason for p in found if (reason := _why_strange(p))}
    return [p for p in found if p not in strange], [Rejected("clip", p.name, why) for p, why in strange.items()]


def _why_strange(path: Path) -> str | None:
    if path.is_dir():
        return "is a folder; the clips of a split must be in one folder"
    if path.suffix.lower() not in AUDIO_SUFFIXES:
        return f"extension '{path.suffix}' is none of {', '.join(sorted(AUDIO_SUFFIXES))}"
    return None if path.is_file() else "is a broken link, or not a regular file"


def match_key(name: str) -> str:
    """Normalise a file name for comparison: without outer blanks, and in one Unicode form."""
    return unicodedata.normalize("NFC", name.strip())


def probe_clips(
    files: Sequence[Path],
    root: Path,
    split: str,
    known: Mapping[str, Clip],
    workers: int,
    source_ids: Mapping[str, str] | None = None,
) -> tuple[list[Clip], list[Rejected]]:
    """Decode every file of a split, on all cores.

    Args:
        files: the audio files.
        root: the dataset's folder.
        split: its name, which changes the fids.
        known: path relative to root -> a clip that need not be decoded again.
        workers: number of processes.
        source_ids: path relative to root -> the dataset's own id; paths then identify clips. None: file names identify
            clips, and are the ids; of two clips with one name the second is rejected.
    Returns:
        The clips in the order of `files`, and the files that cannot be decoded or have the name of another. A rejected
        file is named by its path if there are `source_ids`, otherwise by its file name.
    """
    paths = [file.relative_to(root).as_posix() for file in files]
    fresh = [path for path in paths if path not in known]
    decoded: dict[str, Decoded[None]] = decode_clips(fresh, root, split, workers)
    clips: dict[str, Clip] = {}
    rejected: list[Rejected] = []
    for path in paths:
        clip = known.get(path) or decoded[path].clip
        key = path if source_ids is not None else match_key(clip.name if isinstance(clip, Rejected) else clip.fname)
        if isinstance(clip, Rejected):
            rejected.append(clip if source_ids is None else clip._replace(name=path))
        elif key in clips:
            rejected.append(Rejected("clip", clip.fname, f"same name as '{clips[key].fname}'"))
        else:
            # a known clip may come from the table of another script, with other ids
            clips[key] = clip._replace(source_id=clip.fname if source_ids is None else source_ids[path])
    return list(clips.values()), rejected


def decode_clips(
    paths: Sequence[str], root: Path, split: str, workers: int, listener: Callable[[], Listener[T]] | None = None
) -> dict[str, Decoded[T]]:
    """Decode files once, with a progress bar.

    Args:
        paths: of the files, relative to root.
        root: the dataset's folder.
        split: its name, which changes the fids.
        workers: number of processes.
        listener: makes the listener of a clip, in the process that decodes it.
    Returns:
        By path, in the order of `paths`.
    """
    jobs = [_Job(root, path, split, listener) for path in paths]
    bar = progress_bar(len(jobs), f"{split}: decoding", "clip", iterable=_decoded(jobs, workers), disable=not jobs)
    return dict(zip(paths, bar, strict=True))


def _decoded(jobs: Sequence[_Job[T]], workers: int) -> Iterator[Decoded[T]]:
    if workers <= 1 or len(jobs) <= 1:
        yield from map(_decode_clip, jobs)
        return
    with worker_pool(workers) as pool:
        yield from pool.map(_decode_clip, jobs, chunksize=max(1, min(32, len(jobs) // (4 * workers))))


def _decode_clip(job: _Job[T]) -> Decoded[T]:
    file = job.root / job.path
    listener = job.listener() if job.listener else None
    try:
        facts = probe(file, hear=listener.hear if listener else None)
        with file.open("rb") as stream:
            content = hashlib.file_digest(stream, "blake2b").digest()
    except (AudioError, OSError) as error:
        return Decoded(Rejected("clip", file.name, str(error)), None)
    fid = content_id(job.split, job.path, content)
    described = (facts.duration_s, facts.sample_rate_hz, facts.channels, file.name, facts.sound)
    return Decoded(Clip(fid, file.name, job.path, *described), listener.heard() if listener else None)


def content_id(split: str, name: str, *content: bytes) -> str:
    """Compute an id, 16 hexadecimal digits, from the split, the name and the content of a clip or caption.

    Not random and not counted, so that a file that is added or removed changes no other id.
    """
    digest = hashlib.blake2b(digest_size=8)
    for part in (split.encode(), name.encode("utf-8", "surrogateescape"), *content):
        digest.update(len(part).to_bytes(8, "little") + part)
    return digest.hexdigest()
