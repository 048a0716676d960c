"""BERTScore by a frozen text network: package, folder or name, and the layer that is compared.

Only the matching is that of the package `bert-score`. Its own loader would take weights that are missing at random, a
T5 for every path with "t5" in it, and a tokenizer without a limit, which overflows.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from models.frozen.hold import freeze
from utils.cli_utils import UserError
from utils.pretrained_utils import load_pretrained, read_config
from utils.text_utils.tokens import load_tokenizer

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

_BATCH = 64
_LONGEST = 512  # tokens, where neither network nor tokenizer has a limit: longer captions are truncated


class _Tokens(NamedTuple):
    """An embedded text of L tokens."""

    vectors: Tensor  # (L, H) float32, on the CPU
    weights: Tensor  # (L,) float32: start and end count nothing


class BertScorer:
    """F1 of the greedy matching of tokens by the cosine of their vectors, without weights of rare words.

    Args:
        model: as the user names it.
        layers: number of transformer layers that a caption goes through.
        network: of so many layers, frozen, on the device to run on.
        tokenizer: with a limit of length and a token to pad with.
    """

    def __init__(self, model: str, layers: int, network: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
        self.model = model
        self.layers = layers
        self._network = network
        self._tokenizer = tokenizer
        self._references: dict[str, _Tokens] = {}  # of the last call

    def f1(self, hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> NDArray[np.float64]:
        """Compute (N,) the F1 of each hypothesis with the reference that it matches best; higher is better, up to 1.

        Equal captions are embedded once, and references that the call before had are not embedded again.

        Args:
            hypotheses: (N,) texts, none empty: an empty one has no tokens to match.
            references: (N,) at least one of each.
        """
        if not hypotheses:
            return np.zeros(0)
        from bert_score.utils import greedy_cos_idf

        people = [reference for of_clip in references for reference in of_clip]
        numbers = [len(of_clip) for of_clip in references]
        said = [text for text, number in zip(hypotheses, numbers, strict=True) for _ in range(number)]
        embedded = self._embedded([*people, *hypotheses])
        found = []
        for start in range(0, len(people), _BATCH):
            wanted, given = ([embedded[text] for text in side[start : start + _BATCH]] for side in (people, said))
            _, _, values = greedy_cos_idf(*self._padded(wanted), *self._padded(given))
            found.append(values.double().cpu().numpy())
        # of other systems' captions of the same clips, the references are the same
        self._references = {text: embedded[text] for text in people}
        first = np.cumsum([0, *numbers[:-1]], dtype=np.int64)  # of each clip's pairs
        return np.maximum.reduceat(np.concatenate(found), first)

    def _embedded(self, texts: Sequence[str]) -> dict[str, _Tokens]:
        """The tokens of each text; those of the last call's references are there already."""
        from bert_score.utils import get_bert_embedding

        weights: defaultdict[int | None, float] = defaultdict(lambda: 1.0)
        weights.update({self._tokenizer.sep_token_id: 0.0, self._tokenizer.cls_token_id: 0.0})
        found = {text: self._references[text] for text in texts if text in self._references}
        new = sorted(set(texts) - found.keys(), key=lambda text: (-len(text.split()), text))  # alike: less padding
        for start in range(0, len(new), _BATCH):
            batch = new[start : start + _BATCH]
            made: Sequence[Tensor] = get_bert_embedding(
                batch, self._network, self._tokenizer, weights, device=self._network.device
            )
            vectors, mask, weight = (table.cpu() for table in made)
            lengths = mask.sum(1).tolist()
            for row, (text, length) in enumerate(zip(batch, lengths, strict=True)):
                found[text] = _Tokens(vectors[row, :length].clone(), weight[row, :length].clone())
        return found

    def _padded(self, texts: Sequence[_Tokens]) -> tuple[Tensor, Tensor, Tensor]:
        """Vectors (B, L, H), mask (B, L) and weights (B, L) of a batch, which the package changes in place."""
        device = self._network.device
        lengths = torch.tensor([len(tokens.weights) for tokens in texts])
        # of other values than 0, by whose norm the package would divide
        vectors = pad_sequence([tokens.vectors for tokens in texts], batch_first=True, padding_value=1.0)
        weights = pad_sequence([tokens.weights for tokens in texts], batch_first=True)
        mask = torch.arange(vectors.shape[1]) < lengths[:, None]
        return vectors.to(device), mask.to(device), weights.to(device)


def load_bert_scorer(model: str, layers: int, key: str, device: torch.device) -> BertScorer:
    """Load a network for BERTScore.

    Args:
        model: `package:NAME`, a folder, or a name that a hub knows.
        layers: number of its transformer layers to use, from the first.
        key: the option that names it, for messages.
        device: to run on.
    Raises:
        UserError: no such model, one whose weights are incomplete, one that takes no text or is no encoder, or one of
            fewer layers.
    """
    config = read_config(model, key).get_text_config()
    deepest = getattr(config, "num_hidden_layers", 0)
    if not 1 <= layers <= deepest:
        raise UserError(f"{key}: {model} has {deepest} layers, found {layers}; choose one from 1 to {deepest}")
    from transformers import MODEL_MAPPING

    if config.is_encoder_decoder or type(config) not in MODEL_MAPPING:
        raise UserError(
            f"{key}: {model}: its type is {config.model_type}, expected an encoder of text, such as bert or roberta; "
            "name another model"
        )
    vocabulary = getattr(config, "vocab_size", 0)
    tokenizer = load_tokenizer(model, key, vocabulary, vocabulary).pretrained
    longest = getattr(config, "max_position_embeddings", 0) or _LONGEST
    if tokenizer.model_max_length > longest:
        # RoBERTa counts positions from behind that of padding: two of them are for no token
        tokenizer.model_max_length = longest - 2
    config.num_hidden_layers = layers
    kind: Any = MODEL_MAPPING[type(config)]
    network = load_pretrained(kind, model, key, may_be_missing=("pooler",), config=config)
    freeze(network)
    return BertScorer(model, layers, network.to(device), tokenizer)
