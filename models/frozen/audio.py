"""Frozen audio encoders behind one interface: waveforms in, one vector or the frames of each clip out."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
import torch

from models.backbones import load_backbone
from models.backbones.base import WaveformBackbone
from models.frozen.base import Array, FrozenEncoder
from models.frozen.hold import freeze
from models.frozen.panns import PANNsBackbone, load_panns, panns_files
from utils.artefact_utils import front_end_mark, input_text
from utils.audio_utils import FrontEnd
from utils.cli_utils import UserError
from utils.data_utils import window_edges
from utils.model_packages import sha256
from utils.model_utils import autocast
from utils.model_utils.devices import Precision, precision_on
from utils.pretrained_utils import model_revision

AUDIO_MODEL_KEY = "data.audio_embeddings.model"


class _Window(NamedTuple):
    """A window of a clip, in samples."""

    clip: int
    start: int
    stop: int


class FrozenAudioEncoder(FrozenEncoder[Array]):
    """A frozen network, applied to clips of any length.

    A clip longer than `max_samples` is cut into windows, as few as possible and of nearly equal length: its vector is
    the mean over all its frames, its frames are those of the windows, one after the other. The same clip gives the
    same output at every call and in any batch.

    Attributes:
        frame_width: D of the frames; `width` is that of the vectors.
        sample_rate_hz: of its input waveforms.
        min_samples: the shortest clip that gives a frame.
        max_samples: of a window.
        device: that it runs on.
        precision: of its forward pass.

    Args:
        name: as the YAML names it.
        backbone: the network; it is frozen in place.
        max_duration_s: the longest window, where the network sets no shorter limit.
        device: where to compute.
        precision: in mixed precision on a GPU; a CPU computes in fp32.
    """

    def __init__(
        self, name: str, backbone: WaveformBackbone, max_duration_s: float, device: torch.device, precision: Precision
    ) -> None:
        super().__init__(name, backbone.vector_width)
        freeze(backbone)
        self._backbone = backbone.to(device)
        self.frame_width = backbone.width
        self.device = device
        self.precision = precision_on(device, precision)
        self.sample_rate_hz = backbone.sample_rate_hz
        self.min_samples = backbone.min_samples
        longest = max(round(max_duration_s * backbone.sample_rate_hz), 2 * backbone.min_samples)
        self.max_samples = min(backbone.max_samples or longest, longest)
        self._bound: Literal["", "limit", "least"] = ""
        if self.max_samples == backbone.max_samples:
            self._bound = "limit"
        elif self.max_samples > round(max_duration_s * backbone.sample_rate_hz):
            self._bound = "least"

    @functools.cached_property
    def revision(self) -> str:
        """A digest of the weights; it changes when a model of the same name does."""
        return audio_revision(self.name)

    def frame_count(self, samples: int) -> int:
        """Frames of a clip of so many samples."""
        edges = window_edges(max(samples, self.min_samples), self.max_samples)
        return sum(self._backbone.frame_count(stop - start) for start, stop in itertools.pairwise(edges))

    def describe_input(self) -> str:
        """Describe the network's input: sample rate and longest window, and the log-mels of a PANNs network."""
        front_end = ""
        if isinstance(self._backbone, PANNsBackbone):
            numbers = self._backbone.front_end.model_dump(mode="json", exclude={"name"})
            front_end = f"{self._backbone.front_end.describe()} {front_end_mark(numbers)}"
        return input_text(self.sample_rate_hz, self.max_samples, self._bound, front_end)

    def pooling(self, frames: bool) -> str:
        """Describe how frames are pooled into what `embed` returns."""
        return "none" if frames else self._backbone.vector_pooling

    def vectors(self, items: Sequence[Array]) -> Array:
        """(n, width) of clips; see `embed`."""
        return np.stack(self.embed(items)) if items else np.zeros((0, self.width), np.float32)

    def frames(self, items: Sequence[Array]) -> list[Array]:
        """Of each clip (T, frame_width); see `embed`."""
        return self.embed(items, frames=True)

    @torch.inference_mode()
    def embed(self, waves: Sequence[Array], frames: bool = False, batch_size: int = 16) -> list[Array]:
        """Embed clips.

        Args:
            waves: each (S,) float32 at `sample_rate_hz`, full scale is +-1, `min_samples` or more.
            frames: return the frames of each clip, not one vector.
            batch_size: windows in a batch; windows of similar length are batched together.
        Returns:
            Of each clip (D,) float32, or (T, D).
        Raises:
            ValueError: a clip is too short.
        """
        windows = [
            _Window(clip, start, stop)
            for clip, wave in enumerate(waves)
            for start, stop in itertools.pairwise(window_edges(len(wave), self.max_samples))
        ]
        order = sorted(range(len(windows)), key=lambda number: windows[number].start - windows[number].stop)
        outputs: list[Array] = [np.empty(0, np.float32)] * len(windows)
        for first in range(0, len(order), batch_size):
            numbers = order[first : first + batch_size]
            cut = [waves[windows[n].clip][windows[n].start : windows[n].stop] for n in numbers]
            for number, output in zip(numbers, self._embed_windows(cut, frames), strict=True):
                outputs[number] = output
        return [
            self._joined([(windows[n], outputs[n]) for n in numbers], frames)
            for _, numbers in itertools.groupby(range(len(windows)), key=lambda number: windows[number].clip)
        ]

    def _embed_windows(self, waves: Sequence[Array], frames: bool) -> list[Array]:
        lengths = torch.tensor([len(wave) for wave in waves])
        batch = torch.zeros(len(waves), int(lengths.max()))
        for row, wave in zip(batch, waves, strict=True):
            row[: len(wave)] = torch.from_numpy(wave)
        batch = batch.to(self.device)
        with autocast(self.device, self.precision):
            if frames:
                values, counts = self._backbone.frames(batch, lengths)
                table = values.float().cpu().numpy()
                return [row[:count] for row, count in zip(table, counts.tolist(), strict=True)]
            return list(self._backbone.vectors(batch, lengths).float().cpu().numpy())

    def _joined(self, windows: Sequence[tuple[_Window, Array]], frames: bool) -> Array:
        """Combine the outputs of a clip's windows."""
        outputs = [output for _, output in windows]
        if len(outputs) == 1:
            return outputs[0]
        if frames:
            return np.concatenate(outputs)
        # by frames, so that the result is the mean over all frames of the clip, as for a clip of one window
        weights = [self._backbone.frame_count(window.stop - window.start) for window, _ in windows]
        return np.average(outputs, axis=0, weights=weights).astype(np.float32)


