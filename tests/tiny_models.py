"""Tiny random networks, saved as transformers saves its own; no downloads, each in well under a second.

Each function writes one folder that the real loading code reads: config.json, model.safetensors, and the files of the
feature extractor or tokenizer. Their weights are larger than transformers' initial ones, so that outputs differ by
far more than rounding.
"""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import torch

from tests.tiny import WORDS

if TYPE_CHECKING:
    from transformers import PreTrainedModel

WIDTH = 16
LETTERS = "abcdefghijklmnopqrstuvwxyz"
SPEECH = {
    "hidden_size": WIDTH,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "conv_dim": (8, 8, 8),
    "conv_stride": (5, 4, 4),
    "conv_kernel": (10, 4, 4),
    "num_conv_pos_embeddings": 8,
    "num_conv_pos_embedding_groups": 2,
    "initializer_range": 0.2,
}


def write_wav2vec2(folder: Path, norm: Literal["group", "layer"] = "group", seed: int = 0, **settings: object) -> Path:
    """A wav2vec 2.0 at 16 kHz of two layers, a frame for each 80 samples, the shortest clip 85 samples.

    Args:
        folder: to be made.
        norm: of the convolutions; "layer" also takes the layers that normalise first, as the large models do.
        seed: of the weights.
        settings: further ones of Wav2Vec2Config.
    """
    from transformers import Wav2Vec2Config, Wav2Vec2FeatureExtractor, Wav2Vec2Model

    large = norm == "layer"
    config = Wav2Vec2Config(
        **SPEECH | {"feat_extract_norm": norm, "do_stable_layer_norm": large, "conv_bias": large} | settings
    )
    _save(Wav2Vec2Model, config, folder, seed)
    Wav2Vec2FeatureExtractor(return_attention_mask=large).save_pretrained(folder)
    return folder


def write_hubert(folder: Path, norm: Literal["group", "layer"] = "group", seed: int = 0, **settings: object) -> Path:
    """A HuBERT of the same size as `write_wav2vec2`."""
    from transformers import HubertConfig, HubertModel, Wav2Vec2FeatureExtractor

    large = norm == "layer"
    config = HubertConfig(
        **SPEECH | {"feat_extract_norm": norm, "do_stable_layer_norm": large, "conv_bias": large} | settings
    )
    _save(HubertModel, config, folder, seed)
    Wav2Vec2FeatureExtractor(return_attention_mask=large).save_pretrained(folder)
    return folder


def write_whisper(folder: Path, seed: int = 0, seconds: int = 30, **settings: object) -> Path:
    """A whole Whisper at 16 kHz, encoder of two layers; a window of 30 s as in the real ones unless told otherwise."""
    from transformers import WhisperConfig, WhisperFeatureExtractor, WhisperModel

    small = {
        "vocab_size": 20,
        "d_model": WIDTH,
        "encoder_layers": 2,
        "decoder_layers": 1,
        "encoder_attention_heads": 2,
        "decoder_attention_heads": 2,
        "encoder_ffn_dim": 32,
        "decoder_ffn_dim": 32,
        "max_source_positions": 50 * seconds,
        "max_target_positions": 8,
        "num_mel_bins": 80,
        "init_std": 0.2,
        "pad_token_id": 0,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "decoder_start_token_id": 3,
    }
    config = WhisperConfig(**small | settings)
    _save(WhisperModel, config, folder, seed)
    WhisperFeatureExtractor(feature_size=config.num_mel_bins, chunk_length=seconds).save_pretrained(folder)
    return folder


def write_clap(folder: Path, fusion: bool = False, seed: int = 0) -> Path:
    """A whole CLAP at 48 kHz, two stages of one Swin layer; `fusion`: the kind that also takes longer clips."""
    from transformers import ClapConfig, ClapFeatureExtractor, ClapModel

    audio = {
        "patch_embeds_hidden_size": 8,
        "hidden_size": WIDTH,
        "depths": [1, 1],
        "num_attention_heads": [1, 2],
        "num_hidden_layers": 2,
        "enable_fusion": fusion,
        "aff_block_r": 2,
    }
    text = {
        "vocab_size": 20,
        "hidden_size": WIDTH,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 32,
        "max_position_embeddings": 20,
    }
    config = ClapConfig(audio_config=audio, text_config=text, projection_dim=WIDTH, initializer_factor=5.0)
    _save(ClapModel, config, folder, seed)
    ClapFeatureExtractor(truncation="fusion" if fusion else "rand_trunc").save_pretrained(folder)
    return folder


