"""The interface of every system: its run, its task, and the task's splits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Protocol, Self

from pydantic import Field, model_validator

from models.audio_encoders import AudioEncoderSpec
from utils.cli_utils.repairs import Product
from utils.config_utils import Spec, UserPath
from utils.data_utils import AudioDataSpec, CaptionDataSpec, DataSpec, ImageDataSpec, LabelledDataSpec, MusicDataSpec
from utils.data_utils.spec import PlainName
from utils.model_utils import LRSchedulerSpec, OptimizerSpec, TrainingSpec
from utils.model_utils import Task as TrainableTask
from utils.tune_utils import Distribution, RaySpec


class SplitData(Protocol):
    """A split of a task's data, as `main.py --check`, the launcher and stage 3 see it."""

    @property
    def name(self) -> str:
        """The split's own name, such as `development`."""

    @property
    def revisions(self) -> Mapping[str, str]:
        """Kind of features -> digest of the frozen encoder that made them; empty where there is none."""

    def summary(self) -> dict[str, str]:
        """Name of a count -> the count, for people; the same names for all splits of a task."""

    def recordings(self) -> Mapping[str, str]:
        """What each recording is, whatever its split, -> its file name; empty where that is not known."""

    def digest(self) -> str:
        """A text that changes when anything that training reads changes."""

    def check(self) -> None:
        """Read everything once.

        Raises:
            ArtefactError: a file cannot be read or holds wrong values; it names the file and the repair.
        """


class Task(TrainableTask, Protocol):
    """A model with its data, losses and metrics: the five methods that the training loop calls, and the data."""

    def data(self, role: str) -> SplitData:
        """The split of `train`, `val` or `eval`, or one by its own name; opened when it is first needed.

        Raises:
            ArtefactError: a file is missing, broken or made with other settings.
        """


class RunSpec(Spec):
    """The sections that every run has; each system adds its own (`model:`, `criterion:`) and derives these.

    A system also defines `build` and, where stage 1 has more than one script, `next_script`.
    """

    task: str
    experiment: PlainName
    output_root: UserPath = Path("runs")
    data: DataSpec
    optimizer: OptimizerSpec
    lr_scheduler: LRSchedulerSpec
    training: TrainingSpec  # each system's own, which says how its metrics are read
    search: dict[str, Distribution] = Field(default_factory=dict)
    ray: RaySpec = RaySpec()

    # The script that makes each product of the system; the one of `scores` comes after main.py.
    scripts: ClassVar[Mapping[Product, str]] = {"training": "main.py"}
    # Script that may come next -> the options that these settings need on its command line.
    script_options: ClassVar[Mapping[str, Sequence[str]]] = {}
    # Sections that do not change what was trained: `--set` may choose them anew in stage 3.
    free_in_stage_3: ClassVar[Sequence[str]] = ()
    # Keys that do not either: stage 3 takes them from the YAML and `--set`, not from the trial.
    always_of_the_yaml: ClassVar[Sequence[str]] = ("training.device", "data.workers")

    @model_validator(mode="after")
    def _watched_metrics_are_measured(self) -> Self:
        for key, metric in self.watched_metrics.items():
            if metric not in self.training.higher_is_better:
                choices = ", ".join(self.training.higher_is_better)
                raise ValueError(f"{key}: unknown metric '{metric}'; choices: {choices}, or null: training.select_on")
        return self

    @model_validator(mode="after")
    def _trials_can_be_drawn(self) -> Self:
        if self.ray.search_alg == "optuna":
            grids = [key for key, distribution in self.search.items() if distribution.grid is not None]
            if grids:
                raise ValueError(f"search.{grids[0]}: a grid, which ray.search_alg: optuna does not take; use choice")
        return self

    @model_validator(mode="after")
    def _ranks_have_items(self) -> Self:
        ranks, parts, items = self.ray.workers_per_trial, self.training.accumulate, self.training.batch_size
        if ranks == 1 and parts > items:
            raise ValueError(
                f"training.batch_size: {items} items cannot be cut in training.accumulate: {parts} parts; raise the "
                "one or lower the other"
            )
        if ranks * parts > items:
            cut = "" if parts == 1 else f", each in training.accumulate: {parts} parts"
            raise ValueError(
                f"training.batch_size: {items} items cannot be shared out to ray.workers_per_trial: {ranks} ranks"
                f"{cut}; raise the one or lower the other"
            )
        return self

    @property
    def watched_metrics(self) -> dict[str, str]:
        """Key of the YAML -> the validation metric that it names; keys that name none are left out."""
        named = {
            "training.select_on": self.training.select_on,
            "training.early_stop_watch": self.training.early_stop_watch,
            "lr_scheduler.watch": self.lr_scheduler.watch,
            "ray.stopper.watch": None if self.ray.stopper is None else self.ray.stopper.watch,
        }
        return {key: metric for key, metric in named.items() if metric is not None}

    @property
    def folder(self) -> Path:
        """runs/<experiment>."""
        return self.output_root / self.experiment

    @property
    def reads_recordings(self) -> bool:
        """Whether training reads the files of data.root themselves, and not only what stage 1 has made of them."""
        return False

    def build(self, split: str = "train") -> Task:
        """Build the task with freshly seeded weights.

        Args:
            split: a role or name; opened at once, since the widths of its features may size the model.
        Raises:
            UserError: a file is missing, broken or made with other settings.
        """
        raise NotImplementedError

    def for_stage_3(self) -> Self:
        """The run as stage 3 builds it; a system drops the files of initial weights, which the checkpoint replaces."""
        return self

    def check_splits(self, splits: Sequence[SplitData], *, thorough: bool) -> list[str]:
        """Run the checks across splits, or of splits against the settings.

        Args:
            splits: those that are open.
            thorough: for `main.py --check`, which may take its time.
        Returns:
            Lines to print.
        Raises:
            UserError: something does not fit.
        """
        return []

    def chance(self, split: SplitData) -> dict[str, float]:
        """Compute a split's metrics at chance, to be shown beside measured ones.

        Args:
            split: of validation.
        Returns:
            Metric -> value; metrics whose chance level is not known are left out.
        """
        return {}

    def script_of(self, product: Product) -> str:
        """The script that makes a product for a run of these settings."""
        return self.scripts[product]

    def next_script(self, after: str) -> str:
        """The script that a user of these settings runs after one of stage 1 or after `main.py`.

        Args:
            after: the script that is done, such as `preprocessing.audio_logmel`.
        """
        return self.script_of("scores") if after == "main.py" else "main.py"


