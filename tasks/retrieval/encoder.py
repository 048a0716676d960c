"""Sound files and texts in, numpy arrays out: the Python API of a trained run, or of an exported audio encoder.

Embeddings are those of the scripts of stage 3, which call the same methods.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from models.sounds import SoundEmbeddings
from utils.artefact_utils.retrieval.folder_embeddings import (
    FileEmbedding,
    folder_embeddings_file,
    read_folder_embeddings,
    write_folder_embeddings,
)
from utils.audio_utils import DECODING_VERSION
from utils.cli_utils import UserError, existing_folder
from utils.criterion_utils import Similarity
from utils.dataset_utils.file_names import audio_below
from utils.metric_utils.ranking import top_k
from utils.metric_utils.scores import EmbeddingScores
from utils.pretrained_utils import sha256
from utils.process_utils import all_cores
from utils.report_utils import progress_bar

Array = NDArray[np.float32]
AnyPath = str | os.PathLike[str]
# files, threads, called with the number of files finished since the last call -> their embeddings
SoundEmbedder = Callable[[Sequence[Path], int, Callable[[int], object]], SoundEmbeddings]
_FILES_A_WRITE = 256  # at most this many are lost when a folder's first search is killed


class FolderEmbeddings(NamedTuple):
    """The sound files below a folder, embedded."""

    files: list[Path]  # N, by path
    embeddings: Array  # (N, E)
    refused: dict[Path, str]  # files that cannot be embedded -> why


class Hits(NamedTuple):
    """The best candidates of each query, best first."""

    indices: NDArray[np.int64]  # (Q, K) rows of the candidates
    scores: Array  # (Q, K)


class EncoderWeights(NamedTuple):
    """Which weights an encoder has."""

    name: str  # of the checkpoint or file, for messages
    files: Sequence[Path]

    def digest(self) -> str:
        """Name and content, by which cached embeddings are found again.

        Computed when it is needed, not when an encoder is loaded: a checkpoint may have gigabytes.
        """
        return f"{self.name}, sha256 {sha256(*self.files)}"


class RetrievalEncoder:
    """A trained audio encoder, and the text encoder that it was trained with.

    Attributes:
        out_dim: E, the width of embeddings.
        similarity: of the run's criterion, by which `search` compares.

    Args:
        sounds: embeds sound files.
        texts: embeds texts; None: there is no text encoder.
        out_dim: see above.
        similarity: see above.
        kept_in: folder of the cached embeddings of folders.
        weights: which ones it has.
    """

    def __init__(
        self,
        sounds: SoundEmbedder,
        texts: Callable[[Sequence[str]], Array] | None,
        *,
        out_dim: int,
        similarity: Similarity,
        kept_in: Path,
        weights: EncoderWeights,
    ) -> None:
        self.out_dim = out_dim
        self.similarity: Similarity = similarity
        self._sounds = sounds
        self._texts = texts
        self._kept_in = kept_in
        self._weights = weights

    def encode_audio(self, files: AnyPath | Sequence[AnyPath]) -> Array:
        """Embed sound files.

        Args:
            files: N paths, or one.
        Returns:
            (N, E) float32.
        Raises:
            UserError: a file cannot be decoded, is silent, or is too short.
        """
        paths = [Path(files)] if isinstance(files, str | os.PathLike) else [Path(file) for file in files]
        with torch.inference_mode():
            found = self._sounds(paths, all_cores(), _ignore)
        if found.refused:
            row, reason = min(found.refused.items())
            raise UserError(f"{paths[row]}: {reason}; give another sound file")
        return found.embeddings

    def encode_text(self, texts: str | Sequence[str]) -> Array:
        """Embed texts.

        Args:
            texts: Q texts, or one.
        Returns:
            (Q, E) float32.
        Raises:
            UserError: the encoder was exported alone, or the text model is missing or has changed.
        """
        if self._texts is None:
            raise UserError(f"{self._weights.name}: holds an audio encoder alone; load the trained run to embed texts")
        with torch.inference_mode():
            return self._texts([texts] if isinstance(texts, str) else list(texts))

    def encode_folder(self, folder: AnyPath, *, progress: bool = False) -> FolderEmbeddings:
        """Embed the sound files below a folder; those that have not changed since the last call are not embedded again.

        Args:
            folder: the folder; it is only read.
            progress: draw a progress bar.
        Raises:
            UserError: there is no such folder, or no sound file in it.
        """
        root = existing_folder(Path(folder), "folder", "name the folder of the sounds")
        files = audio_below(root)
        if not files:
            raise UserError(f"{root}: no audio files in this folder or below it; name the folder of the sounds")
        cache = folder_embeddings_file(self._kept_in, root)
        made_with = {
            "folder": str(root.resolve()),
            "weights": self._weights.digest(),
            "decoding": str(DECODING_VERSION),
        }
        known = read_folder_embeddings(cache, made_with, self.out_dim)
        states = {file: _state(file) for file in files}
        names = {file: file.relative_to(root).as_posix() for file in files}
        done = {
            names[file]: known[names[file]]
            for file in files
            if names[file] in known and known[names[file]][:2] == states[file]
        }
        fresh = [file for file in files if names[file] not in done]
        with progress_bar(len(fresh), f"{root.name}: embedding", "file", disable=not (progress and fresh)) as bar:
            for start in range(0, len(fresh), _FILES_A_WRITE):
                some = fresh[start : start + _FILES_A_WRITE]
                with torch.inference_mode():
                    found = self._sounds(some, all_cores(), bar.update)
                for row, file in enumerate(some):
                    reason = found.refused.get(row, "")
                    embedding = None if reason else found.embeddings[row]
                    done[names[file]] = FileEmbedding(*states[file], embedding, reason)
                write_folder_embeddings(cache, done, made_with)
        return _of_folder(files, names, done, self.out_dim)

    def weights_digest(self) -> str:
        """Which weights make the embeddings: the name of the checkpoint or file, and a digest of its content."""
        return self._weights.digest()

    def search(self, queries: str | Sequence[str] | Array, audio: Array, top: int = 10) -> Hits:
        """Find the best clips for every query.

        Args:
            queries: Q texts, or one, or the (Q, E) embeddings of texts or sounds.
            audio: (C, E) embeddings of the clips.
            top: K, or fewer where there are fewer clips.
        Raises:
            UserError: see `encode_text`.
        """
        embeddings = queries if isinstance(queries, np.ndarray) else self.encode_text(queries)
        return Hits(*top_k(EmbeddingScores(embeddings, audio, similarity=self.similarity), top))


def _ignore(files: int) -> None:
    """Report no progress."""


def _state(file: Path) -> tuple[int, int]:
    stat = file.stat()
    return stat.st_size, stat.st_mtime_ns


def _of_folder(
    files: Sequence[Path], names: Mapping[Path, str], done: Mapping[str, FileEmbedding], width: int
) -> FolderEmbeddings:
    usable = [file for file in files if done[names[file]].embedding is not None]
    rows = [embedding for file in usable if (embedding := done[names[file]].embedding) is not None]
    refused = {file: done[names[file]].reason for file in files if done[names[file]].reason}
    return FolderEmbeddings(usable, np.stack(rows) if rows else np.zeros((0, width), np.float32), refused)
