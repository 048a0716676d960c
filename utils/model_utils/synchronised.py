"""Batch normalisation over the whole batch where several ranks train together."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from utils.model_utils.ranks import sum_over_ranks


class SynchronisedBatchNorm(_BatchNorm):
    """Batch normalisation whose training statistics are those of all ranks' values together.

    torch's SyncBatchNorm does the same on GPUs alone; this one also runs on a CPU.
    """

    # nn.BatchNorm2d declares them as optional; only modules that have them are made one of these.
    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor

    def _check_input_dim(self, input: Tensor) -> None:
        """Take what the class that it replaces took."""

    def forward(self, input: Tensor) -> Tensor:
        """Normalise (B, C, ...); B may differ between ranks."""
        if not self.training:
            return super().forward(input)
        axes = [0, *range(2, input.dim())]
        shape = [1, -1, *[1] * (input.dim() - 2)]
        values = input.float()
        count = values.new_tensor([values.numel() / values.shape[1]])
        sums = sum_over_ranks(torch.cat([values.sum(axes), count]))
        mean, n = sums[:-1] / sums[-1], sums[-1]
        # in two passes: of values far from 0, the mean of squares less the squared mean would leave rounding errors
        centred = values - mean.view(shape)
        variance = sum_over_ranks(centred.square().sum(axes)) / n
        with torch.no_grad():
            self.num_batches_tracked += 1
            momentum = self.momentum if self.momentum is not None else 1 / float(self.num_batches_tracked)
            self.running_mean.lerp_(mean, momentum)
            self.running_var.lerp_(variance * (n / (n - 1).clamp(min=1)), momentum)
        scale = torch.rsqrt(variance + self.eps)
        scale = scale if self.weight is None else scale * self.weight
        result = centred * scale.view(shape)
        return (result if self.bias is None else result + self.bias.view(shape)).to(input.dtype)


def synchronise_batch_norm(model: nn.Module) -> None:
    """Let torch's batch normalisation that is not frozen count the values of all ranks.

    A subclass, such as `MaskedBatchNorm2d`, does so itself.
    """
    for module in model.modules():
        if type(module) in (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d) and module.track_running_stats:
            # in place of a new module, since others refer to this one: lists of layers, and what holds frozen ones
            module.__class__ = SynchronisedBatchNorm
