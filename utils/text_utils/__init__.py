"""Captions to vectors and tokens."""

from utils.pretrained_utils import PACKAGED_WEIGHTS, model_revision
from utils.text_utils.caption_vectors import adopt_caption_vectors, write_caption_vectors
from utils.text_utils.captions import normalise_caption
from utils.text_utils.clip_text import load_clip_network, load_clip_tokenizer
from utils.text_utils.loading import load_text_tower
from utils.text_utils.sentence_encoders import load_sentence_encoder
from utils.text_utils.tokens import Tokenizer, Tokens, load_tokenizer
from utils.text_utils.towers import TextTower, encode_captions

__all__ = [
    "PACKAGED_WEIGHTS",
    "TextTower",
    "Tokenizer",
    "Tokens",
    "adopt_caption_vectors",
    "encode_captions",
    "load_clip_network",
    "load_clip_tokenizer",
    "load_sentence_encoder",
    "load_text_tower",
    "load_tokenizer",
    "model_revision",
    "normalise_caption",
    "write_caption_vectors",
]
