"""Checks of the folder of a pretrained model from any source, before a library opens it.

Refused, in one line each: configurations with quantisation, another attention implementation, or more layers than any
model has; adapters; modules and shards outside the folder; weights that are not regular files, or whose pickles import
more than tensors need. Code in a folder is never run: every library is called with `trust_remote_code=False`.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path, PurePath
from typing import Any

from utils.cli_utils import ArtefactError, UserError
from utils.config_utils import read_json
from utils.weight_utils import check_file, check_names

_INDEXES = ("model.safetensors.index.json", "pytorch_model.bin.index.json")
_WEIGHTS = ("*.safetensors", "pytorch_model*.bin")
_ATTENTION = ("attn_implementation", "_attn_implementation", "_attn_implementation_internal")
_PLAIN_ATTENTION = (None, "eager", "sdpa")
# The modules of sentence-transformers that map a text to one vector.
_MODULES = frozenset(
    {
        *("Transformer", "Pooling", "Normalize", "Dense", "Dropout", "LayerNorm", "WeightedLayerPooling", "Router"),
        *("StaticEmbedding", "WordEmbeddings", "BoW", "CNN", "LSTM", "WordWeights"),
    }
)
_MAX_LAYERS = 1000
_MAX_LABELS = 10**6  # transformers makes a string for each
_MAX_SIZE = 2**28  # largest other integer: vocabularies reach 10^6, positions 10^7


def weight_files(folder: Path) -> list[Path]:
    """List the files of weights in a folder."""
    return sorted(path for pattern in _WEIGHTS for path in folder.glob(pattern))


def check_folder(folder: Path, model: str, key: str) -> None:
    """Check the folder of a pretrained model, and the folders of its modules.

    Args:
        folder: of transformers or of sentence-transformers.
        model: the value in the YAML, for messages.
        key: of the YAML, for messages.
    Raises:
        UserError: the folder has something that the head of this file lists.
    """
    start = f"{key}: {model}"
    # Twice for the folder itself: its modules.json must be a regular file before it is read.
    _check_files(folder, start)
    folders = [folder, *_module_folders(folder, start)]
    for checked in folders:
        _check_files(checked, start)
        if (checked / "adapter_config.json").exists():
            raise UserError(f"{start}: holds an adapter, not a whole model; merge it into its base model")
        if (checked / "config.json").is_file():
            _check_config(_read(checked / "config.json", start), start)
        if (checked / "tokenizer.json").is_file():
            _check_tokenizer(checked / "tokenizer.json", start)
        for name in _INDEXES:
            if (checked / name).is_file():
                _check_shards(checked, _read(checked / name, start), f"{start}: {name}")
        for path in weight_files(checked):
            _check_weights(path, start)


def _check_files(folder: Path, start: str) -> None:
    """Refuse pipes and devices: a reader of a pipe waits forever, and a device such as /dev/zero never ends."""
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if path.exists() and not path.is_file() and not path.is_dir():
            raise UserError(f"{start}: {path.name} is a pipe, a socket or a device; get the model's files again")


def _read(path: Path, start: str) -> dict[str, Any]:
    try:
        content = read_json(path)
    except (ValueError, OSError) as error:
        raise UserError(f"{start}: cannot be loaded: {path.name}: {error}; get the model's files again") from error
    if not isinstance(content, dict):
        raise UserError(f"{start}: cannot be loaded: {path.name} holds no keys and values; get the model's files again")
    return content


def _module_folders(folder: Path, start: str) -> Iterator[Path]:
    """Yield the folders of the modules of a sentence-transformers model."""
    path = folder / "modules.json"
    if not path.is_file():
        return
    try:
        modules = read_json(path)
        entries = [(str(module.get("type", "")), str(module["path"])) for module in modules]
        if len(entries) > _MAX_LAYERS:
            raise ValueError(f"names {len(entries)} modules, expected at most {_MAX_LAYERS}")
    except (ValueError, TypeError, KeyError, AttributeError, OSError) as error:
        raise UserError(f"{start}: cannot be loaded: modules.json: {error}; get the model's files again") from error
    for kind, part in entries:
        if kind and not kind.startswith("sentence_transformers."):
            raise UserError(f"{start}: modules.json names the code {kind}, which is not run; name another model")
        if kind and kind.rpartition(".")[2] not in _MODULES:
            raise UserError(f"{start}: modules.json names {kind}, which embeds no text; name another model")
        if not _is_inside(part):
            raise UserError(f"{start}: modules.json names {part}, outside the folder; get the model's files again")
        if part:
            yield folder / part


def _check_config(config: dict[str, Any], start: str) -> None:
    if config.get("quantization_config"):
        raise UserError(f"{start}: its weights are quantised (quantization_config); name the model in full precision")
    for name in _ATTENTION:
        if config.get(name) not in _PLAIN_ATTENTION:
            raise UserError(
                f"{start}: config.json sets {name} to {config[name]!r}, expected sdpa or eager; remove the key"
            )
    if config.get("chunk_size_feed_forward"):
        raise UserError(
            f"{start}: config.json sets chunk_size_feed_forward, which fails on most lengths of a text; remove the key"
        )
    for name, value in _numbers(config):
        limit = _MAX_LAYERS if "layers" in name or "depth" in name else _MAX_SIZE
        if name == "num_labels":
            limit = _MAX_LABELS
        if abs(value) > limit:
            found = f"{name} to {value}, expected at most {limit}"
            raise UserError(f"{start}: config.json sets {found}; name another model")


def _check_tokenizer(path: Path, start: str) -> None:
    """Refuse a broken character map: the tokenizers library aborts the whole process on it, without an exception."""
    try:
        content = json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        return  # the library raises an error of its own on a file that is not JSON
    unchecked = [content.get("normalizer")] if isinstance(content, dict) else []
    while unchecked:
        value = unchecked.pop()
        if isinstance(value, list):
            unchecked += value
        elif isinstance(value, dict):
            if "precompiled_charsmap" in value and not _is_charsmap(value["precompiled_charsmap"]):
                raise UserError(f"{start}: tokenizer.json holds a broken precompiled_charsmap; get the file again")
            unchecked += value.values()


def _is_charsmap(text: object) -> bool:
    """Return whether a text is base64 of the size of a trie, the trie in units of four bytes, and UTF-8 strings."""
    try:
        table = base64.b64decode(str(text), validate=True)
        size = int.from_bytes(table[:4], "little")
        table[4 + size :].decode()
    except ValueError:
        return False
    return 0 < size <= len(table) - 4 and size % 4 == 0


def _numbers(value: object, name: str = "") -> Iterator[tuple[str, int]]:
    """Yield the key and the value of all integers in a configuration; of a list of depths its length."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _numbers(inner, str(key))
    elif isinstance(value, list):
        yield name, len(value) if "depth" in name else 0
        for inner in value:
            yield from _numbers(inner, name)
    elif isinstance(value, int) and not isinstance(value, bool):
        yield name, value


