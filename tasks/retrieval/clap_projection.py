"""CLAP projection: frozen audio vectors, projected into frozen text space; pairing accuracy against chance."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from models.core import DualEncoderSpec
from models.projections import AudioProjectionSpec, MLPProjectionSpec
from models.text_encoders.frozen_text import FrozenTextSpec
from models.text_encoders.sbert import SentBERTBaseSpec
from tasks.base import SplitData
from tasks.retrieval.dual_encoder import DualEncoderRun, DualEncoderTask
from tasks.retrieval.embedding import RetrievalOutputs
from tasks.retrieval.training import RETRIEVAL_METRICS, CaptionTrainingSpec
from utils.cli_utils.repairs import Product
from utils.data_utils import CaptionDataSpec, CaptionedClips, TextEmbeddingsSpec
from utils.metric_utils.pairing import PAIRING_CUTOFFS, first_caption_of_each_clip, pairing_accuracy
from utils.metric_utils.scores import EmbeddingScores
from utils.model_utils import seed_everything


class ClapDataSpec(CaptionDataSpec):
    """The `data:` block: audio vectors, and caption vectors of CLIP's text encoder."""

    text_embeddings: TextEmbeddingsSpec = TextEmbeddingsSpec(
        file="clip_embeds.pkl", model="openai/clip-vit-base-patch32"
    )


class ClapModelSpec(DualEncoderSpec):
    """The `model:` block: a projection of audio vectors, and captions as they are or through a small head."""

    out_dim: int | None = Field(None, gt=0, le=8192)  # null: the width of the text vectors
    audio_encoder: Annotated[AudioProjectionSpec | MLPProjectionSpec, Field(discriminator="name")]
    text_encoder: Annotated[FrozenTextSpec | SentBERTBaseSpec, Field(discriminator="name")] = FrozenTextSpec(
        name="FrozenText"
    )


class ClapTrainingSpec(CaptionTrainingSpec):
    """The `training:` block."""

    higher_is_better: ClassVar[Mapping[str, bool]] = RETRIEVAL_METRICS | {
        f"a2t_accuracy@{k}": True for k in PAIRING_CUTOFFS
    }


class ClapProjectionRun(DualEncoderRun):
    """tasks/clap_projection.yaml."""

    task: Literal["clap_projection"]
    data: ClapDataSpec
    model: ClapModelSpec
    training: ClapTrainingSpec = ClapTrainingSpec()

    scripts: ClassVar[Mapping[Product, str]] = {
        **DualEncoderRun.scripts,
        "tables": "preprocessing.audiocaps_dataset",
        "text-embeddings": "preprocessing.clip_embeddings",
    }
    accuracy_cutoffs: ClassVar[tuple[int, ...]] = PAIRING_CUTOFFS

    def build(self, split: str = "train") -> ClapProjectionTask:
        """The task, with freshly seeded weights; `split` is opened at once, the others when they are needed."""
        seed_everything(self.training.seed)
        return ClapProjectionTask(self, split)

    def chance(self, split: SplitData) -> dict[str, float]:
        """That of retrieval, and k of N for a clip's own caption among one caption a clip."""
        assert isinstance(split, CaptionedClips)
        clips = len(split.clips)
        return super().chance(split) | {f"a2t_accuracy@{k}": min(k, clips) / clips for k in self.accuracy_cutoffs}


class ClapProjectionTask(DualEncoderTask):
    """A dual encoder whose clips also have to find their own caption among one caption a clip."""

    def metrics(self, outputs: RetrievalOutputs) -> dict[str, float]:
        """Those of retrieval, and a2t_accuracy@k."""
        first = first_caption_of_each_clip(outputs.clip_of_caption, len(outputs.audio))
        metrics = super().metrics(outputs)  # first: it names an embedding that is not finite
        source = EmbeddingScores(outputs.audio, outputs.text[first], similarity=self._run.criterion.similarity)
        accuracy = pairing_accuracy(source, self._run.training.batch_size)
        return metrics | {f"a2t_{key}": value for key, value in accuracy.measured.items()}
