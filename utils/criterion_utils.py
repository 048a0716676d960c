"""Losses: pure functions of embeddings, each beside the module and the Spec that hold its settings."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from pydantic import AfterValidator, Field, ValidationInfo
from torch import Tensor, nn

from utils.config_utils import Spec

Similarity = Literal["dot", "cosine"]
SameClip = Literal["mask", "positive"]

NORM_FLOOR = 1e-8  # torch.nn.functional.cosine_similarity's eps: a zero vector scores 0, not NaN
_MAX_SCALE = 100.0  # CLIP's limit of 1 / temperature; beyond it training becomes unstable


def similarity_logits(audio: Tensor, text: Tensor, similarity: Similarity = "dot") -> Tensor:
    """Similarity of every clip with every caption, before the temperature.

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
    # bfloat16 has 8 bits: at temperature 0.07 its rounding alone would move a logit by 0.06.
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
    """Bidirectional InfoNCE of B audio-text pairs; a clip may stand in a batch with several captions.

    Each pair i is an anchor twice: its caption chooses among the clips, its clip among the captions.
    The loss is the mean over anchors of the SUM of both cross entropies, as in the DCASE baseline:
    twice the mean of both directions that CLIP reports. `same_clip` says what a pair j != i of the
    same clip is:

    - "mask": neither right nor wrong; it is left out of the candidates of i. This is the baseline.
    - "positive": right as well; the anchor's loss is the mean of -log p(j | i) over all its positives
      (i among them), with the softmax over the whole batch (the form L_out of Khosla et al.).

    Without repeated clips both are the same number. With them, "mask" can reach 0, while "positive"
    cannot fall below log(number of positives), because its positives share one softmax.

    Args:
        audio: (B, E) clip embeddings.
        text: (B, E) caption embeddings; row i belongs to row i of `audio`.
        clip_ids: (B,) integers; equal numbers are the same clip.
        temperature: the similarities are divided by it; > 0, a number or a 0-d (learnable) tensor.
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
    if same_clip not in _BOTH_WAYS:
        raise ValueError(f"same_clip is {same_clip!r}; choices: {', '.join(_BOTH_WAYS)}")
    logits = similarity_logits(audio, text, similarity) / temperature  # (B, B)
    return _BOTH_WAYS[same_clip](logits, clip_ids)


class InfoNCE(nn.Module):
    """`info_nce` with its settings; the temperature may be learned.

    A learned temperature is kept as `log_scale`, the logarithm of 1 / temperature, so that it stays
    positive; as in CLIP the scale is at most 100 (temperature >= 0.01).

    Args:
        temperature: fixed, or where learning starts; > 0 (learned: a start below 0.01 counts as 0.01).
        learnable_temperature: whether `log_scale` is a parameter; a fixed temperature has no state.
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
        """The temperature in use, as a number."""
        if self.log_scale is None:
            return self._fixed_temperature
        return 1.0 / min(math.exp(self.log_scale.item()), _MAX_SCALE)

    def forward(self, audio: Tensor, text: Tensor, clip_ids: Tensor) -> Tensor:
        """The loss of a batch; shapes and errors as in `info_nce`."""
        return info_nce(
            audio,
            text,
            clip_ids,
            temperature=self._temperature_tensor(),
            similarity=self.similarity,
            same_clip=self.same_clip,
        )

    def _temperature_tensor(self) -> float | Tensor:
        if self.log_scale is None:
            return self._fixed_temperature
        # The parameter itself is pulled back: a clamp of its value alone has no gradient beyond the
        # limit, and the scale could never come down again.
        with torch.no_grad():
            self.log_scale.clamp_(max=math.log(_MAX_SCALE))
        return torch.exp(-self.log_scale)

    def extra_repr(self) -> str:
        """What `print(model)` shows of the settings."""
        kind = "fixed" if self.log_scale is None else "learnable"
        return f"{self.similarity}, temperature={self.temperature:.4g} ({kind}), same_clip={self.same_clip}"


