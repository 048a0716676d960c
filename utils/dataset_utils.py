"""What every data set's script does: find clips, decode them once, match captions, list what is refused."""

from __future__ import annotations

import hashlib
import os
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import NamedTuple

from tqdm import tqdm

from utils.artefact_utils import Caption, Clip, write_rows
from utils.audio_utils import AudioError, probe
from utils.text_utils import normalise_caption

AUDIO_SUFFIXES = {".wav", ".flac", ".ogg", ".mp3", ".opus", ".aif", ".aiff", ".au"}


class Rejected(NamedTuple):
    """A clip or a caption that is left out, and why."""

    kind: str  # clip or caption
    name: str
    reason: str


class RawCaption(NamedTuple):
    """A caption as the data set gives it; `text` is None where the data set has no normalised form."""

    name: str  # of the clip
    raw_text: str
    text: str | None
    source_id: str


def audio_files(folder: Path) -> tuple[list[Path], list[Rejected]]:
    """The audio files of a folder by name, and what else lies there; hidden files are passed over."""
    found = sorted(p for p in folder.iterdir() if p.is_file() and not p.name.startswith("."))
    known = ", ".join(sorted(AUDIO_SUFFIXES))
    strange = [p for p in found if p.suffix.lower() not in AUDIO_SUFFIXES]
    rejected = [Rejected("clip", p.name, f"extension '{p.suffix}' is none of {known}") for p in strange]
    return [p for p in found if p.suffix.lower() in AUDIO_SUFFIXES], rejected


def match_key(name: str) -> str:
    """What two spellings of one file name share: outer blanks and Unicode composition do not count."""
    return unicodedata.normalize("NFC", name.strip())


def probe_clips(
    files: Sequence[Path], root: Path, split: str, known: Mapping[str, Clip], workers: int
) -> tuple[list[Clip], list[Rejected]]:
    """Decode every file of a split, on all cores.

    Args:
        files: the audio files.
        root: the data set's folder.
        split: its name; a part of each fid.
        known: path relative to root -> a clip that need not be decoded again.
        workers: processes.
    Returns:
        The clips in the order of `files`, and the files that cannot be decoded or share a name.
    """
    paths = [file.relative_to(root).as_posix() for file in files]
    fresh = [path for path in paths if path not in known]
    jobs = [(root, path, split) for path in fresh]
    made: dict[str, Clip | Rejected] = {}
    with ProcessPoolExecutor(max(1, workers)) as pool:
        results = pool.map(_probe_clip, jobs, chunksize=max(1, min(32, len(jobs) // (4 * workers) or 1)))
        bar = tqdm(results, f"{split}: decoding", len(jobs), unit="clip", disable=not jobs)
        made.update(zip(fresh, bar, strict=True))
    clips: dict[str, Clip] = {}
    rejected: list[Rejected] = []
    for path in paths:
        clip = known.get(path) or made[path]
        if isinstance(clip, Rejected):
            rejected.append(clip)
        elif match_key(clip.fname) in clips:
            rejected.append(Rejected("clip", clip.fname, f"same name as '{clips[match_key(clip.fname)].fname}'"))
        else:
            clips[match_key(clip.fname)] = clip
    return list(clips.values()), rejected


def _probe_clip(job: tuple[Path, str, str]) -> Clip | Rejected:
    root, path, split = job
    file = root / path
    try:
        facts = probe(file)
        with file.open("rb") as stream:
            content = hashlib.file_digest(stream, "blake2b").digest()
    except (AudioError, OSError) as error:
        return Rejected("clip", file.name, str(error))
    fid = content_id(split, path, content)
    return Clip(fid, file.name, path, facts.duration_s, facts.sample_rate_hz, facts.channels, file.name)


def match_captions(
    clips: Sequence[Clip], captions: Iterable[RawCaption], split: str, refused: Mapping[str, str]
) -> tuple[list[Clip], list[Caption], list[Rejected]]:
    """Give every caption its clip.

    Args:
        clips: those that can be decoded.
        captions: as the data set gives them.
        split: its name; a part of each tid.
        refused: name -> reason of the clips that were rejected.
    Returns:
        The clips that have a caption, the captions that have a clip, and the rest with its reason.
    """
    by_name = {match_key(clip.fname): clip for clip in clips}
    refused = {match_key(name): reason for name, reason in refused.items()}
    matched: list[Caption] = []
    rejected: list[Rejected] = []
    seen: dict[tuple[str, str], int] = {}
    for caption in captions:
        clip = by_name.get(match_key(caption.name))
        raw_text = caption.raw_text.strip()
        text = caption.text.strip() if caption.text else normalise_caption(raw_text)
        if clip is None:
            reason = refused.get(match_key(caption.name), "no such file")
            rejected.append(Rejected("caption", caption.source_id, f"without a clip: '{caption.name}': {reason}"))
        elif not text:
            rejected.append(Rejected("caption", caption.source_id, f"no words in {caption.raw_text!r}"))
        else:
            number = seen[clip.fname, raw_text] = seen.get((clip.fname, raw_text), -1) + 1
            tid = content_id(split, clip.path, raw_text.encode(), str(number).encode())
            matched.append(Caption(tid, clip.fid, clip.fname, raw_text, text, caption.source_id))
    captioned = {caption.fid for caption in matched}
    rejected += [Rejected("clip", clip.fname, "without a caption") for clip in clips if clip.fid not in captioned]
    return [clip for clip in clips if clip.fid in captioned], matched, rejected


def content_id(split: str, name: str, *content: bytes) -> str:
    """16 hex digits that change with the split, the name or the content, and with nothing else."""
    digest = hashlib.blake2b(digest_size=8)
    for part in (split.encode(), name.encode("utf-8", "surrogateescape"), *content):
        digest.update(len(part).to_bytes(8, "little") + part)
    return digest.hexdigest()


def write_rejected(path: Path, rejected: Sequence[Rejected]) -> None:
    """Write <split>_rejected.csv: kind, name, reason; also when nothing was rejected."""
    write_rows(path, Rejected._fields, rejected)


def all_cores() -> int:
    """The cores this process may use."""
    return len(os.sched_getaffinity(0))
