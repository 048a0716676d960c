"""What the systems of clips and captions share: a dual encoder, its data, its loss, and retrieval both ways."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import ClassVar, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from models.audio_encoders.wav2vec2 import Wav2Vec2Encoder
from models.core import DualEncoderModel, DualEncoderSpec, text_of
from models.projections import Projection
from models.sounds import SoundInput, features_of_sound, features_of_sounds, sound_input
from tasks.base import RunSpec
from tasks.retrieval.same_encoder import refuse_changed, refuse_other_sounds
from tasks.retrieval.training import CaptionTrainingSpec
from utils.cli_utils import ArtefactError, ConfigError, UserError
from utils.criterion_utils import CriterionSpec, InfoNCE
from utils.data_utils import (
    ArrayFeatures,
    AudioInput,
    Batch,
    CaptionDataSpec,
    CaptionedClips,
    ClipFeatures,
    Inputs,
    TextFeatures,
    TokenTexts,
    TrainLoader,
    VectorFeatures,
    VectorTexts,
    WaveNeeds,
    audio_loader,
    window_edges,
)
from utils.metric_utils.ranking import ranks_of_relevant, tie_order
from utils.metric_utils.retrieval import AUDIO_TO_TEXT, retrieval_metrics
from utils.metric_utils.scores import EmbeddingScores, NonFiniteEmbeddingError
from utils.model_utils import DivergedError, Loader, seed_everything, to_device
from utils.pretrained_utils import model_revision

Array = NDArray[np.float32]
_TEXT_BATCH = 4096  # caption vectors at a time
_TOKEN_BATCH = 256  # captions that go through a transformer


# The scripts of stage 1 by their place in it: raw data, tables, features of clips, vectors of captions.
_STAGE_1 = {
    "preprocessing.synthetic_corpus": 0,
    "preprocessing.clotho_dataset": 1,
    "preprocessing.audiocaps_dataset": 1,
    "preprocessing.own_dataset": 1,
    "preprocessing.dcase2023_takeover": 1,
    "preprocessing.audio_logmel": 2,
    "preprocessing.audio_embeddings": 2,
    "preprocessing.sbert_embeddings": 3,
    "preprocessing.clip_embeddings": 3,
}


class DualEncoderRun(RunSpec):
    """The sections of a run that trains a dual encoder."""

    data: CaptionDataSpec
    model: DualEncoderSpec
    criterion: CriterionSpec
    training: CaptionTrainingSpec = CaptionTrainingSpec()

    accuracy_cutoffs: ClassVar[tuple[int, ...]] = ()  # of pairing accuracy, where a system is measured by it

    def build(self, split: str = "train") -> DualEncoderTask:
        """The task, with freshly seeded weights; `split` is opened at once, the others when they are asked for."""
        seed_everything(self.training.seed)
        return DualEncoderTask(self, split)

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

    def next_script(self, after: str) -> str:
        """The script that a user of these settings runs after one of stage 1, such as `preprocessing.clotho_dataset`.

        Args:
            after: the script that is done.
        """
        data, place = self.data, _STAGE_1[after]
        if data.pairs is not None:  # they stand in for all of stage 1
            return "main.py"
        audio = {"logmel": "preprocessing.audio_logmel", "wave": None, "vector": "preprocessing.audio_embeddings"}
        needed = [
            None,
            data.dataset_script,
            None if data.audio_embeddings and data.audio_embeddings.file else audio[self.model.audio_encoder.input],
            data.text_script if self.model.text_encoder.input == "vector" else None,
        ]
        return next((script for script in needed[place + 1 :] if script), "main.py")


class RetrievalOutputs(NamedTuple):
    """Every clip and every caption of a split, embedded once."""

    audio: Array  # (C, E)
    text: Array  # (Q, E)
    clip_of_caption: NDArray[np.int64]  # (Q,)
    fids: list[str]  # (C,)
    tids: list[str]  # (Q,)


class SoundEmbeddings(NamedTuple):
    """Sound files, embedded."""

    embeddings: Array  # (N, E); rows of files that were refused are zero
    refused: dict[int, str]  # row -> reason


class DualEncoderTask:
    """Which model, data, criterion and metric belong together."""

    def __init__(self, run: DualEncoderRun, split: str) -> None:
        """Open a split, which tells the width of the vectors, and build the model.

        Raises:
            UserError: a file is missing, broken or made with other settings.
        """
        self._run = run
        self._splits: dict[str, CaptionedClips] = {}
        tokenizer = run.model.text_encoder.tokenizer() if run.model.text_encoder.input == "tokens" else None
        kind = run.audio_input()
        on_waves = run.model.build_wave_encoder() if kind == "wave" else None
        self._inputs = Inputs(kind, _needs_of(on_waves), tokenizer)
        data = self.split(split)
        self._max_length = data.audio.max_length  # of a window
        self._text_dim = data.texts.width
        self.dual_encoder: DualEncoderModel = run.model.build(data.audio.width, data.texts.width, on_waves)
        self.criterion: InfoNCE = run.criterion.build()
        self._network = nn.ModuleDict({"dual_encoder": self.dual_encoder, "criterion": self.criterion})
        encoder = self.dual_encoder.audio_encoder
        if data.name == run.data.splits.train and isinstance(encoder, Projection):
            assert isinstance(data.audio, VectorFeatures)
            encoder.fit(data.audio.table)

    def split(self, role: str) -> CaptionedClips:
        """The data of `train`, `val`, `eval`, or of a split by its own name; opened when first asked for."""
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
        training, split = self._run.training, self.split("train")
        sampler = split.pair_sampler(training.batch_size, training.seed, training.sampling)
        return {"train": TrainLoader(split, sampler, self._run.data.workers)}

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """InfoNCE of the batch's pairs."""
        audio, text = self.dual_encoder(batch)
        return {"loss": self.criterion(audio, text, batch["clip_ids"])}

    def outputs(self, split: str) -> RetrievalOutputs:
        """Every clip (the mean over its windows) and every caption, embedded once."""
        data = self.split(split)
        return RetrievalOutputs(
            self._embed_store(data.audio, self._run.data.workers),
            self._embed_texts(data.texts),
            data.clip_of_caption,
            data.fids,
            [caption.tid for caption in data.captions],
        )

    def embed_queries(self, texts: Sequence[str]) -> Array:
        """(Q, E) float32, the embeddings of free texts.

        Raises:
            UserError: the text model cannot be loaded, or is not the one that made the run's caption vectors.
        """
        if self._inputs.tokenizer is not None:
            return self._embed_texts(TokenTexts(self._inputs.tokenizer, texts))
        from models.frozen.text_loading import load_frozen_text

        model = self._run.data.text_embeddings.model
        refuse_changed(self._splits.values(), "text", model, model_revision(model))
        encoder = load_frozen_text(model, device=self._device())
        vectors = VectorTexts(encoder.vectors(list(texts)))
        if vectors.width != self._text_dim:
            raise UserError(
                f"data.text_embeddings.model: {self._run.data.text_embeddings.model} gives {vectors.width} dimensions, "
                f"the run's caption vectors have {self._text_dim}; name the model that made them in training"
            )
        return self._embed_texts(vectors)

    def _sound_input(self, device: torch.device) -> SoundInput:
        sound = sound_input(self._run.data, self._inputs.audio, self._inputs.waves, device)
        refuse_other_sounds(self._splits.values(), sound)
        return sound

    def embed_sound(self, path: Path) -> Array:
        """(E,) float32, the embedding of a sound file.

        Raises:
            AudioError: it cannot be decoded, is silent, or is too short for the encoder.
            UserError: the run's audio vectors were made by another program.
        """
        sound = self._sound_input(torch.device("cpu"))
        return self.embed_clip(features_of_sound(path, sound))

    def embed_sounds(self, paths: Sequence[Path], workers: int, advance: Callable[[int], object]) -> SoundEmbeddings:
        """Many sound files, decoded by threads and embedded in batches of like length, as `embed_sound` does one.

        Args:
            paths: the files.
            workers: threads.
            advance: told how many files are done, again and again.
        Raises:
            UserError: the run's audio vectors were made by another program.
        """
        data = self._run.data
        sound = self._sound_input(self._device())
        found = SoundEmbeddings(np.zeros((len(paths), self.dual_encoder.out_dim), np.float32), {})
        for rows, features, refused in features_of_sounds(paths, sound, data.max_duration_s, workers):
            if rows:
                found.embeddings[rows] = self._embed_store(self._store_of(features))
            found.refused.update(refused)
            advance(len(rows) + len(refused))
        return found

    def embed_vectors(self, vectors: Array) -> Array:
        """(N, E) float32, the embeddings of (N, E_audio) vectors of clips; only where the run's encoder takes such."""
        return self._embed_store(VectorFeatures(vectors))

    def _store_of(self, features: Sequence[Array]) -> ClipFeatures:
        if self._inputs.audio == "vector":
            return VectorFeatures(np.concatenate(features))
        return ArrayFeatures(
            features, self._max_length, self._run.data.front_end.floor if self._inputs.audio == "logmel" else 0.0
        )

    def embed_clip(self, features: Array) -> Array:
        """One clip's (T, F) log-mels, (S,) wave or (1, E_audio) vector -> (E,) float32; the mean over its windows."""
        edges = window_edges(len(features), self._max_length)
        device = self._device()
        total = torch.zeros(self.dual_encoder.out_dim, device=device)
        for start, stop in itertools.pairwise(edges):
            part = torch.from_numpy(features[start:stop]).to(device)
            audio = part if self._inputs.audio == "vector" else part[None]
            total += self.dual_encoder.embed_audio(audio, torch.tensor([stop - start]))[0].float()
        return self.dual_encoder.normalise(total / (len(edges) - 1)).cpu().numpy()

    def _embed_texts(self, texts: TextFeatures) -> Array:
        device = self._device()
        size = _TEXT_BATCH if self._inputs.tokenizer is None else _TOKEN_BATCH
        parts = [
            self.dual_encoder.embed_text(*text_of(to_device(batch, device))).float().cpu()
            for batch in texts.batches(size)
        ]
        return torch.cat(parts).numpy()

    def _embed_store(self, audio: ClipFeatures, workers: int = 0) -> Array:
        """(N, E) float32, each clip the mean over its windows."""
        device = self._device()
        clips = len(audio.lengths)
        total = torch.zeros(clips, self.dual_encoder.out_dim, device=device)
        windows = torch.zeros(clips, 1, device=device)
        for batch in audio_loader(audio, self._run.training.batch_size, workers):
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


def check_alike(one: CaptionedClips, two: CaptionedClips) -> None:
    """Make sure that two splits were made alike.

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


def _needs_of(encoder: Wav2Vec2Encoder | None) -> WaveNeeds | None:
    if encoder is None:
        return None
    return WaveNeeds(encoder.sample_rate_hz, encoder.min_samples, encoder.max_samples)
