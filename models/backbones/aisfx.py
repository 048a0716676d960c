"""aiSFX, a CNN for sound effects, from the package `aisfx`: log-mels in, 5.4 frames a second or a vector a clip out.

The package contains the weights; network and front-end are reimplemented here, so that none of its code is run.

Source: Ma and Lerch 2022, "Representation learning for the automatic indexing of sound effects libraries", ISMIR;
https://github.com/alisonbma/aisfx, release 0.1.2; weights under CC BY 4.0 (docs/credits.md).
"""

from __future__ import annotations

from typing import Self, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.backbones.base import WaveformBackbone
from utils.cli_utils import UserError
from utils.model_packages import packaged_weights
from utils.weight_utils import read_foreign

_Number = TypeVar("_Number", int, Tensor)

PACKAGE_NAME = "aisfx"
# What follows package:aisfx in the YAML -> how the blocks of a clip become its vector.
VARIANTS = {"": "mean and maximum", "mean": "mean", "max": "maximum"}

_RATE_HZ, _FFT_SIZE, _HOP_SAMPLES, _BANDS = 44_100, 2048, 1024, 96
_HIGHEST = 9.457798957824707  # log-mel of all sounds that the network was trained on
_BLOCK, _BLOCK_HOP = 100, 50  # log-mel frames: 2.3 s, overlapping by half
_STRIDE = 8  # log-mel frames a frame of the network
_FRAMES_AT_ONCE = 1600  # log-mel frames: the output of the first layer is then 40 MB


