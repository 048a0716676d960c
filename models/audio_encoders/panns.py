"""Base class of the PANNs encoders: log-mel to embedding, the same for a clip alone and in any batch.

Source: Kong et al. 2020, "PANNs"; github.com/qiuqiangkong/audioset_tagging_cnn, pytorch/models.py.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn
from torch.nn.utils import convert_conv2d_weight_memory_format

from models.audio_encoders.panns_blocks import ConvBlock
from models.audio_encoders.panns_masked import frame_mask, masked_batch_norm, plain_form_needed, size_on_grid
from models.frozen.hold import PartlyFrozen
from models.initial_values import InitialValues, initialise
from utils.cli_utils import ArtefactError, ConfigError
from utils.config_utils import Spec, UserPath
from utils.weight_utils import load_exactly, read_weights, repair_of


class PANNsEncoder(PartlyFrozen):
    """A PANNs network up to its embedding, and one linear layer into the shared space.

    State-dict keys are PANNs' own (bn0, conv_block1 ..., fc1), and `fc_out` for the last layer.

    Attributes:
        kernels: kernel sizes of the convolutions of a block.
        pools: the pooling factor of each block; the class attribute is that of PANNs.
        out_dim: E of the output.
        embed_dim: E of the penultimate layer.
        stride: number of input frames for one frame of the last block; also the smallest number of mel bands.

    Args:
        out_dim: E of the output.
        n_mels: F, bands of the log-mel features.
        base_channels: channels of the first block; each further block has twice as many. PANNs: 64.
        dropout: probability after each block.
        fc_dropout: probability before `fc1` and before `fc_out`.
        pools: the pooling factor of each block; None: those of PANNs.

    Raises:
        ValueError: fewer bands than `stride`.
    """

    kernels: ClassVar[tuple[int, ...]]
    pools: tuple[int, ...]

    def __init__(
        self,
        out_dim: int,
        n_mels: int = 64,
        base_channels: int = 64,
        dropout: float = 0.2,
        fc_dropout: float = 0.5,
        pools: tuple[int, ...] | None = None,
    ) -> None:
        super().__init__()
        self.pools = pools or self.pools
        self.stride = math.prod(self.pools)
        if n_mels < self.stride:
            raise ValueError(f"{type(self).__name__} needs {self.stride} mel bands or more, got {n_mels}")
        widths = [base_channels * 2**number for number in range(len(self.pools))]
        blocks = [
            self._block(number, c_in, c_out, dropout)
            for number, (c_in, c_out) in enumerate(itertools.pairwise([1, *widths]))
        ]
        self.n_mels, self.out_dim, self.embed_dim = n_mels, out_dim, widths[-1]
        self.bn0 = nn.BatchNorm2d(n_mels)
        for number, block in enumerate(blocks, start=1):
            self.add_module(f"conv_block{number}", block)
        self.fc1 = nn.Linear(self.embed_dim, self.embed_dim)
        self.fc_out = nn.Linear(self.embed_dim, out_dim)
        initialise(self.fc1)
        initialise(self.fc_out)
        self.trunk_dropout = nn.Dropout(fc_dropout)
        self.head_dropout = nn.Dropout(fc_dropout)
        self._blocks = tuple(blocks)
        self.first_frozen = False
        self._compiled: Callable[[Tensor, Tensor], Tensor] | None = None
        convert_conv2d_weight_memory_format(self, torch.channels_last)  # convolutions are a quarter faster on a CPU

    def _block(self, number: int, c_in: int, c_out: int, dropout: float) -> ConvBlock:
        """Build block `number`, counted from 0."""
        return ConvBlock(c_in, c_out, self.kernels, self.pools[number], dropout)

    def forward(self, features: Tensor, lengths: Tensor) -> Tensor:
        """Embed clips in the shared space.

        Args:
            features: (B, T, F) float32 log-mel; padding is ignored. Or what `frozen_output` has made of it.
            lengths: (B,) int64, frames of each clip, 1 to T; best on the CPU, since reading them from a GPU waits.
        Returns:
            (B, out_dim), not normalised.
        Raises:
            ValueError: shapes that do not fit, or a length outside 1 to T.
        """
        is_output = self.first_frozen and features.dim() == 2
        return self.fc_out(self.head_dropout(features if is_output else self.embed(features, lengths)))

    def frozen_output(self, features: Tensor, lengths: Tensor) -> tuple[Tensor, None]:
        """Compute what the last layer takes, (B, embed_dim); arguments as in `forward`."""
        return self.embed(features, lengths), None

    def embed(self, features: Tensor, lengths: Tensor) -> Tensor:
        """Compute PANNs' embedding, the penultimate layer; arguments as in `forward`.

        Returns:
            (B, embed_dim), not negative.
        """
        activations, remaining = self._last_block(features, lengths)  # (B, C, T')
        return F.relu_(self.fc1(self.trunk_dropout(_max_plus_mean(activations, remaining))))

    def frames(self, features: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Compute the last block's output, averaged over frequency; arguments as in `forward`.

        Returns:
            (B, T', embed_dim), one frame for `stride` frames of the input, zero in the padding; and (B,) int64 on the
            CPU: the number of frames of each clip, at least 1.
        """
        activations, remaining = self._last_block(features, lengths)
        if remaining is None:
            remaining = torch.full((len(features),), activations.shape[2])
        return activations.transpose(1, 2), remaining

    def _last_block(self, features: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return (B, C, T') averaged over frequency, and the clips' lengths in T'; None: nothing is padded."""
        lengths = self._checked(features, lengths)
        if self._compiled is not None or plain_form_needed():
            return self._last_block_masked(features, lengths)
        activations = self._normalised(features, lengths)  # (B, 1, T, F), T at least one stride
        frames = activations.shape[2]
        own = lengths.clamp(min=self.stride)  # a clip shorter than a stride gets one frame: its zeros count as its own
        remaining = None if bool((own == frames).all()) else own
        for block in self._blocks:
            activations, remaining = block(activations, remaining)
        return activations.mean(3), remaining

    def compile(self, *args: Any, **kwargs: Any) -> None:
        """Compile the network up to the last block, with the arguments of `torch.compile`, in place.

        Each shape of a batch is compiled by itself, since kernels of a known shape are a sixth faster. So that there
        are few, a batch is padded to one of about 8 lengths an octave, and to an even number of clips.
        """
        self._compiled = torch.compile(self._masked, *args, **{"dynamic": False, **kwargs})

    def _last_block_masked(self, features: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Return what `_last_block` does, computed in plain operations."""
        clips, frames, _ = features.shape
        longer, more = max(self.stride - frames, 0), 0
        if self._compiled is not None:
            longer, more = size_on_grid(frames, self.stride) - frames, clips % 2
        padded = F.pad(features, (0, 0, 0, longer, 0, more)) if longer or more else features
        counts = F.pad(lengths, (0, more)).to(features.device, non_blocking=True)  # an added clip has no frames
        activations = (self._compiled or self._masked)(padded, counts)
        remaining = lengths.clamp(min=self.stride)
        for block in self._blocks:
            remaining = block.remaining(remaining)
        return activations[:clips, :, : max(frames // self.stride, 1)], remaining

    def _masked(self, features: Tensor, lengths: Tensor) -> Tensor:
        """Run all blocks: (B, T, F) and (B,) lengths on the same device to (B, C, T'), averaged over frequency."""
        mask = frame_mask(lengths, features.shape[1])
        bands = torch.where(mask, features.transpose(1, 2)[..., None], 0)  # (B, F, T, 1)
        normalised = torch.where(mask, masked_batch_norm(self.bn0, bands, mask), 0)
        activations = normalised.permute(0, 3, 2, 1).contiguous(memory_format=torch.channels_last)  # (B, 1, T, F)
        own = torch.where(lengths > 0, lengths.clamp(min=self.stride), 0)
        for block in self._blocks:
            activations, own = block.masked(activations, own), block.remaining(own)
        return activations.mean(3)

    def freeze_layers(self, trainable: bool, freeze_blocks: int = 0, source: str | None = None) -> None:
        """Freeze layers permanently: parameters, running statistics and dropout.

        Args:
            trainable: False: everything but `fc_out`.
            freeze_blocks: with `trainable`: the first so many blocks, and `bn0` before them.
            source: the file that the weights come from; None: they are random.
        """
        self.first_frozen = not trainable
        trunk = (self.bn0, *self._blocks, self.fc1, self.trunk_dropout)
        first = trunk[: 1 + freeze_blocks] if freeze_blocks else ()
        self.freeze_modules(*(first if trainable else trunk), source=source)

    def _checked(self, features: Tensor, lengths: Tensor) -> Tensor:
        """Check the inputs, and return the lengths on the CPU."""
        if features.dim() != 3 or features.shape[2] != self.n_mels:
            raise ValueError(f"features are {tuple(features.shape)}, expected (B, T, {self.n_mels})")
        if lengths.shape != features.shape[:1]:
            raise ValueError(f"lengths are {tuple(lengths.shape)}, expected ({len(features)},)")
        lengths = lengths.cpu()
        outside = lengths[(lengths < 1) | (lengths > features.shape[1])]
        if len(outside):
            raise ValueError(f"a clip's length is {int(outside[0])}, expected 1 to {features.shape[1]} frames")
        return lengths

    def _normalised(self, features: Tensor, lengths: Tensor) -> Tensor:
        """Return (B, 1, max(T, stride), F): `bn0` applied to the clips' own frames, and zeros in the padding.

        Only the own frames go through `bn0`: its training statistics must not count padding. After it, padding is zero
        as the padding of the convolutions is, so that a clip has the same neighbours alone and in a batch.
        """
        missing = max(self.stride - features.shape[1], 0)
        features = F.pad(features, (0, 0, 0, missing))
        batch, frames, bands = features.shape
        inside = (torch.arange(frames) < lengths[:, None]).flatten().nonzero()[:, 0]
        inside = inside.to(features.device, non_blocking=True)
        rows = features.reshape(batch * frames, bands)
        own = self.bn0(rows.index_select(0, inside)[:, :, None, None])[:, :, 0, 0]
        normalised = torch.zeros_like(rows, dtype=own.dtype).index_copy(0, inside, own)
        return normalised.view(batch, 1, frames, bands).contiguous(memory_format=torch.channels_last)


def _max_plus_mean(activations: Tensor, lengths: Tensor | None) -> Tensor:
    """Pool (B, C, T), not negative and zero in the padding, to (B, C): maximum plus mean over a clip's own frames."""
    if lengths is None:
        return activations.amax(2) + activations.mean(2)
    counts = lengths.to(activations.device, activations.dtype, non_blocking=True)
    return activations.amax(2) + activations.sum(2) / counts[:, None]


class PANNsSpec(Spec):
    """The keys that the `audio_encoder:` blocks of the PANNs networks share."""

    encoder: ClassVar[type[PANNsEncoder]]
    input: ClassVar[Literal["logmel"]] = "logmel"

    weights: UserPath | None = None  # converted from published ones; null: random initial values
    trainable: bool = True  # False: only the last layer learns
    freeze_blocks: int = Field(0, ge=0)  # the first so many blocks, and the input normalisation, do not learn
    base_channels: int = Field(64, ge=1, le=512)  # channels of the first block; PANNs: 64
    dropout: float = Field(0.2, ge=0, lt=1)  # after each block
    fc_dropout: float = Field(0.5, ge=0, lt=1)  # before and after the embedding layer
    init: InitialValues = "xavier_uniform"  # without weights: xavier_uniform (PANNs) | kaiming_normal (DCASE 2023)

    @property
    def pools(self) -> tuple[int, ...]:
        """The pooling factor of each block."""
        return self.encoder.pools

    def repair(self) -> str:
        """Return how a bad file of weights is written again."""
        return repair_of(self.encoder.__name__, self.weights)

    def build(self, out_dim: int, n_mels: int) -> PANNsEncoder:
        """Build the encoder, load its initial weights, and freeze what does not learn.

        Args:
            out_dim: E of the shared space.
            n_mels: F, bands of the run's front-end.
        Raises:
            ConfigError: the front-end has too few bands for this network.
            ArtefactError: `weights` is missing, broken, or made for another network.
        """
        try:
            encoder = self.encoder(out_dim, n_mels, self.base_channels, self.dropout, self.fc_dropout, self.pools)
        except ValueError as error:
            raise ConfigError(
                f"model.audio_encoder: {error} from data.front_end; take a front-end with more bands, "
                "or an encoder with fewer blocks"
            ) from error
        if self.weights is not None:
            self._load(encoder, self.weights)
        elif self.init != "xavier_uniform":
            initialise(encoder, self.init)
        encoder.freeze_layers(self.trainable, self.freeze_blocks, None if self.weights is None else str(self.weights))
        return encoder

    def _load(self, encoder: PANNsEncoder, path: Path) -> None:
        checkpoint = read_weights(path, self.repair())
        trained_with = checkpoint.notes.get("last_pool", "panns")
        # The opposite is allowed, since the baseline itself does so: PANNs' weights, and one more pooling.
        if trained_with == "dcase2023" and self.pools == self.encoder.pools:
            raise ArtefactError(
                f"{path}: trained with last_pool {trained_with}, model.audio_encoder.last_pool is panns, which gives "
                f"other embeddings; set model.audio_encoder.last_pool: {trained_with}"
            )
        load_exactly(encoder, checkpoint.state, path)