def _can_be_learned(learnable: bool, info: ValidationInfo) -> bool:
    """Refuse a start that the limit of the scale would change without a word."""
    temperature = info.data.get("temperature", 1.0)
    if learnable and temperature < 1.0 / _MAX_SCALE:
        raise ValueError(f"a learnable temperature starts at 0.01 or above, here it is {temperature:g}")
    return learnable


class InfoNCESpec(Spec):
    """The `criterion:` block of InfoNCE."""

    name: Literal["InfoNCE"]
    similarity: Similarity = "dot"
    temperature: float = Field(0.07, gt=0, le=100)
    learnable_temperature: Annotated[bool, AfterValidator(_can_be_learned)] = False
    same_clip: SameClip = "mask"

    def build(self) -> InfoNCE:
        """The criterion; give its parameters (if any) to the optimizer."""
        return InfoNCE(
            temperature=self.temperature,
            learnable_temperature=self.learnable_temperature,
            similarity=self.similarity,
            same_clip=self.same_clip,
        )


# The table of choices of `criterion.name`; a second criterion makes it a union discriminated by `name`.
CriterionSpec = InfoNCESpec


def _dot(audio: Tensor, text: Tensor) -> Tensor:
    return audio @ text.T


def _cosine(audio: Tensor, text: Tensor) -> Tensor:
    return F.normalize(audio, dim=1, eps=NORM_FLOOR) @ F.normalize(text, dim=1, eps=NORM_FLOOR).T


def _masked_loss(logits: Tensor, clip_ids: Tensor) -> Tensor:
    """Mean cross entropy of rows plus that of columns, the diagonal right, others of the same clip left out."""
    if _may_repeat(clip_ids):
        others = (clip_ids[:, None] == clip_ids[None, :]).fill_diagonal_(False)  # (B, B), symmetric
        logits = logits.masked_fill(others, float("-inf"))
    own = torch.arange(len(logits), device=logits.device)
    return F.cross_entropy(logits, own) + F.cross_entropy(logits.T, own)


def _may_repeat(clip_ids: Tensor) -> bool:
    """Whether a clip may stand in the batch twice; to look would make a GPU wait, where masking costs little."""
    return clip_ids.device.type != "cpu" or len(clip_ids.unique()) < len(clip_ids)


def _multi_positive_loss(logits: Tensor, clip_ids: Tensor) -> Tensor:
    """Mean over rows of the mean cross entropy of the columns of the same clip, plus that of columns over rows."""
    same = clip_ids[:, None] == clip_ids[None, :]  # (B, B), symmetric
    positives = same.sum(dim=1)

    def one_way(one: Tensor) -> Tensor:
        return -(one.log_softmax(dim=1).masked_fill(~same, 0.0).sum(dim=1) / positives).mean()

    return one_way(logits) + one_way(logits.T)


_SIMILARITIES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"dot": _dot, "cosine": _cosine}
_BOTH_WAYS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"mask": _masked_loss, "positive": _multi_positive_loss}


def _check_pairs(audio: Tensor, text: Tensor, clip_ids: Tensor) -> None:
    if audio.ndim != 2 or audio.shape != text.shape:
        raise ValueError(f"audio is {_shape(audio)}, text is {_shape(text)}; expected (B, E) for both")
    if len(audio) < 1:
        raise ValueError("the batch holds no pair")
    if clip_ids.shape != audio.shape[:1]:
        raise ValueError(f"clip_ids is {_shape(clip_ids)}; expected ({len(audio)},), one for each pair")


def _check_temperature(temperature: float | Tensor) -> None:
    if isinstance(temperature, Tensor):
        # Its value is not read: that would make a GPU wait for every batch.
        if temperature.ndim != 0:
            raise ValueError(f"temperature is {_shape(temperature)}; expected a 0-d tensor or a number")
    elif not 0 < temperature < math.inf:
        raise ValueError(f"temperature is {temperature}; expected a positive number")


def _shape(tensor: Tensor) -> tuple[int, ...]:
    return tuple(tensor.shape)
