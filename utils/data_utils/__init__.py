"""Datasets, samplers and batches."""

from utils.data_utils.audio_stores import ArrayStore, AudioStore, LogMelStore, VectorStore, WaveNeeds, WaveStore
from utils.data_utils.captioned_clips import (
    AudioInput,
    Batch,
    CaptionedClips,
    Inputs,
    Tables,
    Windows,
    read_tables,
    window_edges,
)
from utils.data_utils.duplicates import describe_tables
from utils.data_utils.loading import AudioBatches, TrainLoader, audio_loader
from utils.data_utils.products import making
from utils.data_utils.sampling import PairBatch, PairSampler, SamplingSpec
from utils.data_utils.spec import AudioEmbeddingsSpec, DataSpec, SplitsSpec, TextEmbeddingsSpec
from utils.data_utils.text_stores import TextStore, TokenTexts, VectorTexts

__all__ = [
    "ArrayStore",
    "AudioBatches",
    "AudioEmbeddingsSpec",
    "AudioInput",
    "AudioStore",
    "Batch",
    "CaptionedClips",
    "DataSpec",
    "Inputs",
    "LogMelStore",
    "PairBatch",
    "PairSampler",
    "SamplingSpec",
    "SplitsSpec",
    "Tables",
    "TextEmbeddingsSpec",
    "TextStore",
    "TokenTexts",
    "TrainLoader",
    "VectorStore",
    "VectorTexts",
    "WaveNeeds",
    "WaveStore",
    "Windows",
    "audio_loader",
    "describe_tables",
    "making",
    "read_tables",
    "window_edges",
]
