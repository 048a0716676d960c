"""What every data set's script does: find clips, decode them once, match captions, list what is refused."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from utils.artefact_utils import Caption, Clip, write_rows
from utils.audio_utils import AudioError, probe
from utils.process_utils import worker_pool
from utils.report_utils import progress_bar
from utils.text_utils import normalise_caption

AUDIO_SUFFIXES = {".wav", ".flac", ".ogg", ".mp3", ".opus", ".aif", ".aiff", ".au"}


_Job = tuple[Path, str, str]  # the data set's folder, the path of a clip in it, the split


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
    found = sorted(p for p in folder.iterdir() if not p.name.startswith("."))
    strange = {p: reason for p in found if (reason := _why_strange(p))}
    return [p for p in found if p not in strange], [Rejected("clip", p.name, why) for p, why in strange.items()]


def _why_strange(path: Path) -> str | None:
    if path.is_dir():
        return "is a folder; the clips of a split lie in one folder"
    if path.suffix.lower() not in AUDIO_SUFFIXES:
        return f"extension '{path.suffix}' is none of {', '.join(sorted(AUDIO_SUFFIXES))}"
    return None if path.is_file() else "is a link to nothing, or no regular file"


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
    bar = progress_bar(len(jobs), f"{split}: decoding", "clip", iterable=_probed(jobs, workers), disable=not jobs)
    made = dict(zip(fresh, bar, strict=True))
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


def _probed(jobs: Sequence[_Job], workers: int) -> Iterator[Clip | Rejected]:
    if workers <= 1 or len(jobs) <= 1:
        yield from map(_probe_clip, jobs)
        return
    with worker_pool(workers) as pool:
        yield from pool.map(_probe_clip, jobs, chunksize=max(1, min(32, len(jobs) // (4 * workers))))


def _probe_clip(job: _Job) -> Clip | Rejected:
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
        refused: name -> reason of the clips that were rejected; a caption that spells such a name exactly is not
            given to another clip.
    Returns:
        The clips that have a caption, the captions that have a clip, and the rest with its reason.
    """
    by_name = {match_key(clip.fname): clip for clip in clips}
    reasons = {match_key(name): reason for name, reason in refused.items()} | dict(refused)
    matched: list[Caption] = []
    rejected: list[Rejected] = []
    seen: dict[tuple[str, str], int] = {}
    for caption in captions:
        clip = None if caption.name in refused else by_name.get(match_key(caption.name))
        raw_text = caption.raw_text.strip()
        text = (caption.text or "").strip() or normalise_caption(raw_text)
        if clip is None:
            reason = reasons.get(caption.name) or reasons.get(match_key(caption.name), "no such file")
            rejected.append(Rejected("caption", caption.source_id, f"without a clip: '{caption.name}': {reason}"))
        elif not raw_text or not text:
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
