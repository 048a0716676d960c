"""The adapter: between the frames of a frozen encoder and the input embeddings of a frozen language model."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from typing import Literal, NamedTuple, TypeVar

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from models.adapters.layers import TokenLayers
from models.pooling import inside, masked_mean
from models.standardisation import Standardisation
from utils.config_utils import Spec

Count = TypeVar("Count", int, Tensor)


class TrainingClips(NamedTuple):
    """A batch of clips that an adapter is fitted on."""

    frames: Tensor  # (B, T, D) float32, padded
    lengths: Tensor  # (B,) int64, frames of each clip
    captions: Tensor | None = None  # (B, H), the mean of the LLM's embeddings of the tokens of a clip's captions

    def own_frames(self) -> Tensor:
        """Select the frames that are not padding, (n, D)."""
        return self.frames[inside(self.lengths.cpu(), self.frames.shape[1]).to(self.frames.device)]


class FramePreparation(nn.Module):
    """Standardises frames and adds noise to them, where that is wanted.

    Args:
        in_dim: D of the frames.
        standardise: whether each dimension is standardised; if so, call `fit` with the training clips.
        noise: standard deviation of the Gaussian noise that is added to each (standardised) number in training.
    """

    def __init__(self, in_dim: int, standardise: bool = False, noise: float = 0.0) -> None:
        super().__init__()
        self.in_dim = in_dim
        self.standardisation = Standardisation(in_dim) if standardise else None
        self.noise = noise

    def fit(self, clips: Iterable[TrainingClips]) -> None:
        """Fit the standardisation, if there is one."""
        if self.standardisation is not None:
            self.standardisation.fit(batch.own_frames() for batch in clips)

    def forward(self, frames: Tensor) -> Tensor:
        """Standardise (B, T, D) frames, and in training add the noise; arguments as of `standardised`."""
        frames = self.standardised(frames)
        if self.training and self.noise:
            frames = frames + self.noise * torch.randn_like(frames)
        return frames

    def standardised(self, frames: Tensor) -> Tensor:
        """Standardise (B, T, D) frames, as float32.

        Raises:
            ValueError: frames of another width.
        """
        if frames.dim() != 3 or frames.shape[2] != self.in_dim:
            raise ValueError(f"frames are {tuple(frames.shape)}, expected (B, T, {self.in_dim})")
        frames = frames.float()
        return frames if self.standardisation is None else self.standardisation(frames)


class Adapter(nn.Module):
    """Shortens a clip's frames and projects them into the hidden space of the LLM.

    Padding is ignored, whatever it holds: a clip's tokens are the same alone and in any batch. Each token has the root
    mean square of the LLM's own embeddings at first, since a frozen LLM expects inputs of that scale; from there on a
    gain for each dimension is learned. Source: Ultravox (fixie-ai, ultravox_model.py), whose projector ends in an RMS
    norm with such a gain.

    Args:
        preparation: of the frames.
        layers: prepared frames -> tokens.
        hidden_size: H of the LLM.
        embedding_scale: root mean square of the entries of the LLM's input embeddings.
        prompt_tokens: number of learned vectors before the tokens of the input, the same for all clips: they show a
            frozen LLM which kind of text follows. Source: Lester et al. 2021, "The power of scale for
            parameter-efficient prompt tuning".
    """

    prompt: Tensor | None
    gain: Tensor | None

    def __init__(
        self,
        preparation: FramePreparation,
        layers: TokenLayers,
        hidden_size: int,
        embedding_scale: float,
        prompt_tokens: int = 0,
    ) -> None:
        super().__init__()
        self.hidden_size, self.embedding_scale, self.prompt_tokens = hidden_size, embedding_scale, prompt_tokens
        self.preparation = preparation
        self.layers = layers
        # a map in closed form stays as it was computed
        learns = any(parameter.requires_grad for parameter in layers.parameters())
        self.gain = nn.Parameter(torch.ones(hidden_size)) if learns else None
        prompt = torch.randn(prompt_tokens, hidden_size) * embedding_scale
        self.prompt = nn.Parameter(prompt) if prompt_tokens else None

    def token_count(self, frames: Count) -> Count:
        """Compute how many tokens clips have, from how many frames they have; exactly the lengths of `forward`."""
        if isinstance(frames, int):
            return int(self.token_count(torch.tensor(frames)))
        return self.layers.counts(frames) + self.prompt_tokens

    @property
    def fitted_on(self) -> Literal["nothing", "frames", "captions"]:
        """What `fit` reads: nothing, so that it need not be called; the frames alone; or the captions too."""
        if self.layers.fits_captions:
            return "captions"
        return "nothing" if self.preparation.standardisation is None else "frames"

    @torch.no_grad()
    def fit(self, clips: Iterable[TrainingClips]) -> None:
        """Compute what the training clips give without training: statistics of the frames, then a closed-form map.

        Args:
            clips: batches of all training clips; iterated once for each of the two, so that it cannot be a generator.
        Raises:
            ValueError: there are no clips, or they have no captions and the map needs them.
        """
        self.preparation.fit(clips)
        if self.layers.fits_captions:
            self.layers.fit(self._pair(batch) for batch in clips)

    def _pair(self, batch: TrainingClips) -> tuple[Tensor, Tensor]:
        if batch.captions is None:
            raise ValueError("the clips have no captions, which the least-squares map is computed from")
        frames = self.preparation.standardised(batch.frames)
        return masked_mean(frames, batch.lengths), batch.captions

    def forward(self, frames: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Make the input tokens of the LLM.

        Args:
            frames: (B, T, D) float32; padding may hold anything.
            lengths: (B,) int64, frames of each clip, 1 to T; best on the CPU, since reading them from a GPU waits.
        Returns:
            (B, P, H) float32, prompt tokens first, then a clip's own, then zeros; P is that of T frames. And (B,)
            int64, number of tokens of each clip, on the device of `lengths`.
        Raises:
            ValueError: frames of another width, or a length outside 1 to T.
        """
        own = inside(lengths.cpu(), frames.shape[1]).to(frames.device, non_blocking=True)
        frames = self.preparation(frames).masked_fill(~own[:, :, None], 0)  # also NaN, which times 0 would stay
        tokens = self.layers(frames, lengths.to(frames.device, non_blocking=True), own).float()
        tokens = F.rms_norm(tokens, tokens.shape[-1:]) * self.embedding_scale
        if self.gain is not None:
            tokens = tokens * self.gain
        if self.prompt is not None:
            tokens = torch.cat([self.prompt.expand(len(tokens), -1, -1), tokens], dim=1)
        counts = self.token_count(lengths)
        valid = inside(counts.cpu(), tokens.shape[1])
        return tokens.masked_fill(~valid.to(tokens.device, non_blocking=True)[:, :, None], 0), counts


class CommonAdapterSpec(Spec):
    """The keys that the `adapter:` blocks of all adapters share."""

    prompt_tokens: int = Field(0, ge=0, le=1024)  # learned vectors before the input's tokens, the same for all clips
    standardise: bool = False  # dimensions of the frames to mean 0 and deviation 1, by the training clips
    noise: float = Field(0.0, ge=0, le=100)  # deviation of the noise that training adds to the (standardised) frames

    @abstractmethod
    def layers(self, in_dim: int, hidden_size: int) -> TokenLayers:
        """Build the layers from frames of width `in_dim` to tokens of width `hidden_size`."""

    def build(self, in_dim: int, hidden_size: int, embedding_scale: float) -> Adapter:
        """Build the adapter.

        Args:
            in_dim: D of the encoder's frames.
            hidden_size: H of the LLM.
            embedding_scale: root mean square of the entries of the LLM's input embeddings.
        """
        preparation = FramePreparation(in_dim, self.standardise, self.noise)
        layers = self.layers(in_dim, hidden_size)
        return Adapter(preparation, layers, hidden_size, embedding_scale, self.prompt_tokens)
