"""Load a frozen text encoder of the right kind: a CLIP, or a sentence encoder."""

from __future__ import annotations

from pathlib import Path

import torch

from models.frozen.clip_text import CLIP_TYPES, load_frozen_clip
from models.frozen.sentences import FrozenSentenceEncoder, load_sentence_encoder
from models.frozen.text import TEXT_MODEL_KEY, FrozenTextEncoder
from utils.cli_utils import UserError
from utils.model_packages import split_package
from utils.pretrained_utils import find_model, local_only, read_config
from utils.text_utils.tokens import load_tokenizer


def load_frozen_text(model: str, key: str = TEXT_MODEL_KEY, device: torch.device | None = None) -> FrozenTextEncoder:
    """Load the frozen network that maps captions to vectors.

    Args:
        model: `package:NAME`, a folder, or a name that a hub knows; a CLIP, a sentence-transformers model, or any
            text network of transformers, whose vectors are then the mean over its tokens (a line says so).
        key: of the YAML, for messages.
        device: to run on; None: the GPU if there is one.
    Raises:
        UserError: no such model, a partial one, or one that takes no text.
    """
    source = find_model(model, key)
    if split_package(model) or (isinstance(source, Path) and (source / "modules.json").is_file()):
        return FrozenSentenceEncoder(model, load_sentence_encoder(model, key, device))
    try:
        config = read_config(model, key)
    except UserError:
        # on a hub, some sentence models have config.json only in the folders of their modules
        if not _is_sentence_model(source):
            raise
        return FrozenSentenceEncoder(model, load_sentence_encoder(model, key, device))
    if config.model_type in CLIP_TYPES:
        return load_frozen_clip(model, key, device)
    if not _is_sentence_model(source):
        vocabulary = getattr(config.get_text_config(), "vocab_size", 0)
        load_tokenizer(model, key, vocabulary, vocabulary)  # for its messages: it refuses what takes no text
        print(f"{model}: has no modules.json of sentence-transformers; a caption's vector is the mean over its tokens")
    return FrozenSentenceEncoder(model, load_sentence_encoder(model, key, device))


def _is_sentence_model(source: Path | str) -> bool:
    """Whether a model at a hub has the files of sentence-transformers."""
    from sentence_transformers.util import is_sentence_transformer_model

    if isinstance(source, Path):
        return False  # its modules.json was looked for
    return is_sentence_transformer_model(source, local_files_only=local_only(source))
