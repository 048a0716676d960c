"""Write the output of a frozen encoder for all clips of a split, in parts, so that a killed run can resume.

Sounds and pictures alike: what differs is how a batch of them becomes arrays.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, TypeAlias

import numpy as np

from utils.artefact_utils import Clip, EmbeddingParts, EmbeddingSettings, remove_table, write_rows
from utils.cli_utils import UserError, check_free_disk
from utils.data_utils.decoding import Array
from utils.data_utils.products import FAILED_COLUMNS, say_what_is_there
from utils.executors import Advance, Executor, Failed, run_chunks

# Each clip of a batch with its array, or with the reason why it has none.
EmbeddedBatch: TypeAlias = list[tuple[Clip, Array | str]]


class EmbeddingJob(NamedTuple):
    """What all splits are embedded with.

    Attributes:
        settings: of the files.
        path_of: split -> its file.
        failed_of: split -> the list of its clips that have no embedding.
        embedded: clips -> batches of them, in their order, with their arrays; goes to other processes.
        shape_of: clip -> shape of its array, for the disk estimate.
        part_clips: clips a part.
        made_by: the command that makes the files again.
        noun: what a clip is called.
    """

    settings: EmbeddingSettings
    path_of: Callable[[str], Path]
    failed_of: Callable[[str], Path]
    embedded: Callable[[Sequence[Clip]], Iterator[EmbeddedBatch]]
    shape_of: Callable[[Clip], tuple[int, ...]]
    part_clips: int
    made_by: str
    noun: str = "clip"

    def parts(self, split: str) -> EmbeddingParts:
        """The file of a split."""
        return EmbeddingParts(self.path_of(split), self.settings)


def check_embedding_disk(job: EmbeddingJob, splits: Mapping[str, Sequence[Clip]], folder: Path) -> None:
    """Print the disk need of what is still to be made: all files, and the parts of the largest split.

    Args:
        job: encoder and settings.
        splits: name -> its clips.
        folder: of the files, data.features.
    Raises:
        UserError: the disk has less.
    """
    whole, parts = 0.0, [0.0]
    for split, clips in splits.items():
        finished = job.parts(split).finished()
        missing = [clip for clip in clips if clip.fid not in finished]
        if missing:
            whole += sum(_bytes(job, clip) for clip in clips)
            parts.append(sum(_bytes(job, clip) for clip in missing))
    if whole:
        need = whole + max(parts)
        print(f"{job.settings.kind} in {job.settings.dtype}: {size_text(whole)}, {size_text(need)} while made")
        check_free_disk(folder, need, "data.features")


def _bytes(job: EmbeddingJob, clip: Clip) -> int:
    return 1024 + int(np.prod(job.shape_of(clip))) * np.dtype(job.settings.dtype).itemsize


def size_text(number: float) -> str:
    """A number of bytes, for people."""
    return f"{number / 1e9:.1f} GB" if number >= 1e9 else f"{number / 1e6:.1f} MB"


class EmbeddingWork(NamedTuple):
    """Writes the temporary file of some clips."""

    parts: EmbeddingParts
    embedded: Callable[[Sequence[Clip]], Iterator[EmbeddedBatch]]
    dtype: str

    def __call__(self, chunk: Sequence[Clip], advance: Advance) -> list[Failed]:
        """Write the embeddings of these clips; returns those that were refused."""
        refused: list[Failed] = []
        self.parts.write_part([clip.fid for clip in chunk], self._finite(chunk, refused, advance))
        return refused

    def _finite(
        self, clips: Sequence[Clip], refused: list[Failed], advance: Advance
    ) -> Iterator[tuple[str, Iterator[Array]]]:
        """Yield fid and array of each clip that has one; note the reasons of the others."""
        for batch in self.embedded(clips):
            for clip, array in batch:
                if isinstance(array, str):
                    refused.append((clip.fid, array))
                    continue
                with np.errstate(over="ignore"):  # reported below
                    written = array.astype(self.dtype)
                if np.isfinite(written).all():
                    yield clip.fid, iter([written])
                else:
                    refused.append((clip.fid, f"its embedding holds NaN or infinite values as {self.dtype}"))
            advance(len(batch))


def write_embeddings(job: EmbeddingJob, split: str, clips: Sequence[Clip], executor: Executor) -> None:
    """Write the embeddings of one split, and the list of the clips that have none.

    Args:
        job: encoder and settings.
        split: its name.
        clips: its clips, in the order of the file.
        executor: what runs the work.
    Raises:
        UserError: every clip was refused.
    """
    parts = job.parts(split)
    failed_table = job.failed_of(split)
    remove_table(failed_table, FAILED_COLUMNS)
    say_what_is_there(parts, split)
    reasons = _embed_missing(job, parts, split, clips, executor)
    names = {clip.fid: clip.fname for clip in clips}
    if reasons:
        write_rows(failed_table, FAILED_COLUMNS, [(f, names[f], r) for f, r in reasons.items()])
        first = next(iter(reasons))
        example = f"the first is {names[first]}: {reasons[first]}"
        if len(reasons) == len(clips):
            raise UserError(
                f"{split}: all {len(clips)} {job.noun}s were refused, {example}; repair them, see {failed_table}"
            )
        print(f"{split}: {len(reasons)} of {len(clips)} {job.noun}s have no embedding, {example}")
        print(f"{split}: training leaves them out; all of them: {failed_table}")
    finished = [clip.fid for clip in clips if clip.fid not in reasons]
    if parts.is_complete(finished) and parts.left_out() == reasons:
        parts.remove_parts()
        print(f"{split}: {len(finished)} {job.noun}s, reused {parts.path}")
        return
    parts.finish(finished, reasons, job.made_by)
    print(f"{split}: {len(finished)} {job.noun}s, wrote {parts.path} ({size_text(parts.path.stat().st_size)})")


def _embed_missing(
    job: EmbeddingJob, parts: EmbeddingParts, split: str, clips: Sequence[Clip], executor: Executor
) -> dict[str, str]:
    """Embed the clips that are not on disk, part by part.

    The clips are cut into parts before those on disk are skipped, so that a resumed run computes the same batches as an
    uninterrupted one: in another batch, the last bits of an embedding can differ.

    Returns:
        fid -> reason of the clips that were refused, in table order.
    """
    finished = parts.finished()
    known = {fid for fid, path in finished.items() if path == parts.path}
    missing = sum(clip.fid not in finished for clip in clips)
    if 0 < missing < len(clips):
        print(f"{split}: {len(clips) - missing} of {len(clips)} {job.noun}s are on disk already")
    ordered = sorted((c for c in clips if c.fid not in known), key=lambda clip: -clip.duration_s)
    cut = (ordered[start : start + job.part_clips] for start in range(0, len(ordered), job.part_clips))
    chunks = [left for chunk in cut if (left := [clip for clip in chunk if clip.fid not in finished])]
    work = EmbeddingWork(parts, job.embedded, job.settings.dtype)
    reasons = dict(run_chunks(executor, work, chunks, f"{split}: embeddings", noun=job.noun))
    return {clip.fid: reasons[clip.fid] for clip in clips if clip.fid in reasons}
