"""The training clips as adapters are fitted on them: frames and, in the language model's space, their captions."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from models.adapters import TrainingClips
from models.frozen.language import FrozenLanguageModel
from utils.data_utils import CaptionedFrames

# Tokens embedded at a time: (K, H) in float32 takes 268 MB at H = 1024.
_BLOCK = 65_536


class ClipsToFit:
    """Every training clip once, in batches; iterated as often as a fit needs.

    Args:
        split: of training.
        language: whose embeddings of the captions' tokens are the target.
        batch_size: clips a batch.
    """

    def __init__(self, split: CaptionedFrames, language: FrozenLanguageModel, batch_size: int) -> None:
        self._split, self._batch_size = split, batch_size
        self._captions = mean_embeddings(split, language)

    def __iter__(self) -> Iterator[TrainingClips]:
        for batch in self._split.without_captions(np.arange(len(self._split.clips)), self._batch_size):
            yield TrainingClips(batch.frames, batch.lengths, self._captions[torch.from_numpy(batch.clips)])


@torch.no_grad()
def mean_embeddings(split: CaptionedFrames, language: FrozenLanguageModel) -> Tensor:
    """Average the language model's embeddings of the tokens of each clip's captions; ends of sequences do not count.

    Returns:
        (N, H) float32; zeros for a clip whose captions have no tokens.
    """
    embeddings = language.embeddings
    clips, ids = split.tokens_of_clips()
    total = torch.zeros(len(split.clips), language.hidden_size)
    for rows, tokens in zip(clips.split(_BLOCK), ids.split(_BLOCK), strict=True):
        total.index_add_(0, rows, embeddings[tokens.to(embeddings.device)].float().cpu())
    counts = torch.bincount(clips, minlength=len(split.clips))
    return total / counts.clamp(min=1)[:, None]
