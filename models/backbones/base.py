"""Base class of the pretrained audio networks: waveforms in, frames or one vector a clip out; padding is ignored."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from models.backbones.layers import recorded_inputs
from models.pooling import inside, masked_mean


class WaveformBackbone(nn.Module, ABC):
    """A pretrained network on mono waveforms; in evaluation mode a clip's output is the same alone and in any batch.

    The computation runs on the device of the waves; lengths and counts stay on the CPU, since reading them from a GPU
    would wait for it in every batch.

    Attributes:
        sample_rate_hz: of the waves that the network was trained on.
        width: D of the frames.
        vector_width: D of the vectors.
        min_samples: the shortest clip that gives a frame.
        max_samples: the longest window that the network takes; None: any.
    """

    sample_rate_hz: int
    width: int
    vector_width: int
    min_samples: int
    max_samples: int | None

    @property
    def vector_pooling(self) -> str:
        """How frames are pooled to a vector, for the settings in files of vectors."""
        return "mean over frames"

    @property
    def feature_encoder(self) -> nn.Module | None:
        """The first layers, from samples to frames, which are often frozen in fine-tuning; None: there are none."""
        return None

    @property
    def layers(self) -> Sequence[nn.Module]:
        """The transformer layers, whose frames `layer_frames` gives; empty: there are none of equal width and rate."""
        return ()

    @abstractmethod
    def frame_count(self, samples: int) -> int:
        """Return the number of frames of a clip of so many samples."""

    @abstractmethod
    def frames(self, waves: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Embed clips frame by frame.

        Args:
            waves: (B, S) float32, -1 to 1; padding is ignored.
            lengths: (B,) int64, samples of each clip; best on the CPU.
        Returns:
            (B, T, D), undefined in the padding; and (B,) int64 on the CPU, the number of frames of each clip.
        Raises:
            ValueError: shapes that do not fit, or a clip that is too short or too long for the network.
        """

    def vectors(self, waves: Tensor, lengths: Tensor) -> Tensor:
        """Embed clips as one vector each: the mean over its own frames; arguments and Raises as of `frames`.

        Returns:
            (B, vector_width) float32, not normalised.
        """
        return masked_mean(*self.frames(waves, lengths))

    def layer_frames(self, waves: Tensor, lengths: Tensor) -> tuple[list[Tensor], Tensor]:
        """Embed clips frame by frame with every layer; arguments and Raises as of `frames`.

        Returns:
            n + 1 tensors (B, T, D) for n layers: what goes into each, and at last what `frames` gives; and (B,) counts.
            A layer that layer drop leaves out in training gives what goes into it.
        """
        with recorded_inputs(self.layers) as inputs:
            last, counts = self.frames(waves, lengths)
        found = [last]
        for number in reversed(range(len(self.layers))):
            frames = inputs.get(number)
            # of a window of fixed size, only the clips' own frames
            found.append(found[-1] if frames is None else frames[:, : last.shape[1]])
        return found[::-1], counts

    def forward(self, waves: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Call `frames`."""
        return self.frames(waves, lengths)

    def _checked(self, waves: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Check the inputs; return the waves, cut to the longest clip and zero in the padding, and the lengths."""
        if waves.dim() != 2 or lengths.shape != waves.shape[:1]:
            raise ValueError(
                f"waves and lengths are {tuple(waves.shape)} and {tuple(lengths.shape)}, expected (B, S) and (B,)"
            )
        lengths = lengths.cpu()
        longest = waves.shape[1] if self.max_samples is None else min(waves.shape[1], self.max_samples)
        outside = lengths[(lengths < self.min_samples) | (lengths > longest)]
        if len(outside):
            raise ValueError(
                f"a clip has {int(outside[0])} samples at {self.sample_rate_hz} Hz, expected {self.min_samples} to "
                f"{longest}: {self._why_refused(int(outside[0]), waves.shape[1])}"
            )
        waves = waves[:, : int(lengths.max())].float()
        beyond = ~inside(lengths, waves.shape[1])
        if bool(beyond.any()):
            waves = waves.masked_fill(beyond.to(waves.device, non_blocking=True), 0)
        return waves, lengths

    def _why_refused(self, length: int, n_samples: int) -> str:
        if length < self.min_samples:
            return "it is shorter than the network's receptive field"
        if length > n_samples:
            return "it is longer than its batch"
        return "it is longer than the network's window"

    def _frame_counts(self, lengths: Tensor) -> Tensor:
        """Return (B,) int64 on the CPU: the number of frames of clips of so many samples."""
        return torch.tensor([self.frame_count(length) for length in lengths.tolist()], dtype=torch.int64)
