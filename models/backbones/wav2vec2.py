"""wav2vec 2.0 and HuBERT: a convolutional feature encoder on samples, then a transformer; 50 frames a second.

Source: Baevski et al. 2020, "wav2vec 2.0"; Hsu et al. 2021, "HuBERT"; transformers, models/wav2vec2 and models/hubert.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
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
    """wav2vec 2.0 or HuBERT, without an adapter if the model has one.

    Models whose first convolution is followed by group normalisation, such as wav2vec2-base, normalise over the whole
    clip, padding included, and were trained without a mask. Here their convolutions see clips of equal length
    together and clips of other lengths apart, and the transformer is masked: each clip comes out as if it were alone.

    In training mode SpecAugment, layer drop and dropout act as the model's configuration says.

    Args:
        network: the model.
        normalise: bring each clip to mean 0 and variance 1 over its own samples.
        sample_rate_hz: of the waves.
    """

    max_samples = None

    def __init__(self, network: Wav2Vec2Model | HubertModel, normalise: bool, sample_rate_hz: int) -> None:
        super().__init__()
        config = network.config
        self.network: Any = network  # mypy takes the two models' parts for others than they are
        self.normalise, self.sample_rate_hz = normalise, sample_rate_hz
        self.width = self.vector_width = config.hidden_size
        self._convolutions = list(zip(config.conv_kernel, config.conv_stride, strict=True))
        self._norm_spans_clip = config.feat_extract_norm == "group"
        samples = 1
        for kernel, stride in reversed(self._convolutions):
            samples = (samples - 1) * stride + kernel
        self.min_samples = samples

    @property
    def feature_encoder(self) -> nn.Module:
        """The convolutions."""
        return self.network.feature_extractor

    def frame_count(self, samples: int) -> int:
        """Frames of a clip of so many samples; 0 below the receptive field."""
        for kernel, stride in self._convolutions:
            samples = max((samples - kernel) // stride + 1, 0)
        return samples

    def frames(self, waves: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """See `WaveformBackbone.frames`; D is the transformer's width."""
        waves, lengths = self._checked(waves, lengths)
        counts = self._frame_counts(lengths)
        if self.normalise:
            waves = _standardised(waves, lengths)
        hidden = self.network.feature_projection(self._convolved(waves, lengths, int(counts.max())))
        hidden = hidden[0] if isinstance(hidden, tuple) else hidden  # wav2vec 2.0 also returns what it projected
        own = inside(counts, hidden.shape[1])
        if self.training and hidden.shape[1] >= self.network.config.mask_time_length:
            hidden = self.network._mask_hidden_states(hidden, attention_mask=own)
        mask = None if bool(own.all()) else own.to(hidden.device, non_blocking=True)
        return self.network.encoder(hidden, attention_mask=mask).last_hidden_state, counts

    def _convolved(self, waves: Tensor, lengths: Tensor, n_frames: int) -> Tensor:
        """(B, T, C) features of samples."""
        if not self._norm_spans_clip:  # frames inside a clip see its own samples alone
            return self.network.feature_extractor(waves).transpose(1, 2)
        parts, order = [], []
        for length in lengths.unique().tolist():
            rows = (lengths == length).nonzero()[:, 0]
            clips = waves.index_select(0, rows.to(waves.device, non_blocking=True))[:, :length]
            features = self.network.feature_extractor(clips).transpose(1, 2)
            parts.append(F.pad(features, (0, 0, 0, n_frames - features.shape[1])))
            order.append(rows)
        back = torch.cat(order).argsort().to(waves.device, non_blocking=True)
        return torch.cat(parts).index_select(0, back)


def load_speech(model: str, key: str, layers: int | None = None) -> SpeechBackbone:
    """A wav2vec 2.0 or HuBERT from a folder or hub.

    Waves are standardised where preprocessor_config.json says `do_normalize`, and, as Wav2Vec2FeatureExtractor does,
    where the file or the key is absent.

    Args:
        model: see `find_model`.
        key: of the YAML, for messages.
        layers: keep the first so many transformer layers, and the last normalisation where the model has one.
    Raises:
        UserError: see `load_pretrained`; or more layers than there are; or batch normalisation of positions, which
            lets padding through.
    """
    config = read_config(model, key)
    if getattr(config, "conv_pos_batch_norm", False):
        raise UserError(f"{key}: {model}: conv_pos_batch_norm is true, which padding would disturb; name another model")
    from transformers import HubertModel, Wav2Vec2FeatureExtractor, Wav2Vec2Model

    kind = HubertModel if config.model_type == "hubert" else Wav2Vec2Model
    extractor = read_extractor(Wav2Vec2FeatureExtractor, model, key)
    network = load_pretrained(kind, model, key, may_be_missing=("masked_spec_embed",))
    network.encoder.layers = keep_layers(network.encoder.layers, layers, model, key)
    return SpeechBackbone(network, extractor.do_normalize, extractor.sampling_rate)


def _standardised(waves: Tensor, lengths: Tensor) -> Tensor:
    """Mean 0 and variance 1 over each clip's own samples, zeros after them; silence stays zero.

    Source: transformers, Wav2Vec2FeatureExtractor.zero_mean_unit_var_norm.
    """
    own = inside(lengths, waves.shape[1]).to(waves.device, non_blocking=True)
    counts = lengths.to(waves.device, non_blocking=True)[:, None]
    centred = (waves - waves.sum(1, keepdim=True) / counts).masked_fill(~own, 0)
    variance = centred.square().sum(1, keepdim=True) / counts
    return centred / (variance + 1e-7).sqrt()
