"""Datasets, samplers and batches."""

from utils.data_utils.audio_clips import AudioClips, AudioInput, Batch
from utils.data_utils.captioned_clips import CaptionedClips, Inputs, Tables, read_tables
from utils.data_utils.clip_features import (
    ClipFeatures,
    FrameFeatures,
    LogMelFeatures,
    VectorFeatures,
    WaveFeatures,
    WaveNeeds,
)
from utils.data_utils.duplicates import describe_tables
from utils.data_utils.loading import AudioBatches, TrainLoader, audio_loader
from utils.data_utils.products import making, say_what_is_there
from utils.data_utils.repairs import Repairs
from utils.data_utils.sampling import ClipBatch, ClipSampler, PairBatch, PairSampler, SamplingSpec
from utils.data_utils.spec import (
    AudioDataSpec,
    AudioEmbeddingsSpec,
    CaptionDataSpec,
    DataSpec,
    SplitsSpec,
    TextEmbeddingsSpec,
)
from utils.data_utils.text_features import TextFeatures, TokenTexts, VectorTexts
from utils.data_utils.windows import Windows, window_edges

__all__ = [
    "AudioBatches",
    "AudioClips",
    "AudioDataSpec",
    "AudioEmbeddingsSpec",
    "AudioInput",
    "Batch",
    "CaptionDataSpec",
    "CaptionedClips",
    "ClipBatch",
    "ClipFeatures",
    "ClipSampler",
    "DataSpec",
    "FrameFeatures",
    "Inputs",
    "LogMelFeatures",
    "PairBatch",
    "PairSampler",
    "Repairs",
    "SamplingSpec",
    "SplitsSpec",
    "Tables",
    "TextEmbeddingsSpec",
    "TextFeatures",
    "TokenTexts",
    "TrainLoader",
    "VectorFeatures",
    "VectorTexts",
    "WaveFeatures",
    "WaveNeeds",
    "Windows",
    "audio_loader",
    "describe_tables",
    "making",
    "read_tables",
    "say_what_is_there",
    "window_edges",
]
