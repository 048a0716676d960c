"""The runs of captioning: sounds (`captioning`) and pictures (`captioning_images`) differ in their data alone."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from models.adapters import AdapterSpec
from models.frozen.audio import audio_revision
from models.frozen.changes import refuse_stale
from models.generation import GenerationSpec
from models.lora import LoraSpec
from tasks.base import CaptionRun, ImageRun, RunSpec, SplitData
from utils.cli_utils import ConfigError
from utils.cli_utils.repairs import Product, make
from utils.config_utils import Spec, keys_of_chosen
from utils.data_utils import CaptionDataSpec, ImageDataSpec, SamplingSpec, describe_tables
from utils.data_utils.spec import AudioEmbeddingsSpec
from utils.model_utils import TrainingSpec, seed_everything
from utils.pretrained_utils import model_revision

if TYPE_CHECKING:
    from tasks.captioning.task import CaptioningTask

# Metrics of the sample of validation clips that are captioned.
_OF_SAMPLE = ("CIDEr-D", "use_of_input")
_UNKNOWN_WORTH_SAYING = 0.02  # share of words: rare ones are left out of a small vocabulary on purpose
# The scripts of stage 1 by their place in it: raw data, tables, frames, a language model of the run's own captions.
_STAGE_1 = {
    "preprocessing.synthetic_corpus": 0,
    "preprocessing.synthetic_pictures": 0,
    "preprocessing.clotho_dataset": 1,
    "preprocessing.audiocaps_dataset": 1,
    "preprocessing.own_dataset": 1,
    "preprocessing.flickr8k_dataset": 1,
    "preprocessing.audio_embeddings": 2,
    "preprocessing.image_embeddings": 2,
    "preprocessing.caption_language_model": 3,
}


class CaptioningDataSpec(CaptionDataSpec):
    """The `data:` block of sounds: frames of the frozen encoder `audio_embeddings.model`, and captions."""

    audio_embeddings: AudioEmbeddingsSpec

    @model_validator(mode="after")
    def _has_frames(self) -> Self:
        if self.audio_embeddings.file is not None:
            raise ValueError(
                "audio_embeddings: found a file of another program, which has one vector a clip; captions are made "
                "from frames: name the encoder, {model: NAME}"
            )
        if self.pairs is not None:
            raise ValueError("pairs: holds one vector a clip; captions are made from frames: remove it")
        return self


class LanguageModelSpec(Spec):
    """The `model.language_model:` block: the frozen causal language model that writes the captions."""

    name: str = Field(min_length=1)  # package:smollm2, a folder, or a name at a hub
    dtype: Literal["float32", "bfloat16"] = "float32"  # of its weights and arithmetic
    prompt: str = ""  # the text around the input, which stands at {input}; without {input}: before the text
    chat: bool = False  # the prompt is a message of the model's chat template


class CaptionerSpec(Spec):
    """The `model:` block."""

    adapter: AdapterSpec
    language_model: LanguageModelSpec
    lora: LoraSpec | None = None  # low-rank matrices that learn inside the language model; null: the adapter alone

    @model_validator(mode="before")
    @classmethod
    def _ignore_keys_of_other_adapters(cls, given: Any) -> Any:
        """Let a search go over `adapter.name`: keys that all have stay, those of another adapter do not count."""
        if not isinstance(given, dict) or "adapter" not in given:
            return given  # refused below
        return given | {"adapter": keys_of_chosen(given["adapter"], AdapterSpec)}


class CaptioningTrainingSpec(TrainingSpec):
    """The `training:` block; `batch_size` counts captions, or clips with `sampling.by: clip`."""

    sampling: SamplingSpec = SamplingSpec()
    select_on: str = "val_loss"
    sample_clips: int = Field(32, ge=0, le=10_000)  # validation clips that are captioned to be measured; 0: none
    sample_every: int = Field(1, ge=1, le=100_000)  # epochs from one sample to the next

    higher_is_better: ClassVar[Mapping[str, bool]] = {"val_loss": False} | dict.fromkeys(_OF_SAMPLE, True)
    also_printed: ClassVar[Sequence[str]] = _OF_SAMPLE


class CaptioningRunBase(RunSpec):
    """The sections of both runs."""

    data: CaptioningDataSpec | ImageDataSpec
    model: CaptionerSpec
    generation: GenerationSpec = GenerationSpec()
    training: CaptioningTrainingSpec = CaptioningTrainingSpec()

    # after main.py, which names it where there are several trials
    script_options: ClassVar[Mapping[str, Sequence[str]]] = {"postprocessing.caption_metrics": ["--trials"]}
    free_in_stage_3: ClassVar[Sequence[str]] = ("generation",)

    @model_validator(mode="after")
    def _sampled_metrics_are_measured_every_epoch(self) -> Self:
        training = self.training
        if (training.sample_clips < 2 or training.sample_every > 1) and (watched := self._watched_of_sample()):
            raise ValueError(
                f"{watched[0]}: {watched[1]} is measured on a sample of validation clips; found training.sample_clips: "
                f"{training.sample_clips} and sample_every: {training.sample_every}, expected at least 2 clips and "
                "every epoch"
            )
        return self

    def build(self, split: str = "train") -> CaptioningTask:
        """The task, with freshly seeded weights; `split` is opened at once, the others when they are needed."""
        from tasks.captioning.task import CaptioningTask

        seed_everything(self.training.seed)
        return CaptioningTask(self, split)

    def check_splits(self, splits: Sequence[SplitData], *, thorough: bool) -> list[str]:
        """Compare the frames with the encoder that `data:` names, and the captions with the language model.

        Raises:
            ArtefactError: the encoder on this machine has changed since it made them.
            ConfigError: a metric of a sample of validation clips is watched, and there is one clip.
        """
        source = self.data.frames_source(splits[0].name)
        revision_of = model_revision if isinstance(self.data, ImageDataSpec) else audio_revision
        refuse_stale(
            str(source.model), [split.revisions["frames"] for split in splits], revision_of, "frames", source.repair
        )
        validation: Any = next((split for split in splits if split.name == self.data.splits.val), None)
        if validation is not None and len(validation.clips) < 2 and (watched := self._watched_of_sample()):
            raise ConfigError(
                f"{watched[0]}: {watched[1]} needs at least 2 clips, and '{validation.name}' has 1; watch val_loss, or "
                "add clips"
            )
        return [line for split in splits if (line := self._describe_unknown(split)) is not None]

    def _watched_of_sample(self) -> tuple[str, str] | None:
        """The first key that watches a metric of the sample, and the metric."""
        return next(((key, metric) for key, metric in self.watched_metrics.items() if metric in _OF_SAMPLE), None)

    def _describe_unknown(self, split: Any) -> str | None:
        """Say it where the language model does not know the words of the captions."""
        if split.unknown_share < _UNKNOWN_WORTH_SAYING:
            return None
        own = f"; make one of these captions: {make('language-model')}" if self.makes_language_model else ""
        return (
            f"{split.name}: {self.model.language_model.name} does not know {100 * split.unknown_share:.0f} % of the "
            f"words of the captions, and cannot write them{own}"
        )

    def next_script(self, after: str) -> str:
        """The script that a user of these settings runs after one of stage 1 or after `main.py`."""
        if after == "main.py":
            return self.script_of("caption-metrics" if self.several_trials else "captions")
        frames: Product = "image-embeddings" if isinstance(self.data, ImageDataSpec) else "audio-embeddings"
        needed = [
            None,
            self.script_of("tables"),
            self.script_of(frames),
            self.script_of("language-model") if self.makes_language_model else None,
        ]
        # what makes files that this run does not read comes after the tables
        return next((script for script in needed[_STAGE_1.get(after, 1) + 1 :] if script), "main.py")

    @property
    def several_trials(self) -> bool:
        """Whether there is more than one trial to compare."""
        drawn = (distribution.only() for distribution in self.search.values())
        grid = math.prod(len(values) for name, values in drawn if name == "grid")
        return grid * self.ray.num_samples > 1

    @property
    def makes_language_model(self) -> bool:
        """Whether the run's language model is the one that stage 1 makes."""
        return Path(self.model.language_model.name).expanduser().absolute() == self.data.language_model.absolute()


