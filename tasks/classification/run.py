"""The run of tasks/classification.yaml."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar, Literal, Self

import numpy as np

from models.audio_encoders import AudioEncoderSpec, without_initial_weights
from models.class_criterion import CrossEntropySpec
from models.classifiers import ClassifierSpec
from tasks.base import EncoderRun, LabelledRun, SplitData
from tasks.same_sounds import refuse_stale_audio
from utils.cli_utils import ConfigError
from utils.cli_utils.repairs import Product
from utils.data_utils import AudioInput, describe_tables
from utils.model_utils import TrainingSpec, seed_everything

if TYPE_CHECKING:
    from tasks.classification.task import ClassificationTask

# Of stage 1, by their place in it; main.py comes last.
_STAGE_1 = {"preprocessing.synthetic_corpus": 0, "preprocessing.youtube_dataset": 1}


class ClassificationTrainingSpec(TrainingSpec):
    """The `training:` block; `batch_size` counts windows."""

    select_on: str = "macro_f1"

    higher_is_better: ClassVar[Mapping[str, bool]] = {
        "val_loss": False,
        **dict.fromkeys(("accuracy", "balanced_accuracy", "macro_f1", "window_accuracy"), True),
    }
    also_printed: ClassVar[Sequence[str]] = ("train_accuracy", "accuracy", "val_loss")


class ClassificationRun(LabelledRun, EncoderRun):
    """tasks/classification.yaml."""

    task: Literal["classification"]
    model: ClassifierSpec
    criterion: CrossEntropySpec
    training: ClassificationTrainingSpec = ClassificationTrainingSpec()

    scripts: ClassVar[Mapping[Product, str]] = {
        **LabelledRun.scripts,
        "initial-weights": "preprocessing.cnn14_transfer",
        "exported-encoder": "postprocessing.export",
        "scores": "postprocessing.classification_report",
    }

    @property
    def reads_recordings(self) -> bool:
        """Whether its encoder takes waves."""
        return self.audio_input() == "wave"

    def build(self, split: str = "train") -> ClassificationTask:
        """The task, with freshly seeded weights; `split` is opened at once, the others when they are needed."""
        from tasks.classification.task import ClassificationTask

        seed_everything(self.training.seed)
        return ClassificationTask(self, split)

    @property
    def audio_encoder(self) -> AudioEncoderSpec:
        """The block of it."""
        return self.model.audio_encoder

    def last_layer(self, published: int | None) -> int:
        """The number of the training categories, whatever the file has.

        Raises:
            ArtefactError: the tables are missing.
        """
        del published
        from tasks.classification.clips import classes_of_training

        return len(classes_of_training(self.data))

    def settings_of_last_layer(self, width: int) -> dict[str, int]:
        """None: the width follows from the tables."""
        del width
        return {}

    def for_stage_3(self) -> Self:
        """The same run without the file of initial weights, where all of them learnt and are in the checkpoint."""
        encoder = without_initial_weights(self.model.audio_encoder)
        return self.model_copy(update={"model": self.model.model_copy(update={"audio_encoder": encoder})})

    def check_splits(self, splits: Sequence[SplitData], *, thorough: bool) -> list[str]:
        """Compare vectors with the encoder that `data:` names, and look for recordings that are slow to read.

        Thorough: also for recordings in two splits.

        Raises:
            ArtefactError: the encoder on this machine has changed since it made them.
        """
        refuse_stale_audio(splits, self.data)
        from tasks.classification.clips import ClassifiedClips

        training = next(split for split in splits if split.name == self.data.splits.train)
        assert isinstance(training, ClassifiedClips)
        lines = [training.reading_cost(), describe_tables(self.data) if thorough else None]
        return [line for line in lines if line]

    def chance(self, split: SplitData) -> dict[str, float]:
        """Metrics of the most frequent class of the split."""
        from tasks.classification.clips import ClassifiedClips

        assert isinstance(split, ClassifiedClips)
        counts = split.counts()
        share, present = counts.max() / counts.sum(), int(np.count_nonzero(counts))
        f1 = 2 * share / (1 + share) / present  # of the predicted class, 0 of the others
        return {"accuracy": float(share), "balanced_accuracy": 1 / present, "macro_f1": float(f1)}

    def audio_input(self) -> AudioInput:
        """Which features the audio encoder takes: logmel, wave or vector.

        Raises:
            ConfigError: it takes vectors, and the run names none.
        """
        wanted = self.model.audio_encoder.input
        if wanted == "vector" and self.data.audio_embeddings is None:
            raise ConfigError(
                f"model.audio_encoder: {self.model.audio_encoder.name} takes one vector a clip, and "
                "data.audio_embeddings is not set; name a frozen encoder or a file there"
            )
        return wanted

    def next_script(self, after: str) -> str:
        """The script that a user of these settings runs after one of stage 1 or after `main.py`."""
        if after == "main.py":
            return self.script_of("scores")
        vectors = self.data.audio_embeddings
        given = vectors is not None and vectors.file is not None
        features = {
            "logmel": self.script_of("log-mels"),
            "wave": None,
            "vector": None if given else self.script_of("audio-embeddings"),
        }
        needed = [self.script_of("tables"), features[self.model.audio_encoder.input]]
        return next((script for script in needed[_STAGE_1.get(after, 2) :] if script), "main.py")
