"""Captions written by a captioner, and how likely it finds given ones."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from models.captioner import Captioner, Joined
from utils.config_utils import Spec

if TYPE_CHECKING:
    from transformers import GenerationConfig


class GenerationSpec(Spec):
    """The `generation:` block: how captions are written."""

    # greedy: the likeliest token every time | beam: the likeliest of several captions | sample: drawn
    method: Literal["greedy", "beam", "sample"] = "greedy"
    max_new_tokens: int = Field(40, ge=1, le=1024)  # of a caption
    num_beams: int = Field(4, ge=2, le=64)  # of beam
    temperature: float = Field(0.7, gt=0, le=10)  # of sample: lower is nearer to greedy
    top_p: float = Field(0.9, gt=0, le=1)  # of sample: from the likeliest tokens of this probability together
    seed: int = Field(0, ge=0, lt=2**63)  # of sample


class LogLikelihoods(NamedTuple):
    """How likely a captioner finds captions of clips."""

    sums: Tensor  # (B, C) float32, log-probability of all tokens of a caption, its end included
    tokens: Tensor  # (C,) int64, tokens of each caption


@torch.inference_mode()
def generate(captioner: Captioner, frames: Tensor, lengths: Tensor, spec: GenerationSpec) -> list[str]:
    """Write a caption of each clip.

    Greedy and beam search in float32 give the same captions in any batch. Sampling is seeded for each call, so that
    what is drawn depends on the batch.

    Args:
        captioner: in eval mode, on one device.
        frames: (B, T, D) float32, padded.
        lengths: (B,) int64, frames of each clip.
        spec: how.
    Returns:
        B captions; empty where the model ends at once.
    Raises:
        ConfigError: a clip and its caption are longer than the language model's context.
    """
    return [found[0] for found in candidates(captioner, frames, lengths, spec, 1)]


@torch.inference_mode()
def candidates(
    captioner: Captioner, frames: Tensor, lengths: Tensor, spec: GenerationSpec, count: int
) -> list[list[str]]:
    """Write several captions of each clip.

    Args:
        captioner: see `generate`.
        frames: see `generate`.
        lengths: see `generate`.
        spec: how; greedy has one candidate, beam search its `num_beams` best at most.
        count: candidates of each clip.
    Returns:
        B lists of `count` captions, the likeliest first where they are searched for; some may be equal.
    Raises:
        ValueError: more candidates than the method has.
        ConfigError: see `generate`.
    """
    limit = {"greedy": 1, "beam": spec.num_beams}.get(spec.method, count)
    if not 1 <= count <= limit:
        raise ValueError(f"{spec.method} has at most {limit} candidates, found {count}")
    language = captioner.language
    network: Any = captioner.language_model  # to mypy, its methods are tensors
    joined = captioner.join(*captioner.adapter(frames, lengths))
    captioner.refuse_too_long(joined.mask.shape[1] + spec.max_new_tokens)
    # positions follow from the mask, as transformers counts them itself
    with _seeded(spec, joined.embeddings.device):
        ids = network.generate(
            inputs_embeds=joined.embeddings,
            attention_mask=joined.mask,
            generation_config=_settings(spec, language.ends, language.end, count),
        )
    texts = language.decode(ids)
    return [texts[start : start + count] for start in range(0, len(texts), count)]


@torch.inference_mode()
def log_likelihood(
    captioner: Captioner, frames: Tensor, lengths: Tensor, captions: Sequence[str], batch_size: int = 64
) -> LogLikelihoods:
    """Compute how likely each caption is for each clip.

    The language model reads a clip's prompt and input tokens once, and goes on from there with every caption.

    Args:
        captioner: in eval mode, on one device.
        frames: (B, T, D) float32, padded.
        lengths: (B,) int64, frames of each clip.
        captions: C of them.
        batch_size: pairs of clip and caption computed at once.
    Raises:
        ConfigError: a clip and a caption are longer than the language model's context.
    """
    tokens, counts = captioner.adapter(frames, lengths)
    ids, id_lengths = _padded([captioner.language.caption_ids(caption) for caption in captions], tokens.device)
    order = id_lengths.argsort()  # captions of similar length together: less padding
    sums = torch.empty(len(frames), len(captions), device=tokens.device)
    for clips in torch.arange(len(frames)).split(max(1, batch_size // len(captions))):
        start = _Start.of(captioner, captioner.join(tokens[clips.to(tokens.device)], counts[clips.to(counts.device)]))
        captioner.refuse_too_long(start.joined.mask.shape[1] + ids.shape[1] - 1)
        for rows in order.split(batch_size):
            longest = int(id_lengths[rows].max())
            found = start.log_likelihoods(captioner, ids[rows, :longest], id_lengths[rows])
            sums[clips.to(sums.device)[:, None], rows] = found
    return LogLikelihoods(sums, id_lengths)


class _Start(NamedTuple):
    """What captions of some clips begin with: prompt and input tokens, read by the language model once."""

    joined: Joined
    hidden: Tensor  # (B, 1, H) of the last token, from which a caption's first one is predicted
    cache: Any  # keys and values of all tokens

    @classmethod
    def of(cls, captioner: Captioner, joined: Joined) -> _Start:
        output = captioner.language_model.base_model(
            inputs_embeds=joined.embeddings,
            attention_mask=joined.mask,
            position_ids=joined.positions,
            use_cache=True,
        )
        return cls(joined, output.last_hidden_state[:, -1:], output.past_key_values)

    def log_likelihoods(self, captioner: Captioner, ids: Tensor, id_lengths: Tensor) -> Tensor:
        """(B, C) float32, of (C, L) captions."""
        clips, captions, places = len(self.hidden), len(ids), torch.arange(ids.shape[1], device=ids.device)
        # (B C, L): all captions of a clip, then those of the next
        own = (places < id_lengths[:, None]).repeat(clips, 1)
        ids = ids.repeat(clips, 1)
        hidden = self.hidden.repeat_interleave(captions, 0)
        if ids.shape[1] > 1:
            cache = copy.deepcopy(self.cache)  # reading goes on from it, and adds to it
            cache.batch_repeat_interleave(captions)
            mask, last = (table.repeat_interleave(captions, 0) for table in (self.joined.mask, self.joined.positions))
            output = captioner.language_model.base_model(
                input_ids=ids[:, :-1],
                attention_mask=torch.cat([mask, own[:, :-1].long()], dim=1),
                position_ids=last[:, -1:] + places[1:],
                past_key_values=cache,
                use_cache=True,
            )
            hidden = torch.cat([hidden, output.last_hidden_state], dim=1)
        logits = captioner.language_model.get_output_embeddings()(hidden[own]).float()
        losses = F.cross_entropy(logits, ids[own], reduction="none")
        owner = torch.arange(len(ids), device=ids.device).repeat_interleave(own.sum(1))
        return -losses.new_zeros(len(ids)).index_add(0, owner, losses).view(clips, captions)


def _padded(captions: Sequence[Sequence[int]], device: torch.device) -> tuple[Tensor, Tensor]:
    lengths = torch.tensor([len(caption) for caption in captions], device=device)
    ids = torch.zeros(len(captions), max(map(len, captions)), dtype=torch.int64)
    for row, caption in zip(ids, captions, strict=True):
        row[: len(caption)] = torch.tensor(caption)
    return ids.to(device), lengths


def _settings(spec: GenerationSpec, ends: list[int], padding: int, count: int) -> GenerationConfig:
    """Everything that generation depends on; nothing is taken from the settings that come with a chat model."""
    from transformers import GenerationConfig

    sampled: dict[str, Any] = {"do_sample": False}
    if spec.method == "sample":
        sampled = {"do_sample": True, "temperature": spec.temperature, "top_p": spec.top_p, "top_k": 0}
    return GenerationConfig(
        **sampled,
        max_new_tokens=spec.max_new_tokens,
        num_beams=spec.num_beams if spec.method == "beam" else 1,
        num_return_sequences=count,
        repetition_penalty=1.0,
        eos_token_id=ends,
        pad_token_id=padding,
    )


@contextlib.contextmanager
def _seeded(spec: GenerationSpec, device: torch.device) -> Iterator[None]:
    """Draw from the seed, and leave the random state of training as it was."""
    if spec.method != "sample":
        yield
        return
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(spec.seed)
        yield