def load_frozen_audio(
    model: str,
    layers: int | None,
    front_end: FrontEnd,
    max_duration_s: float,
    device: torch.device | None = None,
    precision: Precision = "fp32",
) -> FrozenAudioEncoder:
    """Load a pretrained or trained audio encoder, frozen.

    Args:
        model: a hub's name or a folder of wav2vec 2.0, HuBERT, Whisper or CLAP; `package:aisfx`; audio_encoder.json
            of an exported encoder; or weights of PANNs' CNNs, published or converted.
        layers: use only the first n transformer layers; None: all.
        front_end: of the run; the input of a .pth, which names none.
        max_duration_s: the longest window, where the network sets no shorter limit.
        device: where to compute; None: the CPU.
        precision: on a GPU.
    Raises:
        UserError: no such model, one of another type, or broken files.
    """
    if not panns_files(model):
        backbone = load_backbone(model, AUDIO_MODEL_KEY, layers)
    elif layers is not None:
        raise UserError(f"data.audio_embeddings.layers: {layers}, but {model} has no transformer layers; remove layers")
    else:
        backbone = load_panns(model, AUDIO_MODEL_KEY, front_end)
    return FrozenAudioEncoder(model, backbone, max_duration_s, device or torch.device("cpu"), precision)


def audio_revision(model: str) -> str:
    """Digest the weights of an audio encoder; it changes when a model of the same name does."""
    files = panns_files(model)
    return "sha256:" + sha256(*files) if files else model_revision(model)
