"""The run of tasks/music_autoencoder.yaml."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import model_validator

from models.autoencoders import AutoencoderSpec
from tasks.base import SplitData, TrackRun
from utils.cli_utils import ConfigError
from utils.config_utils import keys_of_chosen
from utils.data_utils import describe_tables
from utils.model_utils import TrainingSpec, seed_everything

if TYPE_CHECKING:
    from tasks.music.task import MusicTask

# Metrics of recommendation among the validation tracks.
RETRIEVAL = ("genre_precision@5", "genre_mAP", "artist_precision@5", "artist_mAP")
# What a user runs one after the other; main.py comes last.
_STAGE_1 = (
    "preprocessing.synthetic_music",
    "preprocessing.fma_dataset",
    "preprocessing.audio_logmel",
    "preprocessing.audio_features",
    "main.py",
)


class MusicTrainingSpec(TrainingSpec):
    """The `training:` block; `batch_size` counts tracks, each a window an epoch."""

    select_on: str = "val_mse"

    higher_is_better: ClassVar[Mapping[str, bool]] = {
        "val_mse": False,
        "explained_variance": True,
        **dict.fromkeys(RETRIEVAL, True),
    }
    also_printed: ClassVar[Sequence[str]] = ("explained_variance", "genre_precision@5", "artist_precision@5")


class MusicRun(TrackRun):
    """tasks/music_autoencoder.yaml."""

    task: Literal["music_autoencoder"]
    model: AutoencoderSpec
    training: MusicTrainingSpec = MusicTrainingSpec()

    # no autoencoder hears another encoder's vectors: they are only compared with
    always_of_the_yaml: ClassVar[Sequence[str]] = (*TrackRun.always_of_the_yaml, "data.audio_embeddings")

    @model_validator(mode="before")
    @classmethod
    def _ignore_keys_of_other_autoencoders(cls, given: Any) -> Any:
        """Let a search go over `model.name`."""
        if not isinstance(given, dict) or "model" not in given:
            return given  # refused below
        return given | {"model": keys_of_chosen(given["model"], AutoencoderSpec)}

    @property
    def reads_recordings(self) -> bool:
        """Whether its autoencoder takes waves."""
        return self.model.input == "wave"

    def build(self, split: str = "train") -> MusicTask:
        """The task, with freshly seeded weights; `split` is opened at once, the others when they are needed."""
        from tasks.music.task import MusicTask

        seed_everything(self.training.seed)
        return MusicTask(self, split)

    def check_splits(self, splits: Sequence[SplitData], *, thorough: bool) -> list[str]:
        """Make sure that what the run is chosen by can be measured; look for recordings in two splits, if `thorough`.

        Raises:
            ConfigError: no two validation tracks share a genre, or an artist, and the run is chosen by that.
        """
        validation = next(split for split in splits if split.name == self.data.splits.val)
        measured = {"val_mse", "explained_variance", *self.chance(validation)}
        for key, metric in self.watched_metrics.items():
            if metric not in measured:
                label = metric.split("_")[0]
                raise ConfigError(
                    f"{key}: {metric} needs two tracks of one {label} in '{validation.name}', {self.data.catalogue} "
                    f"has none; use explained_variance or val_mse, or name more tracks' {label}s in the data set"
                )
        shared = describe_tables(self.data) if thorough else ""
        return [shared] if shared else []

    def chance(self, split: SplitData) -> dict[str, float]:
        """Metrics of a random order of the tracks."""
        from tasks.music.clips import MusicClips
        from tasks.music.measures import chance_of

        assert isinstance(split, MusicClips)
        return chance_of(split.tracks)

    def next_script(self, after: str) -> str:
        """The script that a user of these settings runs after one of stage 1 or after `main.py`."""
        if after == "main.py":
            return self.script_of("scores")
        # what is not of this list makes further features, after the tables
        place = _STAGE_1.index(after) if after in _STAGE_1 else len(_STAGE_1) - 2
        return _STAGE_1[place + 1]