def write_clip(folder: Path, legacy_eos: bool = False, seed: int = 0) -> Path:
    """A whole CLIP with a byte-pair tokenizer that knows `tests.tiny.WORDS` and spells other words; 77 positions.

    Args:
        folder: to be made.
        legacy_eos: say `eos_token_id: 2` in the configuration, as the checkpoints of OpenAI do.
        seed: of the weights.
    """
    from transformers import CLIPConfig, CLIPModel, CLIPTokenizer

    vocabulary, merges = _byte_pairs()
    begin, end = vocabulary["<|startoftext|>"], vocabulary["<|endoftext|>"]
    text = {
        "vocab_size": len(vocabulary),
        "hidden_size": WIDTH,
        "intermediate_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "max_position_embeddings": 77,
        "projection_dim": 12,
        "bos_token_id": 0 if legacy_eos else begin,
        "eos_token_id": 2 if legacy_eos else end,
        "initializer_factor": 3.0,
    }
    vision = {
        "hidden_size": WIDTH,
        "intermediate_size": 32,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "image_size": 32,
        "patch_size": 16,
    }
    config = CLIPConfig(text_config=text, vision_config=vision, projection_dim=12)
    _save(CLIPModel, config, folder, seed)
    CLIPTokenizer(vocab=vocabulary, merges=merges, model_max_length=77).save_pretrained(folder)
    return folder


VISION = {
    "hidden_size": WIDTH,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "image_size": 32,
    "patch_size": 8,
}


def write_clip_vision(folder: Path, projected: bool = True, seed: int = 0, **settings: object) -> Path:
    """The vision network of a CLIP: pictures of 32 x 32, 16 patches, two layers.

    Args:
        folder: to be made.
        projected: with the projection to 12 dimensions.
        seed: of the weights.
        settings: further ones of CLIPVisionConfig.
    """
    from transformers import CLIPVisionConfig, CLIPVisionModel, CLIPVisionModelWithProjection
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    config = CLIPVisionConfig(**VISION | {"projection_dim": 12, "initializer_factor": 3.0} | settings)
    _save(CLIPVisionModelWithProjection if projected else CLIPVisionModel, config, folder, seed)
    side = config.image_size
    sizes = {"size": {"shortest_edge": side}, "crop_size": {"height": side, "width": side}}
    CLIPImageProcessorPil(**sizes).save_pretrained(folder)
    return folder


def write_siglip_vision(folder: Path, seed: int = 0) -> Path:
    """The vision network of a SigLIP, of the size of `write_clip_vision`."""
    from transformers import SiglipVisionConfig, SiglipVisionModel
    from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

    _save(SiglipVisionModel, SiglipVisionConfig(**VISION), folder, seed)
    SiglipImageProcessorPil(size={"height": 32, "width": 32}).save_pretrained(folder)
    return folder


def write_dinov2(folder: Path, seed: int = 0) -> Path:
    """A DINOv2 of the size of `write_clip_vision`, whose pictures are cut out of larger ones."""
    from transformers import Dinov2Config, Dinov2Model
    from transformers.models.bit.image_processing_pil_bit import BitImageProcessorPil

    _save(Dinov2Model, Dinov2Config(**VISION | {"image_size": 48, "initializer_range": 0.2}), folder, seed)
    sizes = {"size": {"shortest_edge": 40}, "crop_size": {"height": 32, "width": 32}}
    BitImageProcessorPil(**sizes).save_pretrained(folder)
    return folder


def write_bert(folder: Path, seed: int = 0, positions: int = 64) -> Path:
    """A BERT of two layers with a tokenizer that knows `tests.tiny.WORDS` and spells other words."""
    from transformers import BertConfig, BertModel, BertTokenizer

    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS, *LETTERS, *(f"##{letter}" for letter in LETTERS)]
    vocabulary = {piece: number for number, piece in enumerate(dict.fromkeys(pieces))}
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=WIDTH,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=positions,
        initializer_range=0.2,
    )
    _save(BertModel, config, folder, seed)
    BertTokenizer(vocab=vocabulary, model_max_length=positions).save_pretrained(folder)
    return folder


def _save(network: type[PreTrainedModel], config: object, folder: Path, seed: int) -> None:
    import transformers.utils.logging as transformers_logging

    transformers_logging.disable_progress_bar()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network(config).save_pretrained(folder)


def _byte_pairs() -> tuple[dict[str, int], list[tuple[str, str]]]:
    """A vocabulary of letters, and the merges that make each of WORDS one token; the end token has the highest id."""
    merges: dict[tuple[str, str], None] = {}
    for word in WORDS:
        first, *others = [*word[:-1], f"{word[-1]}</w>"]
        for done, piece in zip(itertools.accumulate([first, *others]), others, strict=False):
            merges[done, piece] = None
    pieces = [*LETTERS, *(f"{letter}</w>" for letter in LETTERS), *(f"{left}{right}" for left, right in merges)]
    pieces += ["<|startoftext|>", "<|endoftext|>"]
    return {piece: number for number, piece in enumerate(dict.fromkeys(pieces))}, list(merges)
