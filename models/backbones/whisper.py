"""Whisper's encoder: log-mel of a window of 30 s in, 50 frames a second out.

Source: Radford et al. 2022, "Whisper"; transformers, models/whisper.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.backbones.base import WaveformBackbone
from models.backbones.extractors import check_bands, read_extractor
from models.backbones.layers import keep_layers
from utils.cli_utils import UserError
from utils.pretrained_utils import load_pretrained, read_config

if TYPE_CHECKING:
    from transformers import WhisperFeatureExtractor
    from transformers.models.whisper.modeling_whisper import WhisperEncoder


class WhisperBackbone(WaveformBackbone):
    """Whisper's encoder.

    It takes no padding mask: each clip is padded with silence to the whole window, as in its training, and the frames
    of the silence are cut off from the output.

    Args:
        network: the encoder of a WhisperModel.
        extractor: the settings of its log-mel; dither is ignored, since it is random.
    """

    min_samples = 1
    max_samples: int
    filters: Tensor  # (F, bins)
    window: Tensor

    def __init__(self, network: WhisperEncoder, extractor: WhisperFeatureExtractor) -> None:
        super().__init__()
        self.network = network
        self.width = self.vector_width = network.config.d_model
        self.sample_rate_hz, self.max_samples = extractor.sampling_rate, extractor.n_samples
        self.n_fft, self.hop_samples = extractor.n_fft, extractor.hop_length
        self._samples_per_frame = self.hop_samples * network.conv1.stride[0] * network.conv2.stride[0]
        filters = torch.as_tensor(extractor.mel_filters, dtype=torch.float32).T.contiguous()
        self.register_buffer("filters", filters, persistent=False)
        self.register_buffer("window", torch.hann_window(self.n_fft), persistent=False)

    @property
    def layers(self) -> Sequence[nn.Module]:
        """The transformer layers."""
        return list(self.network.layers)

    def frame_count(self, samples: int) -> int:
        """Return the number of frames, the last one rounded up, of a clip of so many samples."""
        return -(-samples // self._samples_per_frame)

    def frames(self, waves: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Compute the encoder's output; D is its width; see `WaveformBackbone.frames`."""
        waves, lengths = self._checked(waves, lengths)
        counts = self._frame_counts(lengths)
        hidden = self.network(self.log_mel(waves)).last_hidden_state
        return hidden[:, : int(counts.max())], counts

    def log_mel(self, waves: Tensor) -> Tensor:
        """Compute Whisper's log-mel of the whole window.

        Args:
            waves: (B, S) float32, zero in the padding, S at most `max_samples`.
        Returns:
            (B, F, frames of the window) float32.
        Source: transformers, WhisperFeatureExtractor._torch_extract_fbank_features.
        """
        with torch.autocast(waves.device.type, enabled=False):
            waves = F.pad(waves.float(), (0, self.max_samples - waves.shape[1]))
            spectrum = torch.stft(waves, self.n_fft, self.hop_samples, window=self.window, return_complex=True)
            power = spectrum[..., :-1].abs().square().contiguous()
            bands = (self.filters @ power).clamp(min=1e-10).log10()
            bands = torch.maximum(bands, bands.amax((1, 2), keepdim=True) - 8.0)
            return (bands + 4.0) / 4.0


def load_whisper(model: str, key: str, layers: int | None = None) -> WhisperBackbone:
    """Load the encoder of a Whisper from a folder or hub; the folder may hold only the encoder.

    Args:
        model: see `find_model`.
        key: of the YAML, for messages.
        layers: keep the first so many layers (and the last normalisation).
    Raises:
        UserError: see `load_pretrained`; or more layers than there are; or a preprocessor_config.json for another
            model.
    """
    from transformers import WhisperFeatureExtractor, WhisperForAudioClassification, WhisperModel
    from transformers.models.whisper.modeling_whisper import WhisperEncoder

    # The keys of a whole Whisper and of its encoder have other prefixes: each class finds only its own.
    saved_as = read_config(model, key).architectures or ()
    if "WhisperEncoder" in saved_as:
        network = load_pretrained(WhisperEncoder, model, key)
    elif "WhisperForAudioClassification" in saved_as:
        network = load_pretrained(WhisperForAudioClassification, model, key).encoder
    else:
        network = load_pretrained(WhisperModel, model, key).encoder
    bands = network.config.num_mel_bins
    extractor = read_extractor(WhisperFeatureExtractor, model, key, absent={"feature_size": bands})
    check_bands(extractor.feature_size, bands, model, key)
    expected = network.config.max_source_positions * network.conv1.stride[0] * network.conv2.stride[0]
    if extractor.nb_max_frames != expected:
        raise UserError(
            f"{key}: {model}: preprocessor_config.json gives {extractor.nb_max_frames} frames, config.json wants "
            f"{expected}; take both files from one model"
        )
    network.layers = keep_layers(network.layers, layers, model, key)
    return WhisperBackbone(network, extractor)
