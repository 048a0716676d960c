"""An index over the clips that are searched, in the trial's folder: built once, and refused where they have changed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tasks.retrieval.candidates import Candidates
from tasks.retrieval.encoder import RetrievalEncoder
from utils.artefact_utils import one_at_a_time
from utils.artefact_utils.retrieval.mapped_embeddings import read_mapped_embeddings, write_mapped_embeddings
from utils.artefact_utils.retrieval.search_index import (
    SearchIndexNotes,
    map_search_index,
    notes_file,
    read_index_notes,
    write_index_notes,
    write_search_index,
)
from utils.cli_utils import ArtefactError, UserError, check_free_disk
from utils.index_utils import RECALL_TARGET, IndexKind, IndexPlan, VectorSearch, build_index, plan_index, tuned
from utils.metric_utils.nearest import top_k_in_blocks
from utils.report_utils import progress_bar

Array = NDArray[np.float32]

PIECE_CLIPS = 4096  # at most these are embedded again after a kill
_SEED = 0
_RECALL_AT = 10


class IndexChoice(NamedTuple):
    """What a command line says of the index."""

    kind: IndexKind | None  # None: by the number of clips and the memory
    memory_bytes: float
    rebuild: bool


class ClipIndex:
    """The index of some clips of a trained run.

    Args:
        encoder: of the run.
        folder: of the trial.
        clips: what is searched.
        sample: -> (Q, E) embeddings of captions, which recall is measured with.
        rebuild_command: that builds the index again, for messages.
    """

    def __init__(
        self,
        encoder: RetrievalEncoder,
        folder: Path,
        clips: Candidates,
        sample: Callable[[], Array],
        rebuild_command: str,
    ) -> None:
        self._encoder = encoder
        self._folder = folder
        self._clips = clips
        self._sample = sample
        self._command = rebuild_command
        self._repair = f"build the index again: {rebuild_command}"
        self.path = folder / f"{clips.stem}_index.faiss"
        self._vectors_path = folder / f"{clips.stem}_embeddings.hdf5"
        self._made_with = {"checkpoint": encoder.weights_digest(), "clips_digest": _digest(clips.states)}

    def open(self, choice: IndexChoice) -> VectorSearch:
        """Open the index; the first time, or to rebuild it, build it.

        Raises:
            UserError: it is of another checkpoint, of other clips or of another kind, or broken, or does not fit.
        """
        notes = None if choice.rebuild else read_index_notes(self.path, self._repair)
        if notes is None:
            with one_at_a_time(self._folder, "search index"):
                notes = self._build(choice)
        else:
            self._refuse_other(notes, choice)
        index = map_search_index(self.path, notes, self._repair)
        print(f"{self.path.name}: {describe(notes)}")
        if notes.recall_at_10 < RECALL_TARGET:
            print(f"more is found with --index ivf, or with more --index-memory; {self._repair}")
        return VectorSearch(index, _plan_of(notes), self._vectors(), notes.similarity, notes.effort)

    def _refuse_other(self, notes: SearchIndexNotes, choice: IndexChoice) -> None:
        wanted = self._made_with
        if notes.checkpoint != wanted["checkpoint"]:
            found, expected = _short(notes.checkpoint), _short(wanted["checkpoint"])
            raise ArtefactError(f"{self.path}: was made with {found}, expected {expected}; {self._repair}")
        if notes.clips_digest != wanted["clips_digest"]:
            now = len(self._clips.rows)
            counts = f"{notes.clips} clips then, {now} now" if now != notes.clips else "other ones, or written again"
            raise ArtefactError(f"{self.path}: the clips have changed since it was built ({counts}); {self._repair}")
        if choice.kind not in (None, notes.kind):
            raise UserError(f"{self.path}: is of kind {notes.kind}, found --index {choice.kind}; {self._repair}")

    def _build(self, choice: IndexChoice) -> SearchIndexNotes:
        """Embed what is not embedded yet, build the index, measure it, write both files."""
        import faiss

        plan = plan_index(choice.kind, len(self._clips.rows), self._encoder.out_dim, choice.memory_bytes)
        check_free_disk(self._folder, plan.nbytes + 8 * plan.clips * plan.width, "output_root")
        vectors, similarity = self._vectors(), self._encoder.similarity
        if plan.training_clips:
            print(f"training {plan.lists} lists on {plan.training_clips} of {plan.clips} clips", flush=True)
        with progress_bar(plan.clips, f"{plan.kind} index", "clip") as bar:
            index = build_index(plan, vectors, similarity, _SEED, bar.update)
        written = write_search_index(self.path, index)
        queries = self._sample()
        exact, _ = top_k_in_blocks(queries, vectors, _RECALL_AT, similarity)
        measured = tuned(VectorSearch(index, plan, vectors, similarity, 0), queries, exact)
        notes = SearchIndexNotes(
            made_by=self._command,
            **self._made_with,
            **plan._asdict(),
            padded_width=plan.padded_width,
            similarity=similarity,
            effort=measured.effort,
            recall_at_10=round(measured.recall, 4),
            queries=len(queries),
            ms_per_query=round(measured.ms_per_query, 3),
            threads=faiss.omp_get_max_threads(),
            seed=_SEED,
            faiss=faiss.__version__,
            **written,
        )
        write_index_notes(self.path, notes)
        print(f"wrote {self.path}\nwrote {notes_file(self.path)}")
        return notes

    def _vectors(self) -> Array:
        """(N, E): the embeddings, mapped; computed where they are not there, or of other clips or weights."""
        path = self._vectors_path
        repair = f"remove {path}, then give the command again"
        vectors = read_mapped_embeddings(path, self._made_with, repair)
        if vectors is not None and len(vectors) == len(self._clips.rows):
            return vectors
        with progress_bar(len(self._clips.rows), f"{self._clips.stem}: embedding", "clip") as bar:
            write_mapped_embeddings(path, self._clips.pieces(PIECE_CLIPS), self._made_with, bar.update)
        vectors = read_mapped_embeddings(path, self._made_with, repair)
        assert vectors is not None
        return vectors


def describe(notes: SearchIndexNotes) -> str:
    """An index in words, with what a search finds and costs."""
    how = f", {notes.effort} nodes open" if notes.kind == "hnsw" else ""
    if notes.lists:
        how = f", {notes.effort} of {notes.lists} lists scanned"
    if notes.sub_width:
        how += f", {_plan_of(notes).code_bytes} bytes a clip"
    recall = f"recall@{_RECALL_AT} {notes.recall_at_10:.3f} of an exact search ({notes.queries} captions)"
    return f"{notes.kind}{how}; {notes.bytes / 1e6:.1f} MB; {recall}; {notes.ms_per_query:.2f} ms a query"


def _plan_of(notes: SearchIndexNotes) -> IndexPlan:
    return IndexPlan(notes.kind, notes.clips, notes.width, notes.lists, notes.sub_width)


def _short(checkpoint: str) -> str:
    """A checkpoint with the first digits of its digest, which tell two of one name apart."""
    return checkpoint[: checkpoint.rfind(" ") + 9]


def _digest(texts: Sequence[str]) -> str:
    return hashlib.blake2b("\n".join(texts).encode("utf-8", "surrogateescape"), digest_size=16).hexdigest()
