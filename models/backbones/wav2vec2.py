"""wav2vec 2.0 and HuBERT: a convolutional feature encoder on samples, then a transformer; 50 frames a second.

Source: Baevski et al. 2020, "wav2vec 2.0"; Hsu et al. 2021, "HuBERT"; transformers, models/wav2vec2 and models/hubert.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn

from models.backbones.base import WaveformBackbone
from models.backbones.extractors import read_extractor
from models.backbones.layers import keep_layers
from models.pooling import inside
from utils.cli_utils import UserError
from utils.pretrained_utils import load_pretrained, read_config

if TYPE_CHECKING:
    from transformers import HubertModel, Wav2Vec2Model


class SpeechBackbone(WaveformBackbone):
    """wav2vec 2.0 or HuBERT; an adapter is ignored.

    Models with group normalisation after the first convolution, such as wav2vec2-base, normalise over the whole clip,
    padding included, and were trained without a mask. Here that normalisation counts a clip's own frames alone, and the
    transformer gets a padding mask: a clip has the same output alone and in any batch.

    In training mode SpecAugment, layer drop and dropout are those of the model's configuration.

    Args:
        network: the model.
        normalise: standardise each clip to mean 0 and variance 1 over its own samples.
        sample_rate_hz: of the waves.
    """

    max_samples = None

    def __init__(self, network: Wav2Vec2Model | HubertModel, normalise: bool, sample_rate_hz: int) -> None:
        super().__init__()
        config = network.config
        self.network: Any = network  # Any: mypy infers wrong types of the submodules
        self.normalise, self.sample_rate_hz = normalise, sample_rate_hz
        self.width = self.vector_width = config.hidden_size
        self._convolutions = list(zip(config.conv_kernel, config.conv_stride, strict=True))
        self._normalised = _group_norm
        self._norm_spans_clip = config.feat_extract_norm == "group"
        samples = 1
        for kernel, stride in reversed(self._convolutions):
            samples = (samples - 1) * stride + kernel
        self.min_samples = samples

    @property
    def feature_encoder(self) -> nn.Module:
        """The convolutions."""
        return self.network.feature_extractor

    @property
    def layers(self) -> Sequence[nn.Module]:
        """The transformer layers."""
        return list(self.network.encoder.layers)

    def frame_count(self, samples: int) -> int:
        """Return the number of frames of a clip of so many samples; 0 below the receptive field."""
        for kernel, stride in self._convolutions:
            samples = max((samples - kernel) // stride + 1, 0)
        return samples

    def frames(self, waves: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Compute the transformer's output; D is its width; see `WaveformBackbone.frames`."""
        waves, lengths = self._checked(waves, lengths)
        counts = self._frame_counts(lengths)
        if self.normalise:
            waves = _standardised(waves, lengths)
        hidden = self.network.feature_projection(self._convolved(waves, lengths))
        hidden = hidden[0] if isinstance(hidden, tuple) else hidden  # wav2vec 2.0 also returns the projection's input
        own = inside(counts, hidden.shape[1])
        # SpecAugment raises an error on batches shorter than one of its masks.
        if self.training and hidden.shape[1] >= self.network.config.mask_time_length:
            hidden = self.network._mask_hidden_states(hidden, self._masked_frames(own))
        mask = None if bool(own.all()) else own.to(hidden.device, non_blocking=True)
        return self.network.encoder(hidden, attention_mask=mask).last_hidden_state, counts

    def compile(self, *args: Any, **kwargs: Any) -> None:
        """Compile the transformer's layers and the normalisation, with the arguments of `torch.compile`, in place.

        One graph serves all layers, and batches of any length. The convolutions are torch's own in any case.
        """
        options = {"dynamic": True, **kwargs}
        for layer in self.layers:
            # not `layer.compile`, which takes hooks into the graph, and those of `layer_frames` are of a single batch
            layer.forward = torch.compile(layer.forward, *args, **options)
        self._normalised = torch.compile(_group_norm, *args, **options)

    def _masked_frames(self, own: Tensor) -> Tensor | None:
        """Draw which of the clips' own frames (B, T) SpecAugment masks: (B, T) bool on the CPU; None: no frames.

        The network would draw the same, but put the mask on the device, where taking the masked frames waits for it.
        """
        from transformers.models.wav2vec2.modeling_wav2vec2 import _compute_mask_indices

        config = self.network.config
        if not config.apply_spec_augment or config.mask_time_prob <= 0:
            return None
        probability, length, least = config.mask_time_prob, config.mask_time_length, config.mask_time_min_masks
        shape, mask = (own.shape[0], own.shape[1]), cast(torch.LongTensor, own.long())
        drawn = _compute_mask_indices(shape, probability, length, mask, least)
        return torch.from_numpy(drawn)

    def _convolved(self, waves: Tensor, lengths: Tensor) -> Tensor:
        """Run the feature encoder: (B, S) waves to (B, T, C)."""
        # Elsewhere a clip's own frames depend only on its own samples.
        if not self._norm_spans_clip or bool((lengths == waves.shape[1]).all()):
            return self.network.feature_extractor(waves).transpose(1, 2)
        first, *others = self.network.feature_extractor.conv_layers
        kernel, stride = self._convolutions[0]
        counts = ((lengths - kernel) // stride + 1).to(waves.device, non_blocking=True)
        hidden = first.activation(self._normalised(first.layer_norm, first.conv(waves[:, None]), counts))
        for layer in others:
            hidden = layer(hidden)
        return hidden.transpose(1, 2)


def _group_norm(norm: nn.GroupNorm, frames: Tensor, counts: Tensor) -> Tensor:
    """Normalise each channel over each clip's own frames.

    Args:
        norm: with a group for every channel.
        frames: (B, C, T).
        counts: (B,) int64 on the same device, own frames of each clip.
    Returns:
        (B, C, T), float32 or float64; any finite number in the padding.
    """
    own = torch.arange(frames.shape[2], device=frames.device) < counts[:, None, None]
    frames = frames.to(torch.promote_types(frames.dtype, torch.float32)).masked_fill(~own, 0)
    # torch's statistics of all frames, of which the padding is 0, give those of the own ones, in fewer passes over
    # memory than a formula with a mask
    share = frames.shape[2] / counts[:, None, None].to(frames.dtype)
    variance, mean = torch.var_mean(frames, 2, correction=0, keepdim=True)
    own_mean = share * mean
    own_variance = (share * (variance + mean.square()) - own_mean.square()).clamp(min=0)
    scale = norm.weight[:, None] * (own_variance + norm.eps).rsqrt()
    return torch.addcmul(norm.bias[:, None] - own_mean * scale, frames, scale)


def load_speech(model: str, key: str, layers: int | None = None) -> SpeechBackbone:
    """Load a wav2vec 2.0 or HuBERT from a folder or hub.

    Waves are standardised unless `do_normalize` in preprocessor_config.json is false, as in Wav2Vec2FeatureExtractor.

    Args:
        model: see `find_model`.
        key: of the YAML, for messages.
        layers: keep the first so many transformer layers (and the last normalisation if the model has one).
    Raises:
        UserError: see `load_pretrained`; or more layers than there are; or batch normalisation of positions, whose
            output depends on padding.
    """
    config = read_config(model, key)
    if getattr(config, "conv_pos_batch_norm", False):
        raise UserError(f"{key}: {model}: conv_pos_batch_norm is true, which depends on padding; name another model")
    from transformers import HubertModel, Wav2Vec2FeatureExtractor, Wav2Vec2Model

    kind = HubertModel if config.model_type == "hubert" else Wav2Vec2Model
    extractor = read_extractor(Wav2Vec2FeatureExtractor, model, key)
    network = load_pretrained(kind, model, key, may_be_missing=("masked_spec_embed",))
    network.encoder.layers = keep_layers(network.encoder.layers, layers, model, key)
    return SpeechBackbone(network, extractor.do_normalize, extractor.sampling_rate)


def _standardised(waves: Tensor, lengths: Tensor) -> Tensor:
    """Standardise each clip over its own samples; padding is set to zero, and silence stays zero.

    Source: transformers, Wav2Vec2FeatureExtractor.zero_mean_unit_var_norm.
    """
    own = inside(lengths, waves.shape[1]).to(waves.device, non_blocking=True)
    counts = lengths.to(waves.device, non_blocking=True)[:, None]
    centred = (waves - waves.sum(1, keepdim=True) / counts).masked_fill(~own, 0)
    variance = centred.square().sum(1, keepdim=True) / counts
    return centred / (variance + 1e-7).sqrt()
