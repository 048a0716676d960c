"""The captioner: frames of a frozen encoder, through an adapter, as input tokens of a frozen language model."""

from __future__ import annotations

from typing import NamedTuple, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.adapters import Adapter
from models.frozen.hold import PartlyFrozen
from models.frozen.language import FrozenLanguageModel
from models.lora import LoraSpec, add_lora
from utils.cli_utils import ConfigError

IGNORED = -100  # the label of a position that predicts no token of a caption; torch's own default


class Joined(NamedTuple):
    """A batch as the language model takes it: [prompt, input tokens, prompt, caption], padded on the left."""

    embeddings: Tensor  # (B, N, H) in the dtype of the language model; padding is zero
    mask: Tensor  # (B, N) int64, 0 at padding
    positions: Tensor  # (B, N) int64, counted from the first token that is no padding
    labels: Tensor  # (B, N) int64, the token that each position predicts; IGNORED where it is none of a caption


class Captioner(PartlyFrozen):
    """Writes captions of frames; the adapter alone learns.

    The language model stays in eval mode, without gradients of its own, and is not in checkpoints; gradients reach the
    adapter through it.

    Args:
        adapter: frames -> tokens in the hidden space of the language model.
        language: frozen.
        prompt: text around the input, see `FrozenLanguageModel.prompt_ids`.
        chat: the prompt is a message of the model's chat template.
        lora: low-rank matrices that are added to the language model, and learn beside the adapter; None: none.
    Raises:
        ConfigError: the prompt does not fit the language model.
        UserError: see `add_lora`.
    """

    before: Tensor
    after: Tensor

    def __init__(
        self,
        adapter: Adapter,
        language: FrozenLanguageModel,
        prompt: str = "",
        chat: bool = False,
        lora: LoraSpec | None = None,
    ) -> None:
        super().__init__()
        self.language = language
        self.adapter = adapter
        self.language_model = language.network
        self._lora_dropouts: list[nn.Module] = []
        if lora is None:
            self.freeze_modules(self.language_model, source=language.name)
        else:
            self._lora_dropouts = add_lora(self.language_model, lora, language.name)
        ids = language.prompt_ids(prompt, chat=chat)
        # made from the YAML at every start: not part of a checkpoint
        self.register_buffer("before", torch.tensor(ids.before, dtype=torch.int64), persistent=False)
        self.register_buffer("after", torch.tensor(ids.after, dtype=torch.int64), persistent=False)

    def train(self, mode: bool = True) -> Self:
        """Set the mode of what learns; all else of the language model stays in eval mode."""
        super().train(mode)
        self.language_model.eval()
        for dropout in self._lora_dropouts:
            dropout.train(mode)
        return self

    def input_tokens(self, frames: int) -> int:
        """Count the tokens before the caption of a clip of so many frames, prompt included."""
        return self.adapter.token_count(frames) + len(self.before) + len(self.after)

    def losses(self, frames: Tensor, lengths: Tensor, ids: Tensor, id_lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Compute the cross-entropy of captions.

        Args:
            frames: (B, T, D) float32, padded.
            lengths: (B,) int64, frames of each clip.
            ids: (B, L) int64, tokens of each caption, its end included; padded.
            id_lengths: (B,) int64, tokens of each caption.
        Returns:
            The sum over the tokens of all captions, 0-dimensional float32, and how many those are, int64.
        """
        tokens, counts = self.adapter(frames, lengths)
        joined = self.join(tokens, counts, ids, id_lengths)
        logits, labels = self.caption_logits(joined)
        return F.cross_entropy(logits, labels, reduction="sum"), torch.tensor(len(labels), device=labels.device)

    def caption_logits(self, joined: Joined) -> tuple[Tensor, Tensor]:
        """Predict the tokens of captions.

        Returns:
            (n, V) float32, and (n,) int64 the tokens themselves, row by row.
        """
        labels = joined.labels[:, self.shared_tokens :]
        hidden = self._hidden(joined)
        predicts = labels != IGNORED
        # Of a caption's positions alone, and as a table: logits of 150 000 tokens at every position of the prompt would
        # be most of the memory, and a batch of matrices would copy the weights of the last layer for each clip.
        logits = self.language_model.get_output_embeddings()(hidden[predicts])
        return logits.float(), labels[predicts]

    @property
    def shared_tokens(self) -> int:
        """How many tokens all clips begin with: of the prompt, in words and learned."""
        return len(self.before) + self.adapter.prompt_tokens

    def _hidden(self, joined: Joined) -> Tensor:
        """The language model's last hidden states, (B, N - S, H), after the S tokens that all clips begin with.

        The language model reads these S tokens once, not once a clip: a chat template and learned prompt tokens are
        most of what it reads, and no caption begins before their end.
        """
        start, batch = self.shared_tokens, len(joined.mask)
        cache, mask = None, joined.mask
        if start:
            longest = joined.embeddings[joined.mask.sum(1).argmax()]  # without padding
            cache = self.language_model.base_model(inputs_embeds=longest[None, :start]).past_key_values
            cache.batch_repeat_interleave(batch)
            # where a shorter clip has padding, its own first S tokens come later: they are in the cache
            own = joined.mask[:, start:] * (joined.mask.cumsum(1)[:, start:] > start)
            mask = torch.cat([mask.new_ones(batch, start), own], dim=1)
        output = self.language_model.base_model(
            inputs_embeds=joined.embeddings[:, start:],
            attention_mask=mask,
            position_ids=joined.positions[:, start:],
            past_key_values=cache,
            use_cache=cache is not None,
        )
        hidden: Tensor = output.last_hidden_state
        return hidden

    def join(
        self, tokens: Tensor, counts: Tensor, ids: Tensor | None = None, id_lengths: Tensor | None = None
    ) -> Joined:
        """Join prompt, input tokens and captions, for training and for generation alike.

        Padding is on the left: what the model writes next follows each clip's last token directly.

        Args:
            tokens: (B, P, H) of the adapter.
            counts: (B,) int64, tokens of each clip.
            ids: (B, L) int64, tokens of captions; None: they are still to be written.
            id_lengths: (B,) int64; only with `ids`.
        Raises:
            ConfigError: a clip and its caption are longer than the language model's context.
        """
        device, batch, width = tokens.device, len(tokens), tokens.shape[1]
        if ids is None or id_lengths is None:
            ids, id_lengths = torch.empty(batch, 0, dtype=torch.int64, device=device), counts.new_zeros(batch)
        counts, id_lengths = counts.to(device), id_lengths.to(device)
        before, after = self._embedded(self.before), self._embedded(self.after)
        whole = torch.cat(
            [
                before.expand(batch, -1, -1),
                tokens.to(before.dtype),
                after.expand(batch, -1, -1),
                self._embedded(ids[:, :-1]),  # nothing is predicted after a caption's end
            ],
            dim=1,
        )
        inputs = len(before) + counts  # (B,)
        sizes = inputs + len(after) + (id_lengths - 1).clamp(min=0)
        length = int(sizes.max())
        self.refuse_too_long(length)
        place = torch.arange(length, device=device) - (length - sizes)[:, None]  # (B, N), negative at padding
        # after a clip's own tokens, skip the adapter's padding
        source = torch.where(place < inputs[:, None], place, place + width - counts[:, None])
        mask = place >= 0
        rows = source.clamp(min=0)[:, :, None].expand(-1, -1, whole.shape[2])
        embeddings = whole.gather(1, rows).masked_fill(~mask[:, :, None], 0)
        return Joined(embeddings, mask.long(), place.clamp(min=0), _labels(ids, id_lengths, length))

    def _embedded(self, ids: Tensor) -> Tensor:
        embedded: Tensor = self.language_model.get_input_embeddings()(ids)
        return embedded

    def refuse_too_long(self, length: int) -> None:
        """Refuse more tokens than the language model takes.

        Args:
            length: prompt, input and caption together.
        Raises:
            ConfigError: they are more.
        """
        if length > self.language.context:
            raise ConfigError(
                f"model.adapter: a clip and its caption are {length} tokens, {self.language.name} takes "
                f"{self.language.context}; choose an adapter of fewer tokens, or a shorter prompt"
            )


def _labels(ids: Tensor, id_lengths: Tensor, length: int) -> Tensor:
    """The token that each position predicts, (B, N): the last positions of a row predict its caption."""
    labels = ids.new_full((len(ids), length), IGNORED)
    if not ids.shape[1]:
        return labels
    step = torch.arange(length, device=ids.device) - (length - id_lengths)[:, None]  # (B, N), from 0 in the caption
    return torch.where(step >= 0, ids.gather(1, step.clamp(min=0)), labels)