class _ConvBlock(nn.Module):
    """Two 3 x 3 convolutions, each with batch norm and ReLU, and max pooling."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(out_channels)

    def forward(self, maps: Tensor, pool: int) -> Tensor:
        """(B, C, T, F) -> (B, C', T // pool, F // pool)."""
        maps = F.relu_(self.bn1(self.conv1(maps)))
        maps = F.relu_(self.bn2(self.conv2(maps)))
        return F.max_pool2d(maps, pool)


class AisfxNetwork(nn.Module):
    """The convolutions of aiSFX, up to the pooling over time; names of weights are those of the package."""

    width = 512

    def __init__(self) -> None:
        super().__init__()
        self.conv_block1 = _ConvBlock(1, 64)
        self.conv_block2 = _ConvBlock(64, 128)
        self.conv_block3 = _ConvBlock(128, 256)
        self.conv_block4 = _ConvBlock(256, self.width)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # a third faster on a CPU

    def forward(self, log_mels: Tensor) -> Tensor:
        """Log-mels to frames.

        Args:
            log_mels: (B, T, F) float32, T at least 8.
        Returns:
            (B, T // 8, 512), the mean over frequency; of a block the package's embedding is its maximum over time.
        """
        maps = log_mels[:, None].contiguous(memory_format=torch.channels_last)
        for block, pool in zip(self.children(), (2, 2, 2, 1), strict=True):
            maps = block(maps, pool)
        return maps.mean(3).transpose(1, 2)


class AisfxBackbone(WaveformBackbone):
    """aiSFX on waveforms.

    A clip is scaled to peak 1. For its vector it is cut into blocks of 2.3 s that overlap by half, as in the package,
    and each block is embedded separately. Its frames come from one pass over the whole clip. The last block, and a
    clip shorter than a frame, are padded with silence.

    Args:
        network: with its weights.
        variant: one of `VARIANTS`.
    """

    sample_rate_hz = _RATE_HZ
    min_samples = 1
    max_samples = None
    width = AisfxNetwork.width
    filters: Tensor  # (F, bins)
    window: Tensor

    def __init__(self, network: AisfxNetwork, variant: str = "") -> None:
        super().__init__()
        self.network = network
        self._variant = variant
        self.vector_width = self.width if variant else 2 * self.width
        self.register_buffer("filters", _mel_filters(), persistent=False)
        self.register_buffer("window", torch.hann_window(_FFT_SIZE), persistent=False)

    @property
    def vector_pooling(self) -> str:
        """Describe how blocks are pooled into a clip's vector."""
        return f"{VARIANTS[self._variant]} over blocks of {_BLOCK * _HOP_SAMPLES / _RATE_HZ:.1f} s"

    def train(self, mode: bool = True) -> Self:
        """Set the mode; batch norm stays in eval mode in training too: batch statistics would include the padding."""
        super().train(mode)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
        return self

    def frame_count(self, samples: int) -> int:
        """Frames of a clip of so many samples."""
        return max(1, _log_mel_frames(samples) // _STRIDE)

    def frames(self, waves: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """See `WaveformBackbone.frames`; D is 512."""
        waves, lengths = self._checked(waves, lengths)
        log_mels = self.log_mel(waves, lengths)
        counts = self._frame_counts(lengths)
        result = log_mels.new_zeros(len(waves), int(counts.max()), self.width)
        frames = _log_mel_frames(lengths)
        # clips of one length together: the convolutions would see padding beyond a clip's end
        for length in frames.unique().tolist():
            rows = torch.nonzero(frames == length)[:, 0].to(waves.device)
            own = F.pad(log_mels[rows, :length], (0, 0, 0, max(0, _STRIDE - length)))
            found = torch.cat(list(self._in_portions(own)))
            result[rows, : found.shape[1]] = found.to(result.dtype)
        return result, counts

    def vectors(self, waves: Tensor, lengths: Tensor) -> Tensor:
        """Embed clips as wholes.

        Returns:
            (B, vector_width) float32: the mean, the maximum, or both one after the other, of the embeddings of a
            clip's blocks; not normalised.
        """
        waves, lengths = self._checked(waves, lengths)
        blocks, counts = _blocks(self.log_mel(waves, lengths), _log_mel_frames(lengths))
        embeddings = torch.cat([frames.amax(1) for frames in self._in_portions(blocks)]).float()  # (blocks, D)
        clips = embeddings.split(counts)
        pooled = []
        if self._variant in ("", "mean"):
            pooled.append(torch.stack([clip.mean(0) for clip in clips]))
        if self._variant in ("", "max"):
            pooled.append(torch.stack([clip.amax(0) for clip in clips]))
        return torch.cat(pooled, dim=1)

    def log_mel(self, waves: Tensor, lengths: Tensor) -> Tensor:
        """Compute the network's input.

        Args:
            waves: (B, S) float32, zero after each clip's end.
            lengths: (B,) int64 on the CPU, samples of each clip.
        Returns:
            (B, T, F) float32, T = 1 + S // 1024; 0 is silence, and the padding after a clip's end.
        """
        with torch.autocast(waves.device.type, enabled=False):
            peaks = waves.abs().amax(1, keepdim=True)
            waves = waves / torch.where(peaks > 0, peaks, 1.0)
            spectrum = torch.stft(
                waves, _FFT_SIZE, _HOP_SAMPLES, window=self.window, pad_mode="constant", return_complex=True
            )
            power = spectrum.real.square() + spectrum.imag.square()
            bands = (self.filters @ power).transpose(1, 2)
            log_mels = (1e4 * bands + 1).log10() / _HIGHEST
        # the last windows of a clip reach beyond its last frame
        beyond = torch.arange(log_mels.shape[1]) >= _log_mel_frames(lengths)[:, None]
        return log_mels.masked_fill(beyond.to(log_mels.device, non_blocking=True)[:, :, None], 0)

    def _in_portions(self, log_mels: Tensor) -> list[Tensor]:
        """The network's frames of log-mels of one length, (B, T, F), a few at a time."""
        return [self.network(portion) for portion in log_mels.split(max(1, _FRAMES_AT_ONCE // log_mels.shape[1]))]


def _log_mel_frames(samples: _Number) -> _Number:
    return 1 + samples // _HOP_SAMPLES


def _blocks(log_mels: Tensor, frames: Tensor) -> tuple[Tensor, list[int]]:
    """All blocks of all clips, (blocks, 100, F), and how many each clip has.

    The last block of a clip holds its end, and silence after it.
    """
    counts = [1 + max(0, -((_BLOCK - count) // _BLOCK_HOP)) for count in frames.tolist()]
    needed = _BLOCK + (max(counts) - 1) * _BLOCK_HOP
    padded = F.pad(log_mels, (0, 0, 0, max(0, needed - log_mels.shape[1])))
    blocks = padded.unfold(1, _BLOCK, _BLOCK_HOP).transpose(2, 3)  # (B, blocks, 100, F), a view
    own = torch.arange(blocks.shape[1]) < torch.tensor(counts)[:, None]
    return blocks[own.to(blocks.device)], counts


def _mel_filters() -> Tensor:
    """(F, bins) float32: HTK's scale, the weights of a band add up to 1."""
    import librosa

    filters = librosa.filters.mel(sr=_RATE_HZ, n_fft=_FFT_SIZE, n_mels=_BANDS, fmin=0, fmax=22_050, htk=True, norm=1)
    return torch.from_numpy(filters.astype("float32"))


def load_aisfx(variant: str, model: str, key: str, layers: int | None = None) -> AisfxBackbone:
    """Load aiSFX with the package's weights.

    Args:
        variant: what follows `package:aisfx:`.
        model: as the YAML names it, for messages.
        key: of the YAML, for messages.
        layers: must be None.
    Raises:
        UserError: another variant than there are, the package is missing or its weights are others, or a choice of
            layers.
    """
    if variant not in VARIANTS:
        choices = [f"package:{PACKAGE_NAME}", *(f"package:{PACKAGE_NAME}:{name}" for name in VARIANTS if name)]
        raise UserError(f"{key}: {model}: expected {', '.join(choices[:-1])} or {choices[-1]}")
    if layers is not None:
        raise UserError(f"{key.rpartition('.')[0]}.layers: {layers}, but aiSFX takes no choice of layers; remove it")
    path = packaged_weights(PACKAGE_NAME, key)
    prefix = "embedding_net."  # beside it the package has the classifiers of its training
    state = read_foreign(path, "install the package again").state
    network = AisfxNetwork()
    network.load_state_dict({name.removeprefix(prefix): state[name] for name in state if name.startswith(prefix)})
    return AisfxBackbone(network, variant).eval()
