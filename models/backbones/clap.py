"""CLAP's audio encoder: log-mel of a window of 10 s in, 32 frames or one projected embedding out.

Source: Wu et al. 2023, "Large-scale contrastive language-audio pretraining"; transformers, models/clap.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from models.backbones.base import WaveformBackbone
from models.backbones.extractors import check_bands, read_extractor
from utils.cli_utils import UserError
from utils.pretrained_utils import load_pretrained, read_config

if TYPE_CHECKING:
    from transformers import ClapAudioModel, ClapAudioModelWithProjection, ClapFeatureExtractor


class ClapBackbone(WaveformBackbone):
    """CLAP's audio encoder, with its projection if the model has one.

    As in CLAP, a clip shorter than the window is repeated as often as it fits whole, and padded with zeros. Longer
    clips are refused: CLAP takes a random crop, so that a clip would get another embedding at every call.

    Args:
        network: the audio encoder.
        extractor: the settings of its log-mel.
    """

    min_samples = 1
    max_samples: int
    filters: Tensor  # (F, bins)
    window: Tensor

    def __init__(self, network: ClapAudioModelWithProjection | ClapAudioModel, extractor: ClapFeatureExtractor) -> None:
        super().__init__()
        audio: Any = getattr(network, "audio_model", network)
        encoder = audio.audio_encoder
        self.network = network
        self.projected = audio is not network
        self.width = encoder.num_features
        self.vector_width = network.config.projection_dim if self.projected else encoder.num_features
        self.sample_rate_hz, self.max_samples = extractor.sampling_rate, int(extractor.nb_max_samples)
        self.n_fft, self.hop_samples, self.padding = extractor.fft_window_size, extractor.hop_length, extractor.padding
        self.fusion = bool(network.config.enable_fusion)
        rows = encoder.spec_size // encoder.patch_stride[1] // 2 ** (encoder.num_layers - 1)
        self._window_frames = rows * encoder.freq_ratio
        filters = extractor.mel_filters if extractor.truncation == "fusion" else extractor.mel_filters_slaney
        # float64: in float32 the rounding errors of loud bands exceed quiet bands, by 10 dB and more above CLAP's floor
        self.register_buffer("filters", torch.as_tensor(filters, dtype=torch.float64).T.contiguous(), persistent=False)
        self.register_buffer("window", torch.hann_window(self.n_fft, dtype=torch.float64), persistent=False)

    @property
    def vector_pooling(self) -> str:
        """How frames are pooled to a vector."""
        return "projected embedding" if self.projected else "pooled output, without a projection"

    def frame_count(self, samples: int) -> int:
        """Return the number of frames, the last one rounded up, of the first repetition of a clip."""
        return -(-samples * self._window_frames // self.max_samples)

    def frames(self, waves: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Compute the mean over frequency of the last hidden state; see `WaveformBackbone.frames`."""
        waves, lengths = self._checked(waves, lengths)
        counts = self._frame_counts(lengths)
        hidden = self._run(waves, lengths).last_hidden_state  # (B, D, frequencies, frames of the window)
        return hidden.mean(2).transpose(1, 2)[:, : int(counts.max())], counts

    def vectors(self, waves: Tensor, lengths: Tensor) -> Tensor:
        """Compute CLAP's embedding of each clip, in the space that it shares with CLAP's texts.

        These are the `audio_embeds` of ClapAudioModelWithProjection, not normalised; `ClapModel.get_audio_features`
        gives the same, normalised to length 1. Without a projection it is the `pooler_output` of ClapAudioModel.

        Args:
            waves: see `frames`.
            lengths: see `frames`.
        Returns:
            (B, vector_width) float32.
        Raises:
            ValueError: see `frames`.
        """
        output = self._run(*self._checked(waves, lengths))
        return (output.audio_embeds if self.projected else output.pooler_output).float()

    def log_mel(self, waves: Tensor, lengths: Tensor) -> Tensor:
        """Compute CLAP's log-mel of the whole window.

        On the device of the waves, since ClapFeatureExtractor works with numpy, clip by clip.

        Args:
            waves: (B, S) float32, zero in the padding, S at most `max_samples`.
            lengths: (B,) int64 on the CPU.
        Returns:
            (B, T, F) float32, decibels.
        Source: transformers, ClapFeatureExtractor._get_input_mel.
        """
        with torch.autocast(waves.device.type, enabled=False):
            window = self._filled(waves, lengths).double()
            spectrum = torch.stft(window, self.n_fft, self.hop_samples, window=self.window, return_complex=True)
            bands = self.filters @ (spectrum.real.square() + spectrum.imag.square())
            return (10 * bands.clamp(min=1e-10).log10()).float().transpose(1, 2)

    def _filled(self, waves: Tensor, lengths: Tensor) -> Tensor:
        """Fill the window: (B, max_samples), each clip repeated as the extractor's `padding` says, then zeros."""
        position = torch.arange(self.max_samples, device=waves.device)
        counts = lengths.to(waves.device, non_blocking=True)[:, None]
        window = waves.gather(1, position % counts)
        if self.padding == "repeat":
            return window
        repeats = self.max_samples // counts if self.padding == "repeatpad" else 1
        return window.masked_fill(position >= repeats * counts, 0)

    def _run(self, waves: Tensor, lengths: Tensor) -> Any:
        features = self.log_mel(waves, lengths)[:, None]  # (B, 1, T, F)
        if not self.fusion:
            return self.network(features)
        # A fused model takes four views. As in the extractor, those of a clip that fits in the window are equal, and
        # with `is_longer` False the network uses the first one.
        longer = torch.zeros(len(features), 1, dtype=torch.bool, device=features.device)
        return self.network(features.expand(-1, 4, -1, -1), is_longer=longer)


def load_clap(model: str, key: str, layers: int | None = None) -> ClapBackbone:
    """Load the audio encoder of a CLAP from a folder or hub; the folder may hold only the encoder.

    Settings of the log-mel that preprocessor_config.json does not contain are ClapFeatureExtractor's defaults. If there
    is no such file, the mel filters are those of CLAP's fused or unfused models, as config.json says.

    Args:
        model: see `find_model`.
        key: of the YAML, for messages.
        layers: must be None: each stage halves the frames, and the projection only fits the last one.
    Raises:
        UserError: see `load_pretrained`; or `layers`; or a preprocessor_config.json for another model.
    """
    if layers is not None:
        raise UserError(f"{key.rpartition('.')[0]}.layers: {layers}, but CLAP takes no choice of layers; set null")
    from transformers import ClapAudioModel, ClapAudioModelWithProjection, ClapFeatureExtractor

    alone = "ClapAudioModel" in (read_config(model, key).architectures or ())
    network = load_pretrained(ClapAudioModel if alone else ClapAudioModelWithProjection, model, key)
    kind = "fusion" if network.config.enable_fusion else "rand_trunc"
    extractor = read_extractor(ClapFeatureExtractor, model, key, absent={"truncation": kind})
    check_bands(extractor.feature_size, network.config.num_mel_bins, model, key)
    return ClapBackbone(network, extractor)