_SCRIPTS: dict[Product, str] = {
    "language-model": "preprocessing.caption_language_model",
    "training": "main.py",
    "scores": "postprocessing.captions",
    "captions": "postprocessing.captions",
    "caption-metrics": "postprocessing.caption_metrics",
}


class CaptioningRun(CaptioningRunBase, CaptionRun):
    """tasks/captioning.yaml."""

    task: Literal["captioning"]
    data: CaptioningDataSpec

    scripts: ClassVar[Mapping[Product, str]] = {
        "tables": "preprocessing.clotho_dataset",
        "audio-embeddings": "preprocessing.audio_embeddings",
        "exported-encoder": "postprocessing.export",
        "initial-weights": "preprocessing.cnn14_transfer",
        "log-mels": "preprocessing.audio_logmel",
        "text-embeddings": "preprocessing.sbert_embeddings",
        "taken-over-features": "preprocessing.dcase2023_takeover",
        **_SCRIPTS,
    }
    script_options: ClassVar[Mapping[str, Sequence[str]]] = {
        **CaptioningRunBase.script_options,
        "preprocessing.audio_embeddings": ["--frames"],
    }

    def script_of(self, product: Product) -> str:
        """The script that makes a product for a run of these settings."""
        if product == "tables" and self.data.own_dataset is not None:
            return "preprocessing.own_dataset"
        return self.scripts[product]

    def check_splits(self, splits: Sequence[SplitData], *, thorough: bool) -> list[str]:
        """Also look for recordings in two splits, if `thorough`."""
        lines = super().check_splits(splits, thorough=thorough)
        shared = describe_tables(self.data) if thorough else ""
        return [*lines, *([shared] if shared else [])]


class ImageCaptioningRun(CaptioningRunBase, ImageRun):
    """tasks/captioning_images.yaml."""

    task: Literal["captioning_images"]
    data: ImageDataSpec

    scripts: ClassVar[Mapping[Product, str]] = {**ImageRun.scripts, **_SCRIPTS}
