"""Losses: pure functions of embeddings, each with the module and the Spec that hold its settings."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Annotated, Literal, NamedTuple

import torch
import torch.nn.functional as F
from pydantic import AfterValidator, Field, ValidationInfo
from torch import Tensor, nn

from utils.config_utils import Spec
from utils.model_utils.ranks import gather_rows, rank, ranks, row_counts

Similarity = Literal["dot", "cosine"]
SameClip = Literal["mask", "positive"]

NORM_FLOOR = 1e-8  # torch.nn.functional.cosine_similarity's eps: a zero vector scores 0, not NaN
_MAX_SCALE = 100.0  # CLIP's limit of 1 / temperature; beyond it training becomes unstable


def similarity_logits(audio: Tensor, text: Tensor, similarity: Similarity = "dot") -> Tensor:
    """Compute the similarity of every clip with every caption, not yet divided by the temperature.

    Args:
        audio: (B, E) clip embeddings, any floating dtype.
        text: (C, E) caption embeddings; in a training batch C = B.
        similarity: "dot", or "cosine" (the dot product of unit vectors, in [-1, 1]).
    Returns:
        (B, C), row = clip, column = caption; float32 also under autocast and for half-precision
        embeddings (float64 stays float64). Higher is more similar.
    Raises:
        ValueError: an unknown similarity.
    """
    if similarity not in _SIMILARITIES:
        raise ValueError(f"similarity is {similarity!r}; choices: {', '.join(_SIMILARITIES)}")
    dtype = torch.promote_types(torch.promote_types(audio.dtype, text.dtype), torch.float32)
    # bfloat16 has 8 significant bits: at temperature 0.07, rounding a similarity would change a logit by up to 0.06.
    with torch.autocast(audio.device.type, enabled=False):
        return _SIMILARITIES[similarity](audio.to(dtype), text.to(dtype))


def info_nce(
    audio: Tensor,
    text: Tensor,
    clip_ids: Tensor,
    *,
    temperature: float | Tensor,
    similarity: Similarity = "dot",
    same_clip: SameClip = "mask",
) -> Tensor:
    """Compute the bidirectional InfoNCE loss of B audio-text pairs; a batch may have several captions of a clip.

    Each pair i is an anchor twice: its caption is the query for the clips of the batch, its clip that for the captions.
    The loss is the mean over anchors of the SUM of both cross entropies, as in the DCASE baseline: twice the
    mean of both directions that CLIP reports. `same_clip` decides how a pair j != i of the same clip counts:

    - "mask": neither as positive nor as negative; it is removed from the candidates of i. This is the baseline.
    - "positive": as another positive; the anchor's loss is the mean of -log p(j | i) over all its positives
      (i included), with the softmax over the whole batch (the form L_out of Khosla et al.).

    Without repeated clips both give the same loss. With them, "mask" can reach 0, while "positive" cannot fall below
    log(number of positives), because its positives share one softmax.

    Args:
        audio: (B, E) clip embeddings.
        text: (B, E) caption embeddings; rows i of `audio` and `text` are a pair.
        clip_ids: (B,) integers; equal for pairs of the same clip.
        temperature: divides the similarities; > 0, a number or a 0-d (learnable) tensor.
        similarity: see `similarity_logits`.
        same_clip: see above.
    Returns:
        0-d float32 tensor >= 0, lower is better; 0 for a batch of one pair. Differentiable.
    Raises:
        ValueError: shapes that do not match, an empty batch, a temperature that is not one positive
            number, or an unknown choice.
    Source: DCASE 2023 task 6B baseline, utils/criterion_utils.py `LogSoftmaxLoss` (revision aca49c9);
        Khosla et al. 2020, "Supervised Contrastive Learning", eq. 2, for "positive".
    """
    _check_pairs(audio, text, clip_ids)
    _check_temperature(temperature)
    if same_clip not in _LOSSES:
        raise ValueError(f"same_clip is {same_clip!r}; choices: {', '.join(_LOSSES)}")
    logits = similarity_logits(audio, text, similarity) / temperature  # (B, B)
    return _LOSSES[same_clip](logits, clip_ids)


class Pairs(NamedTuple):
    """Embedded pairs of a clip and a caption."""

    audio: Tensor  # (N, E)
    text: Tensor  # (N, E)
    clip_ids: Tensor  # (N,)


def info_nce_over_ranks(
    own: Pairs, *, temperature: float | Tensor, similarity: Similarity = "dot", same_clip: SameClip = "mask"
) -> Tensor:
    """Compute this rank's share of `info_nce` of the pairs of all ranks.

    The pairs of the other ranks are gathered, their clip ids too, and gradients reach their embeddings. Each rank
    compares only its own B pairs with all N, which takes memory B x N, not N x N. The mean of the shares, each weighted
    by its B, is the loss of all N pairs in one batch.

    Args:
        own: B pairs of this rank, at least one; every rank calls this at the same time.
        temperature: see `info_nce`, as the others.
        similarity: see there.
        same_clip: see there.
    Returns:
        0-d float32 tensor >= 0, the mean over the B pairs.
    """
    _check_pairs(*own)
    counts = row_counts(own.clip_ids)
    every = Pairs(*(gather_rows(rows, counts) for rows in own))
    place = torch.arange(len(own.clip_ids), device=own.clip_ids.device) + sum(counts[: rank()])  # (B,)
    to_text = similarity_logits(own.audio, every.text, similarity) / temperature  # (B, N)
    to_audio = similarity_logits(own.text, every.audio, similarity) / temperature  # (B, N)
    same = own.clip_ids[:, None] == every.clip_ids[None, :]  # (B, N)
    if same_clip == "positive":
        return _mean_over_positives(to_text, same) + _mean_over_positives(to_audio, same)
    others = same.scatter(1, place[:, None], False)
    to_text, to_audio = (rows.masked_fill(others, float("-inf")) for rows in (to_text, to_audio))
    return F.cross_entropy(to_text, place) + F.cross_entropy(to_audio, place)


class InfoNCE(nn.Module):
    """`info_nce` as a module; the temperature may be learned.

    The parameter of a learned temperature is `log_scale`, the logarithm of 1 / temperature, so that the temperature
    stays positive; as in CLIP the scale is at most 100 (temperature >= 0.01).

    Args:
        temperature: fixed, or the initial value; > 0 (learned: initial values below 0.01 become 0.01).
        learnable_temperature: whether `log_scale` is a parameter; a fixed temperature is not in the state dict.
        similarity: see `similarity_logits`.
        same_clip: see `info_nce`.
    Raises:
        ValueError: the temperature is not positive.
    Source: Radford et al. 2021 (CLIP), section 2.5, for the learned scale and its limit.
    """

    def __init__(
        self,
        *,
        temperature: float = 0.07,
        learnable_temperature: bool = False,
        similarity: Similarity = "dot",
        same_clip: SameClip = "mask",
    ) -> None:
        super().__init__()
        _check_temperature(temperature)
        self.similarity: Similarity = similarity
        self.same_clip: SameClip = same_clip
        self._fixed_temperature = temperature
        self.log_scale: nn.Parameter | None = None
        if learnable_temperature:
            self.log_scale = nn.Parameter(torch.tensor(-math.log(temperature)))

    @property
    def temperature(self) -> float:
        """The current temperature, as a number."""
        if self.log_scale is None:
            return self._fixed_temperature
        return 1.0 / min(math.exp(self.log_scale.item()), _MAX_SCALE)

    def forward(self, audio: Tensor, text: Tensor, clip_ids: Tensor) -> Tensor:
        """Compute the loss of a batch; shapes and errors as in `info_nce`.

        Where several ranks train together, it is the mean over this rank's pairs, compared with those of all.
        """
        temperature = self._temperature_tensor()
        if self.training and ranks() > 1:
            return info_nce_over_ranks(
                Pairs(audio, text, clip_ids),
                temperature=temperature,
                similarity=self.similarity,
                same_clip=self.same_clip,
            )
        return info_nce(
            audio,
            text,
            clip_ids,
            temperature=temperature,
            similarity=self.similarity,
            same_clip=self.same_clip,
        )

    def _temperature_tensor(self) -> float | Tensor:
        if self.log_scale is None:
            return self._fixed_temperature
        # The parameter is clamped in place: clamping only the value in the forward pass has no gradient
        # beyond the limit, and the scale could never decrease again.
        with torch.no_grad():
            self.log_scale.clamp_(max=math.log(_MAX_SCALE))
        return torch.exp(-self.log_scale)

    def extra_repr(self) -> str:
        """Return the settings, for `print(model)`."""
        kind = "fixed" if self.log_scale is None else "learnable"
        return f"{self.similarity}, temperature={self.temperature:.4g} ({kind}), same_clip={self.same_clip}"


def _can_be_learned(learnable: bool, info: ValidationInfo) -> bool:
    """Refuse an initial value that the limit of the scale would silently change."""
    temperature = info.data.get("temperature", 1.0)
    if learnable and temperature < 1.0 / _MAX_SCALE:
        raise ValueError(f"temperature is {temperature:g}; expected at least 0.01 if it is learnable")
    return learnable


class InfoNCESpec(Spec):
    """The `criterion:` block of InfoNCE."""

    name: Literal["InfoNCE"]
    similarity: Similarity = "dot"
    temperature: float = Field(0.07, gt=0, le=100)
    learnable_temperature: Annotated[bool, AfterValidator(_can_be_learned)] = False
    same_clip: SameClip = "mask"

    def build(self) -> InfoNCE:
        """Build the criterion; its parameters (if any) belong to the optimizer."""
        return InfoNCE(
            temperature=self.temperature,
            learnable_temperature=self.learnable_temperature,
            similarity=self.similarity,
            same_clip=self.same_clip,
        )


# The choices of `criterion.name`; with a second criterion this becomes a union discriminated by `name`.
CriterionSpec = InfoNCESpec


def _dot(audio: Tensor, text: Tensor) -> Tensor:
    return audio @ text.T


def _cosine(audio: Tensor, text: Tensor) -> Tensor:
    return F.normalize(audio, dim=1, eps=NORM_FLOOR) @ F.normalize(text, dim=1, eps=NORM_FLOOR).T


def _masked_loss(logits: Tensor, clip_ids: Tensor) -> Tensor:
    """Return the mean cross entropy of rows plus that of columns: diagonal positive, other pairs of the clip masked."""
    if _may_repeat(clip_ids):
        others = (clip_ids[:, None] == clip_ids[None, :]).fill_diagonal_(False)  # (B, B), symmetric
        logits = logits.masked_fill(others, float("-inf"))
    own = torch.arange(len(logits), device=logits.device)
    return F.cross_entropy(logits, own) + F.cross_entropy(logits.T, own)


def _may_repeat(clip_ids: Tensor) -> bool:
    """Return whether the batch may have two pairs of a clip.

    On an accelerator always True: reading the ids would synchronise it with the CPU, and masking costs little there.
    """
    return clip_ids.device.type != "cpu" or len(clip_ids.unique()) < len(clip_ids)


def _multi_positive_loss(logits: Tensor, clip_ids: Tensor) -> Tensor:
    """Return the mean cross entropy of all positives in rows, plus that in columns."""
    same = clip_ids[:, None] == clip_ids[None, :]  # (B, B), symmetric
    return _mean_over_positives(logits, same) + _mean_over_positives(logits.T, same)


def _mean_over_positives(logits: Tensor, same: Tensor) -> Tensor:
    """Return the mean over rows of the cross entropy, itself the mean over a row's positives."""
    return -(logits.log_softmax(dim=1).masked_fill(~same, 0.0).sum(dim=1) / same.sum(dim=1)).mean()


_SIMILARITIES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"dot": _dot, "cosine": _cosine}
_LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"mask": _masked_loss, "positive": _multi_positive_loss}


def _check_pairs(audio: Tensor, text: Tensor, clip_ids: Tensor) -> None:
    if audio.ndim != 2 or audio.shape != text.shape:
        raise ValueError(f"audio is {_shape(audio)}, text is {_shape(text)}; expected (B, E) for both")
    if len(audio) < 1:
        raise ValueError("the batch is empty")
    if clip_ids.shape != audio.shape[:1]:
        raise ValueError(f"clip_ids is {_shape(clip_ids)}; expected ({len(audio)},), one for each pair")


def _check_temperature(temperature: float | Tensor) -> None:
    if isinstance(temperature, Tensor):
        # Its value is not checked: reading it would synchronise the GPU in every step.
        if temperature.ndim != 0:
            raise ValueError(f"temperature is {_shape(temperature)}; expected a 0-d tensor or a number")
    elif not 0 < temperature < math.inf:
        raise ValueError(f"temperature is {temperature}; expected a positive number")


def _shape(tensor: Tensor) -> tuple[int, ...]:
    return tuple(tensor.shape)
