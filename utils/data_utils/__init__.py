"""Datasets, samplers and batches."""

from utils.data_utils.captioned_clips import (
    AudioBatches,
    Batch,
    CaptionedClips,
    TrainLoader,
    Window,
    audio_loader,
    window_edges,
)
from utils.data_utils.sampling import PairBatch, PairSampler, SamplingSpec
from utils.data_utils.spec import DataSpec, SplitsSpec, TextEmbeddingsSpec

__all__ = [
    "AudioBatches",
    "Batch",
    "CaptionedClips",
    "DataSpec",
    "PairBatch",
    "PairSampler",
    "SamplingSpec",
    "SplitsSpec",
    "TextEmbeddingsSpec",
    "TrainLoader",
    "Window",
    "audio_loader",
    "window_edges",
]
