"""Captions as text and as tokens."""

from utils.text_utils.captions import normalise_caption
from utils.text_utils.tokens import Tokenizer, Tokens, load_tokenizer

__all__ = ["Tokenizer", "Tokens", "load_tokenizer", "normalise_caption"]