class AudioRun(RunSpec):
    """A run on sounds, whatever its system: what the scripts that make features of clips take."""

    data: AudioDataSpec


class EncoderRun(AudioRun):
    """A run whose audio encoder may begin from published weights: what the script that converts them takes."""

    @property
    def audio_encoder(self) -> AudioEncoderSpec:
        """The block of it."""
        raise NotImplementedError

    def last_layer(self, published: int | None) -> int | None:
        """The width of its last layer; None: the settings do not say.

        Args:
            published: the width of the last layer that a file of weights has, if any.
        Raises:
            UserError: a file that says so is missing.
        """
        raise NotImplementedError

    def settings_of_last_layer(self, width: int) -> dict[str, int]:
        """The keys, with their values, that give the last layer another width than these settings do."""
        raise NotImplementedError


class CaptionRun(AudioRun):
    """A run on sounds with captions: what the scripts that write tables of clips and captions take."""

    data: CaptionDataSpec


class TrackRun(AudioRun):
    """A run on tracks of music: what the scripts of music take."""

    data: MusicDataSpec

    scripts: ClassVar[Mapping[Product, str]] = {
        **RunSpec.scripts,
        "tables": "preprocessing.fma_dataset",
        "log-mels": "preprocessing.audio_logmel",
        "audio-embeddings": "preprocessing.audio_embeddings",
        "track-features": "preprocessing.audio_features",
        "scores": "postprocessing.music_recommend",
        # of a frozen encoder whose vectors are recommended from, beside the autoencoders
        "initial-weights": "preprocessing.cnn14_transfer",
        "exported-encoder": "postprocessing.export",
    }


class LabelledRun(AudioRun):
    """A run on recordings with categories: what the scripts that write their tables take."""

    data: LabelledDataSpec

    scripts: ClassVar[Mapping[Product, str]] = {
        **RunSpec.scripts,
        "tables": "preprocessing.youtube_dataset",
        "log-mels": "preprocessing.audio_logmel",
        "audio-embeddings": "preprocessing.audio_embeddings",
    }


class ImageRun(RunSpec):
    """A run on pictures with captions: what the scripts of pictures take."""

    data: ImageDataSpec

    scripts: ClassVar[Mapping[Product, str]] = {
        **RunSpec.scripts,
        "tables": "preprocessing.flickr8k_dataset",
        "image-embeddings": "preprocessing.image_embeddings",
    }
