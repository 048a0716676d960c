"""Which kind of text tower a model is."""

from __future__ import annotations

from pathlib import Path

from utils.cli_utils import UserError
from utils.pretrained_utils import PACKAGE, find_model, read_config
from utils.text_utils.clip_text import CLIP_TYPES, load_clip_tower
from utils.text_utils.sentence_encoders import SentenceTower, load_sentence_encoder
from utils.text_utils.tokens import load_tokenizer
from utils.text_utils.towers import KEY, TextTower


def load_text_tower(model: str, key: str = KEY) -> TextTower:
    """The frozen network that maps captions to vectors, on the GPU if there is one.

    Args:
        model: `package:NAME`, a folder, or a name that a hub knows; a CLIP, a sentence-transformers model, or any
            text network of transformers, whose vectors are then the mean over its tokens (a line says so).
        key: of the YAML, for messages.
    Raises:
        UserError: no such model, a partial one, or one that takes no text.
    """
    source = find_model(model, key)
    if model.startswith(PACKAGE) or (isinstance(source, Path) and (source / "modules.json").is_file()):
        return SentenceTower(load_sentence_encoder(model, key))
    from sentence_transformers.util import is_sentence_transformer_model

    try:
        config = read_config(model, key)
    except UserError:
        # at a hub, some models keep config.json in the folders of their modules
        if isinstance(source, Path) or not is_sentence_transformer_model(source):
            raise
        return SentenceTower(load_sentence_encoder(model, key))
    if config.model_type in CLIP_TYPES:
        return load_clip_tower(model, key)
    if isinstance(source, Path) or not is_sentence_transformer_model(source):
        vocabulary = getattr(config.get_text_config(), "vocab_size", 0)
        load_tokenizer(model, key, vocabulary, vocabulary)  # for its messages: it refuses what takes no text
        print(f"{model}: has no modules.json of sentence-transformers; a caption's vector is the mean over its tokens")
    return SentenceTower(load_sentence_encoder(model, key))
