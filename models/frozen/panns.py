"""The project's own PANNs encoders as frozen networks on waveforms: log-mels in front, no last layer behind."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from models.audio_encoders.panns import PANNsEncoder
from models.audio_encoders.panns_front_ends import check_front_end
from models.audio_encoders.panns_published import read_published
from models.backbones.base import WaveformBackbone
from models.exported import read_exported
from utils.audio_utils import FrontEnd, log_mel
from utils.cli_utils import UserError
from utils.cli_utils.repairs import make


class PANNsBackbone(WaveformBackbone):
    """Log-mels of a front-end, and a PANNs network up to its penultimate layer.

    Args:
        encoder: the network.
        front_end: what it was trained on.

    Raises:
        ValueError: another number of bands than the network has.
    """

    min_samples = 1
    max_samples = None

    def __init__(self, encoder: PANNsEncoder, front_end: FrontEnd) -> None:
        super().__init__()
        if encoder.n_mels != front_end.n_mels:
            raise ValueError(f"made for {encoder.n_mels} mel bands, the front-end has {front_end.n_mels}")
        self.encoder = encoder
        self.front_end = front_end
        self.sample_rate_hz = front_end.sample_rate_hz
        self.width = self.vector_width = encoder.embed_dim

    @property
    def vector_pooling(self) -> str:
        """Describe how frames are pooled into a clip's vector."""
        return "maximum plus mean over frames, then PANNs' embedding layer"

    def frame_count(self, samples: int) -> int:
        """Frames of the last block for a clip of so many samples."""
        return max(1, (1 + samples // self.front_end.hop_samples) // self.encoder.stride)

    def frames(self, waves: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """The last block's output, averaged over frequency; see `WaveformBackbone.frames`."""
        return self.encoder.frames(*self._log_mels(waves, lengths))

    def vectors(self, waves: Tensor, lengths: Tensor) -> Tensor:
        """(B, vector_width): the penultimate layer, PANNs' embedding."""
        return self.encoder.embed(*self._log_mels(waves, lengths))

    def _log_mels(self, waves: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """(B, T, F) on the device of the waves, padded with the floor, and the frames of each clip."""
        waves, lengths = self._checked(waves, lengths)
        clips = [
            torch.from_numpy(log_mel(wave[:length], self.front_end))
            for wave, length in zip(waves.cpu().numpy(), lengths.tolist(), strict=True)
        ]
        padded = torch.nn.utils.rnn.pad_sequence(clips, batch_first=True, padding_value=self.front_end.floor)
        return padded.to(waves.device), torch.tensor([len(clip) for clip in clips])


_WEIGHTS = (".pth", ".pt", ".ckpt", ".safetensors", ".bin")


def panns_files(model: str) -> list[Path]:
    """List the files of a PANNs encoder: audio_encoder.json with its .pth, or weights alone; empty for other models."""
    path = Path(model).expanduser()
    if path.suffix == ".json":
        return [path, path.with_suffix(".pth")]
    return [path] if path.suffix == ".pth" or (path.suffix in _WEIGHTS and not path.is_dir()) else []


def load_panns(model: str, key: str, front_end: FrontEnd) -> PANNsBackbone:
    """Load a PANNs encoder in evaluation mode, on the CPU.

    Args:
        model: audio_encoder.json of an exported encoder, or weights of PANNs' CNNs, published or converted.
        key: of the YAML, for messages.
        front_end: the input of weights alone; an audio_encoder.json has its own.
    Raises:
        UserError: a file is missing, broken, or of another network, or the front-end has other bands.
    """
    path, *weights = panns_files(model)
    try:
        if weights:
            exported = read_exported(path, f"write it again: {make('exported-encoder')}")
            return PANNsBackbone(exported.encoder, exported.front_end).eval()
        return _weights_alone(path, front_end)
    except UserError as error:
        raise type(error)(f"{key}: {error}") from error
    except ValueError as error:  # too few bands, or others than the front-end has
        raise UserError(f"{key}: {path}: {error}; correct data.front_end") from error


def _weights_alone(path: Path, front_end: FrontEnd) -> PANNsBackbone:
    published = read_published(path, None, f"write one: {make('initial-weights')}")
    check_front_end(published, front_end, "name other weights")
    if "fc1.weight" not in published.state:
        raise UserError(f"{path}: holds no embedding layer fc1; train with it: model.audio_encoder.weights")
    return PANNsBackbone(published.build(published.out_dim or 1), front_end).eval()
