"""Datasets, samplers and batches."""

from utils.data_utils.audio_clips import AudioClips, AudioInput, Batch
from utils.data_utils.captioned_clips import CaptionedClips, Inputs, Tables, read_tables
from utils.data_utils.captioned_frames import CaptionedFrames, FramesData
from utils.data_utils.clip_features import (
    ClipFeatures,
    VectorFeatures,
    WaveFeatures,
    WaveNeeds,
)
from utils.data_utils.duplicates import describe_tables
from utils.data_utils.image_spec import ImageDataSpec, ImageEmbeddingsSpec
from utils.data_utils.labelled_spec import LabelledDataSpec
from utils.data_utils.loading import AudioBatches, TrainLoader, audio_loader
from utils.data_utils.music_spec import MusicDataSpec
from utils.data_utils.products import making, say_what_is_there
from utils.data_utils.sampling import ClipBatch, PairBatch, PairSampler, SamplingSpec
from utils.data_utils.spec import (
    AudioDataSpec,
    CaptionDataSpec,
    DataSpec,
    SplitsSpec,
    TextEmbeddingsSpec,
)
from utils.data_utils.text_features import TextFeatures, TokenTexts, VectorTexts
from utils.data_utils.windows import window_edges

__all__ = [
    "AudioBatches",
    "AudioClips",
    "AudioDataSpec",
    "AudioInput",
    "Batch",
    "CaptionDataSpec",
    "CaptionedClips",
    "CaptionedFrames",
    "ClipBatch",
    "ClipFeatures",
    "DataSpec",
    "FramesData",
    "ImageDataSpec",
    "ImageEmbeddingsSpec",
    "Inputs",
    "LabelledDataSpec",
    "MusicDataSpec",
    "PairBatch",
    "PairSampler",
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
    "audio_loader",
    "describe_tables",
    "making",
    "read_tables",
    "say_what_is_there",
    "window_edges",
]
