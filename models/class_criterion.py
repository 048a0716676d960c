"""The loss of a classifier: cross entropy with class weights, label smoothing and mixup."""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from utils.config_utils import Spec

ClassWeights = Literal["none", "balanced", "square_root"]


class MixedBatch(NamedTuple):
    """Clips that have been mixed with others of their batch."""

    features: Tensor  # like those before
    partners: Tensor  # (B,) int64, the clip that each was mixed with
    shares: Tensor  # (B,) float32 in [0.5, 1], how much of a clip is its own


def mixup(features: Tensor, lengths: Tensor, alpha: float) -> MixedBatch:
    """Mix each clip of a batch with a random one: share * own + (1 - share) * partner.

    The share is drawn from a Beta distribution, and taken as at least 1/2, so that the clip that gives the length is
    also what is mostly heard. A partner that is shorter is repeated, since padding is silence in a wave but no sound
    at all in a log-mel; what is longer is cut.

    Args:
        features: (B, T, F) log-mels, (B, S) waves or (B, E_audio) vectors, padded after each clip's end.
        lengths: (B,) int64, frames or samples of each clip; for vectors of no effect.
        alpha: of Beta(alpha, alpha): near 0, most shares are near 1; 1: all are equally likely.
    Returns:
        Features of the same shape and lengths, undefined in the padding; draws come from torch's generator of the CPU.

    Source: Zhang, Cisse, Dauphin, Lopez-Paz, "mixup: Beyond empirical risk minimization", ICLR 2018.
    """
    n, device = len(features), features.device
    partners = torch.randperm(n)
    drawn = torch.distributions.Beta(alpha, alpha).sample((n,))
    shares = torch.maximum(drawn, 1 - drawn).to(device)
    others = features.index_select(0, partners.to(device))
    own = lengths.cpu()
    is_vector = features.dim() == 2 and int(own.max()) == 1
    if not is_vector and int(own.min()) < features.shape[1]:  # windows of one length need no index, which is large
        times = torch.arange(features.shape[1])[None] % own[partners, None]  # (B, T)
        index = times.to(device).view(n, -1, *[1] * (features.dim() - 2)).expand_as(features)
        others = others.gather(1, index)
    weights = shares.view(n, *[1] * (features.dim() - 1)).to(features.dtype)
    return MixedBatch(weights * features + (1 - weights) * others, partners.to(device), shares)


class CrossEntropy(nn.Module):
    """Cross entropy of the right classes; the mean over the clips of the batch, each with the weight of its class.

    torch's own mean divides by the weights of the batch, so that a batch of frequent classes alone counts as much as
    any other. Here the weights have mean 1 over the training data, and a batch has what its clips have.

    Attributes:
        weights: (K,) of the classes; not in the state dict, since they follow from the training data.
        label_smoothing: the share of the target that all classes have in equal parts.
    """

    weights: Tensor

    def __init__(self, weights: Tensor, label_smoothing: float = 0.0, mixup_alpha: float = 0.0) -> None:
        super().__init__()
        self.register_buffer("weights", weights, persistent=False)
        self.label_smoothing, self.mixup_alpha = label_smoothing, mixup_alpha

    def mixed(self, features: Tensor, lengths: Tensor) -> MixedBatch | None:
        """Mix a batch of training, if that is set; None: it stays as it is."""
        return mixup(features, lengths, self.mixup_alpha) if self.mixup_alpha > 0 and self.training else None

    def forward(self, logits: Tensor, targets: Tensor, mixed: MixedBatch | None = None) -> Tensor:
        """Compute the loss of a batch.

        Args:
            logits: (B, K) of the (mixed) clips.
            targets: (B,) int64, the right classes, in the order of the batch before mixing.
            mixed: result of `mixed`.
        Returns:
            0-d float32 tensor >= 0, lower is better.
        """
        own = self._losses(logits, targets)
        if mixed is None:
            return own.mean()
        others = self._losses(logits, targets[mixed.partners])
        return (mixed.shares * own + (1 - mixed.shares) * others).mean()

    def _losses(self, logits: Tensor, targets: Tensor) -> Tensor:
        losses = F.cross_entropy(logits.float(), targets, reduction="none", label_smoothing=self.label_smoothing)
        return self.weights[targets] * losses


class CrossEntropySpec(Spec):
    """The `criterion:` block of a classifier."""

    name: Literal["CrossEntropy"]
    class_weights: ClassWeights = "none"  # balanced: all classes count alike; square_root: halfway between
    label_smoothing: float = Field(0.0, ge=0, lt=1)  # the share of the target that all classes have in equal parts
    mixup: float = Field(0.0, ge=0, le=10)  # alpha of Beta(alpha, alpha); 0: clips are not mixed

    def build(self, counts: Tensor) -> CrossEntropy:
        """Build the criterion.

        Args:
            counts: (K,) windows of each class that an epoch of training goes through.
        """
        return CrossEntropy(class_weights(counts, self.class_weights), self.label_smoothing, self.mixup)


def class_weights(counts: Tensor, kind: ClassWeights) -> Tensor:
    """Return the (K,) float32 weights of classes: of mean 1 over the windows; 0 for a class without one.

    Args:
        counts: (K,) windows of each class, at least one in all.
        kind: see `CrossEntropySpec`.
    """
    power = {"none": 0.0, "square_root": 0.5, "balanced": 1.0}[kind]
    present = counts > 0
    raw = torch.where(present, counts.double().clamp(min=1) ** -power, 0.0)
    return (raw * (counts.sum() / (raw * counts).sum())).float()
