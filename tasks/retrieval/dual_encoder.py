"""The base of the systems of clips and captions: a dual encoder, its data, its loss, and retrieval both ways."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from models.audio_encoders import AudioEncoderSpec, without_initial_weights
from models.audio_encoders.wav2vec2 import Wav2Vec2Spec
from models.backbones.base import WaveformBackbone
from models.core import DualEncoderModel, DualEncoderSpec
from models.projections import Projection
from tasks.base import CaptionRun, EncoderRun, SplitData
from tasks.retrieval.embedding import DualEncoderEmbedder, RetrievalOutputs
from tasks.retrieval.same_encoder import refuse_stale
from tasks.retrieval.training import CaptionTrainingSpec
from utils.cli_utils import ArtefactError, ConfigError
from utils.cli_utils.repairs import Product
from utils.criterion_utils import CriterionSpec, InfoNCE
from utils.data_utils import (
    AudioInput,
    Batch,
    CaptionDataSpec,
    CaptionedClips,
    Inputs,
    TrainLoader,
    VectorFeatures,
    WaveNeeds,
    describe_tables,
)
from utils.data_utils.run_once import RunOnce
from utils.metric_utils.chance import chance_metrics
from utils.metric_utils.ranking import ranks_of_relevant, tie_order
from utils.metric_utils.retrieval import AUDIO_TO_TEXT, retrieval_metrics
from utils.metric_utils.scores import EmbeddingScores, NonFiniteEmbeddingError
from utils.model_utils import DivergedError, Loader, seed_everything

Array = NDArray[np.float32]


# The scripts of stage 1 by their place in it: raw data, tables, features of clips, vectors of captions.
_STAGE_1 = {
    "preprocessing.synthetic_corpus": 0,
    "preprocessing.clotho_dataset": 1,
    "preprocessing.audiocaps_dataset": 1,
    "preprocessing.own_dataset": 1,
    "preprocessing.dcase2023_takeover": 1,
    "preprocessing.audio_features": 1,  # which no run of retrieval reads
    "preprocessing.audio_logmel": 2,
    "preprocessing.audio_embeddings": 2,
    "preprocessing.text_embeddings": 3,
    "preprocessing.sbert_embeddings": 3,
    "preprocessing.clip_embeddings": 3,
}


class DualEncoderRun(CaptionRun, EncoderRun):
    """The sections of a run that trains a dual encoder."""

    data: CaptionDataSpec
    model: DualEncoderSpec
    criterion: CriterionSpec
    training: CaptionTrainingSpec = CaptionTrainingSpec()

    scripts: ClassVar[Mapping[Product, str]] = {
        "tables": "preprocessing.clotho_dataset",
        "log-mels": "preprocessing.audio_logmel",
        "audio-embeddings": "preprocessing.audio_embeddings",
        "text-embeddings": "preprocessing.sbert_embeddings",
        "taken-over-features": "preprocessing.dcase2023_takeover",
        "initial-weights": "preprocessing.cnn14_transfer",
        "exported-encoder": "postprocessing.export",
        "training": "main.py",
        "scores": "postprocessing.xmodal_scores",
    }
    accuracy_cutoffs: ClassVar[tuple[int, ...]] = ()  # of pairing accuracy, where a system is measured by it

    def build(self, split: str = "train") -> DualEncoderTask:
        """The task, with freshly seeded weights; `split` is opened at once, the others when they are needed."""
        seed_everything(self.training.seed)
        return DualEncoderTask(self, split)

    @property
    def audio_encoder(self) -> AudioEncoderSpec:
        """The block of it."""
        return self.model.audio_encoder

    def last_layer(self, published: int | None) -> int | None:
        """That of the file, or model.out_dim."""
        return published or self.model.out_dim

    def settings_of_last_layer(self, width: int) -> dict[str, int]:
        """model.out_dim, if it is another."""
        return {} if self.model.out_dim == width else {"model.out_dim": width}

    def for_stage_3(self) -> Self:
        """The same run without the file of initial weights, where all of them learnt and are in the checkpoint."""
        encoder = without_initial_weights(self.model.audio_encoder)
        return self.model_copy(update={"model": self.model.model_copy(update={"audio_encoder": encoder})})

    def check_splits(self, splits: Sequence[SplitData], *, thorough: bool) -> list[str]:
        """Compare the vectors with the encoders that `data:` names; thorough: also look for recordings in two splits.

        Raises:
            ArtefactError: an encoder on this machine has changed since it made them.
        """
        refuse_stale(splits, self.data)
        line = describe_tables(self.data) if thorough else ""
        return [line] if line else []

    def chance(self, split: SplitData) -> dict[str, float]:
        """Compute the chance of text to audio: each caption has one relevant clip, and the order is random."""
        assert isinstance(split, CaptionedClips)
        return chance_metrics(np.ones(len(split.captions), np.int64), len(split.clips))

    def audio_input(self) -> AudioInput:
        """Which features the audio encoder takes: logmel, wave or vector.

        Raises:
            ConfigError: it takes vectors, and the run names none.
        """
        wanted = self.model.audio_encoder.input
        if wanted == "vector" and self.data.audio_embeddings is None and self.data.pairs is None:
            raise ConfigError(
                f"model.audio_encoder: {self.model.audio_encoder.name} takes one vector a clip, and neither "
                "data.audio_embeddings nor data.pairs is set; name a frozen encoder or a file there"
            )
        if wanted != "vector" and self.data.pairs is not None:
            raise ConfigError(
                f"data.pairs: holds vectors, and {self.model.audio_encoder.name} takes a {wanted}; use AudioProjection"
            )
        return wanted

    def script_of(self, product: Product) -> str:
        """The script that makes a product for a run of these settings."""
        if product == "tables" and self.data.own_dataset is not None:
            return "preprocessing.own_dataset"
        return self.scripts[product]

    def next_script(self, after: str) -> str:
        """The script that a user of these settings runs after one of stage 1 or after `main.py`."""
        if after == "main.py":
            return self.script_of("scores")
        data, place = self.data, _STAGE_1[after]
        if data.pairs is not None:  # it replaces all files of stage 1
            return "main.py"
        audio = {"logmel": "preprocessing.audio_logmel", "wave": None, "vector": "preprocessing.audio_embeddings"}
        needed = [
            None,
            self.script_of("tables"),
            None if data.audio_embeddings and data.audio_embeddings.file else audio[self.model.audio_encoder.input],
            self.script_of("text-embeddings") if self.model.text_encoder.input == "vector" else None,
        ]
        return next((script for script in needed[place + 1 :] if script), "main.py")


class DualEncoderTask:
    """A dual encoder with its data, criterion and metrics."""

    def __init__(self, run: DualEncoderRun, split: str) -> None:
        """Open a split, whose vectors set the input widths, and build the model.

        Raises:
            UserError: a file is missing, broken or made with other settings.
        """
        self._run = run
        self._splits: dict[str, CaptionedClips] = {}
        tokenizer = run.model.text_encoder.tokenizer() if run.model.text_encoder.input == "tokens" else None
        kind = run.audio_input()
        encoder_spec = run.model.audio_encoder
        # loaded before the rest: the data need its sample rate and its longest window
        backbone = encoder_spec.load_backbone() if isinstance(encoder_spec, Wav2Vec2Spec) else None
        self._inputs = Inputs(kind, _needs_of(backbone), tokenizer)
        opened = self.data(split)
        self.dual_encoder: DualEncoderModel = run.model.build(opened.audio.width, opened.texts.width, backbone)
        self.criterion: InfoNCE = run.criterion.build()
        self._network = nn.ModuleDict({"dual_encoder": self.dual_encoder, "criterion": self.criterion})
        self.embedder = DualEncoderEmbedder(
            self.dual_encoder, run.data, self._inputs, self._splits, run.training.batch_size
        )
        encoder = self.dual_encoder.audio_encoder
        text_encoder = self.dual_encoder.text_encoder
        self._once = RunOnce(encoder, run.training, run.data.worker_processes, text_encoder)
        self._trains = opened.name == run.data.splits.train
        if opened.name == run.data.splits.train and isinstance(encoder, Projection):
            assert isinstance(opened.audio, VectorFeatures)
            encoder.fit(opened.audio.table)

    def data(self, role: str) -> CaptionedClips:
        """The split of `train`, `val`, `eval`, or one by its own name; opened when it is first needed."""
        name = dict(self._run.data.splits).get(role, role)
        if name not in self._splits:
            opened = CaptionedClips(self._run.data, name, self._inputs)
            for other in self._splits.values():
                check_alike(other, opened)
            self._splits[name] = opened
        return self._splits[name]

    def model(self) -> nn.Module:
        """Dual encoder and criterion (its temperature may learn)."""
        return self._network

    def loaders(self) -> Mapping[str, Loader]:
        """The training batches."""
        training, split = self._run.training, self._taken(self.data("train"))
        sampler = split.pair_sampler(training.batch_size, training.seed, training.sampling)
        return {"train": TrainLoader(split, sampler, self._once.workers(split))}

    def _taken(self, split: CaptionedClips) -> CaptionedClips:
        """The split, in training with what frozen layers make of it."""
        return self._once.split(split) if self._trains else split

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """InfoNCE of the batch's pairs."""
        return self.contrast(self.embed(batch))

    def embed(self, batch: Batch) -> Batch:
        """Embed the batch's pairs: audio (B, E), text (B, E) and clip_ids (B,)."""
        audio, text = self.dual_encoder(batch)
        return {"audio": audio, "text": text, "clip_ids": batch["clip_ids"]}

    def contrast(self, embedded: Batch) -> dict[str, Tensor]:
        """InfoNCE of embedded pairs."""
        return {"loss": self.criterion(embedded["audio"], embedded["text"], embedded["clip_ids"])}

    def outputs(self, split: str) -> RetrievalOutputs:
        """Every clip (the mean over its windows) and every caption, embedded once."""
        return self.embedder.split(self._taken(self.data(split)))

    def scores(self, outputs: RetrievalOutputs) -> EmbeddingScores:
        """Captions as queries, clips as candidates."""
        return EmbeddingScores(outputs.text, outputs.audio, similarity=self._run.criterion.similarity)

    def metrics(self, outputs: RetrievalOutputs) -> dict[str, float]:
        """Text to audio (R@k, mAP@k, median_rank); audio to text, with the prefix a2t_; and val_loss.

        Raises:
            DivergedError: an embedding is not finite.
        """
        captions, clips = np.arange(len(outputs.text)), outputs.clip_of_caption
        similarity = self._run.criterion.similarity
        try:
            t2a = ranks_of_relevant(self.scores(outputs), captions, clips)
        except NonFiniteEmbeddingError as error:
            id_ = outputs.tids[error.row] if error.side == "query" else outputs.fids[error.row]
            raise DivergedError(
                f"the embedding of {id_} holds {error.value}: training has diverged; lower optimizer.lr, set "
                "training.clip_grad_norm, or use precision fp32"
            ) from error
        order = tie_order(len(captions))
        source = EmbeddingScores(outputs.audio, outputs.text[order], similarity=similarity)
        backward = retrieval_metrics(
            ranks_of_relevant(source, clips[order], captions), clips[order], len(outputs.audio), AUDIO_TO_TEXT
        )
        return {
            **retrieval_metrics(t2a, captions, len(captions)),
            **{f"a2t_{key}": value for key, value in backward.items()},
            "val_loss": self._loss(outputs),
        }

    def _loss(self, outputs: RetrievalOutputs) -> float:
        """Compute InfoNCE over batches of the training's size, since its value depends on it, in a fixed order."""
        order = np.random.default_rng(0).permutation(len(outputs.text))
        batches = np.array_split(order, -(-len(order) // self._run.training.batch_size))
        device = next(self._network.parameters()).device
        total = 0.0
        for rows in batches:
            clips = outputs.clip_of_caption[rows]
            audio, text = torch.from_numpy(outputs.audio[clips]), torch.from_numpy(outputs.text[rows])
            loss = self.criterion(audio.to(device), text.to(device), torch.from_numpy(clips).to(device))
            total += loss.item() * len(rows)
        return total / len(order)


def check_alike(one: CaptionedClips, two: CaptionedClips) -> None:
    """Make sure that the features of two splits are comparable.

    Raises:
        ArtefactError: vectors of another width or another state of their encoder, or one file that serves both splits
            by file names which both have.
    """
    for kind, widths in (
        ("audio", (one.audio.width, two.audio.width)),
        ("text", (one.texts.width, two.texts.width)),
    ):
        if widths[0] != widths[1]:
            raise ArtefactError(
                f"the {kind} vectors of '{one.name}' have {widths[0]} dimensions, those of '{two.name}' {widths[1]}; "
                "make both with one model"
            )
    for kind in one.revisions.keys() & two.revisions.keys():
        if one.revisions[kind] != two.revisions[kind]:
            raise ArtefactError(
                f"the {kind} vectors of '{one.name}' were made by {one.revisions[kind]}, those of '{two.name}' by "
                f"{two.revisions[kind]}; make both with one model"
            )
    if one.by_file_name is not None and one.by_file_name == two.by_file_name:
        shared = {clip.fname for clip in one.clips} & {clip.fname for clip in two.clips}
        if shared:
            raise ArtefactError(
                f"{one.by_file_name}: '{one.name}' and '{two.name}' both have a clip '{min(shared)}', which the file "
                "names once; name its keys <split>/<file name>, or its files with {split}"
            )


def _needs_of(backbone: WaveformBackbone | None) -> WaveNeeds | None:
    if backbone is None:
        return None
    return WaveNeeds(backbone.sample_rate_hz, backbone.min_samples, backbone.max_samples)
