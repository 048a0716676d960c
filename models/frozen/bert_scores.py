"""BERTScore by a frozen text network: package, folder or name, and the layer that is compared."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from utils.cli_utils import UserError
from utils.pretrained_utils import find_model, local_only, read_config
from utils.text_utils.tokens import load_tokenizer

_LONGEST = 512  # tokens, where neither network nor tokenizer has a limit: longer captions are truncated


class BertScorer:
    """F1 of the greedy matching of tokens by the cosine of their vectors, of the package `bert-score`.

    Args:
        model: as the user names it.
        layers: number of transformer layers that a caption goes through.
        scorer: a `bert_score.BERTScorer`.
    """

    def __init__(self, model: str, layers: int, scorer: Any) -> None:
        self.model = model
        self.layers = layers
        self._scorer = scorer

    def f1(self, hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> NDArray[np.float64]:
        """Compute (N,) the F1 of each hypothesis with the reference that it matches best; higher is better, up to 1.

        Args:
            hypotheses: (N,) texts, none empty: an empty one has no tokens to match.
            references: (N,) at least one of each.
        """
        if not hypotheses:
            return np.zeros(0)
        return np.asarray(self._scorer.score(list(hypotheses), [list(r) for r in references])[2].double().numpy())


def load_bert_scorer(model: str, layers: int, key: str, device: torch.device) -> BertScorer:
    """Load a network for BERTScore.

    Args:
        model: `package:NAME`, a folder, or a name that a hub knows.
        layers: number of its transformer layers to use, from the first.
        key: the option that names it, for messages.
        device: to run on.
    Raises:
        UserError: no such model, one that takes no text, or one of fewer layers.
    """
    source = find_model(model, key)
    config = read_config(str(source), key).get_text_config()
    deepest = getattr(config, "num_hidden_layers", 0)
    if not 1 <= layers <= deepest:
        raise UserError(f"{key}: {model} has {deepest} layers, found {layers}; choose one from 1 to {deepest}")
    vocabulary = getattr(config, "vocab_size", 0)
    load_tokenizer(str(source), key, vocabulary, vocabulary)  # for its messages: it refuses what takes no text
    if not isinstance(source, Path) and local_only(source):  # bert-score loads without a choice of its own
        raise UserError(f"{key}: {model}: is not a folder, and no hub answers; name a folder or package:NAME")
    import transformers.utils.logging as transformers_logging
    from bert_score import BERTScorer

    level = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity_error()  # it reports a pooler that is not used
    transformers_logging.disable_progress_bar()
    try:
        scorer = BERTScorer(model_type=str(source), num_layers=layers, device=str(device), use_fast_tokenizer=True)
    finally:
        transformers_logging.set_verbosity(level)
    # without a limit in its files a tokenizer has one of 10^30, which overflows in the tokenizers library
    limit = min(scorer._tokenizer.model_max_length, getattr(config, "max_position_embeddings", _LONGEST) or _LONGEST)
    scorer._tokenizer.model_max_length = int(limit)
    return BertScorer(model, layers, scorer)
