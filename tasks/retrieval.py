"""Language-based audio retrieval: a dual encoder on log-mels and caption vectors, trained with InfoNCE."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from models.core import DualEncoderModel, DualEncoderSpec
from tasks.base import RunSpec
from utils.cli_utils import UserError
from utils.criterion_utils import CriterionSpec, InfoNCE
from utils.data_utils import Batch, CaptionedClips, DataSpec, TrainLoader, audio_loader, window_edges
from utils.metric_utils import (
    AUDIO_TO_TEXT,
    EmbeddingScores,
    NonFiniteEmbeddingError,
    evaluate,
    retrieval_metrics,
)
from utils.model_utils import Loader, seed_everything, to_device

Array = NDArray[np.float32]
_TEXT_BATCH = 4096


class RetrievalRun(RunSpec):
    """conf.yaml."""

    task: Literal["retrieval"]
    data: DataSpec
    model: DualEncoderSpec
    criterion: CriterionSpec

    def build(self, split: str = "train") -> RetrievalTask:
        """The task, with freshly seeded weights; `split` is opened at once, the others when they are asked for."""
        seed_everything(self.training.seed)
        return RetrievalTask(self, split)


class RetrievalOutputs(NamedTuple):
    """Every clip and every caption of a split, embedded once."""

    audio: Array  # (C, E)
    text: Array  # (Q, E)
    clip_of_caption: NDArray[np.int64]  # (Q,)
    fids: list[str]  # (C,)
    tids: list[str]  # (Q,)


class RetrievalTask:
    """Which model, data, criterion and metric belong together."""

    def __init__(self, run: RetrievalRun, split: str) -> None:
        """Open a split, which tells the width of the caption vectors, and build the model.

        Raises:
            UserError: a file is missing, broken or made with other settings.
        """
        self._run = run
        self._splits: dict[str, CaptionedClips] = {}
        text_dim = self.split(split).text.shape[1]
        self.dual_encoder: DualEncoderModel = run.model.build(run.data.front_end.n_mels, text_dim)
        self.criterion: InfoNCE = run.criterion.build()
        self._network = nn.ModuleDict({"dual_encoder": self.dual_encoder, "criterion": self.criterion})

    def split(self, role: str) -> CaptionedClips:
        """The data of `train`, `val`, `eval`, or of a split by its own name; opened when first asked for."""
        name = dict(self._run.data.splits).get(role, role)
        if name not in self._splits:
            self._splits[name] = CaptionedClips(self._run.data, name)
        return self._splits[name]

    def model(self) -> nn.Module:
        """Dual encoder and criterion (its temperature may learn)."""
        return self._network

    def loaders(self) -> Mapping[str, Loader]:
        """The training batches."""
        run = self._run
        training = run.training
        loader = TrainLoader(
            self.split("train"), training.batch_size, training.seed, training.sampling, run.data.workers
        )
        return {"train": loader}

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """InfoNCE of the batch's pairs."""
        audio, text = self.dual_encoder(batch)
        return {"loss": self.criterion(audio, text, batch["clip_ids"])}

    def outputs(self, split: str) -> RetrievalOutputs:
        """Every clip (the mean over its windows) and every caption, embedded once."""
        data = self.split(split)
        return RetrievalOutputs(
            self._embed_clips(data),
            self.embed_text(data.text),
            data.clip_of_caption,
            data.fids,
            [caption.tid for caption in data.captions],
        )

    def embed_text(self, vectors: Tensor) -> Array:
        """(Q, E_text) sentence vectors -> (Q, E) float32."""
        device = self._device()
        parts = [self.dual_encoder.embed_text(v.to(device)).float().cpu() for v in vectors.split(_TEXT_BATCH)]
        return torch.cat(parts).numpy()

    def embed_clip(self, features: Array) -> Array:
        """(T, F) log-mels of one clip -> (E,) float32; the mean over its windows."""
        edges = window_edges(len(features), self._run.data.front_end.frames(self._run.data.max_duration_s))
        device = self._device()
        total = torch.zeros(self._run.model.out_dim, device=device)
        for start, stop in itertools.pairwise(edges):
            audio = torch.from_numpy(features[start:stop])[None].to(device)
            total += self.dual_encoder.embed_audio(audio, torch.tensor([stop - start]))[0].float()
        return self.dual_encoder.normalise(total / (len(edges) - 1)).cpu().numpy()

    def _embed_clips(self, data: CaptionedClips) -> Array:
        device = self._device()
        total = torch.zeros(len(data.clips), self._run.model.out_dim, device=device)
        windows = torch.zeros(len(data.clips), 1, device=device)
        for batch in audio_loader(data, self._run.training.batch_size, self._run.data.workers):
            batch = to_device(batch, device)
            embeddings = self.dual_encoder.embed_audio(batch["audio"], batch["lengths"])
            total.index_add_(0, batch["clip"], embeddings.float())
            windows.index_add_(0, batch["clip"], windows.new_ones(len(embeddings), 1))
        return self.dual_encoder.normalise(total / windows).cpu().numpy()

    def _device(self) -> torch.device:
        return next(self._network.parameters()).device

    def scores(self, outputs: RetrievalOutputs) -> EmbeddingScores:
        """Captions as queries, clips as candidates."""
        return EmbeddingScores(outputs.text, outputs.audio, similarity=self._run.criterion.similarity)

    def metrics(self, outputs: RetrievalOutputs) -> dict[str, float]:
        """Text to audio (R@k, mAP@k, median_rank); audio to text, with the prefix a2t_; and val_loss.

        Raises:
            UserError: an embedding is not finite.
        """
        captions, clips = np.arange(len(outputs.text)), outputs.clip_of_caption
        similarity = self._run.criterion.similarity
        try:
            t2a = evaluate(self.scores(outputs), captions, clips)
        except NonFiniteEmbeddingError as error:
            id_ = outputs.tids[error.row] if error.side == "query" else outputs.fids[error.row]
            raise UserError(
                f"the embedding of {id_} holds {error.value}: training has diverged; lower optimizer.lr, set "
                "training.clip_grad_norm, or use precision fp32"
            ) from error
        a2t = evaluate(EmbeddingScores(outputs.audio, outputs.text, similarity=similarity), clips, captions)
        backward = retrieval_metrics(a2t, clips, len(outputs.audio), AUDIO_TO_TEXT)
        return {
            **retrieval_metrics(t2a, captions, len(captions)),
            **{f"a2t_{key}": value for key, value in backward.items()},
            "val_loss": self._loss(outputs),
        }

    def _loss(self, outputs: RetrievalOutputs) -> float:
        """InfoNCE over batches of the training's size, in an order that is the same every time."""
        order = np.random.default_rng(0).permutation(len(outputs.text))
        batches = np.array_split(order, -(-len(order) // self._run.training.batch_size))
        device = self._device()
        total = 0.0
        for rows in batches:
            clips = outputs.clip_of_caption[rows]
            audio, text = torch.from_numpy(outputs.audio[clips]), torch.from_numpy(outputs.text[rows])
            loss = self.criterion(audio.to(device), text.to(device), torch.from_numpy(clips).to(device))
            total += loss.item() * len(rows)
        return total / len(order)