def _check_shards(folder: Path, index: dict[str, Any], start: str) -> None:
    shards = index.get("weight_map")
    if not isinstance(shards, dict) or not all(isinstance(shard, str) for shard in shards.values()):
        raise UserError(f"{start}: has no weight_map from weights to files; get the model's files again")
    for shard in sorted(set(shards.values())):
        if PurePath(shard).name != shard or shard in ("", ".."):
            raise UserError(f"{start}: names {shard}, outside the folder; get the model's files again")
        if not (folder / shard).is_file():
            raise UserError(f"{start}: names {shard}, which is missing; get the model's files again")


def _check_weights(path: Path, start: str) -> None:
    from safetensors import SafetensorError, safe_open

    try:
        check_file(path, "get the model's files again")
        if path.suffix == ".bin":
            check_names(path, "get them as model.safetensors")
        else:
            with safe_open(path, framework="pt"):  # reads the header, and checks the file's length against it
                pass
    except ArtefactError as error:
        raise UserError(f"{start}: cannot be loaded: {error}") from error
    except SafetensorError as error:
        raise UserError(
            f"{start}: cannot be loaded: {path.name}: {error}; name a folder with config.json and whole weights"
        ) from error


def _is_inside(part: str) -> bool:
    return not PurePath(part).is_absolute() and ".." not in PurePath(part).parts
