"""Find and load pretrained networks: from a package, a folder, or a hub; completely, or with an error of one line.

No code from a file is run: weights are safetensors, or PyTorch files read with `weights_only=True`, and a model's own
Python is never loaded (`trust_remote_code=False`).
"""

from __future__ import annotations

import functools
import socket
import urllib.parse
import urllib.request
from collections.abc import Collection
from pathlib import Path
from pickle import UnpicklingError
from typing import TYPE_CHECKING, Any

from utils.cli_utils import UserError
from utils.cli_utils.repairs import make
from utils.gguf_models import GGUF_MODELS, converted_folder
from utils.model_packages import (
    MODEL_PACKAGES,
    packaged_digest,
    packaged_folder,
    packaged_weights,
    sha256,
    split_package,
)
from utils.pretrained_folders import check_folder, weight_files

if TYPE_CHECKING:
    import torch
    from transformers import PretrainedConfig, PreTrainedModel

_HUB_TIMEOUT_S = 5.0


def find_model(model: str, key: str) -> Path | str:
    """Return the folder of a model, or its name on a hub.

    Args:
        model: `package:NAME` (an installed package with the folder of a model), a folder, or a name on a hub.
        key: of the YAML, for messages.
    Raises:
        UserError: no such package or folder, a file, a folder without config.json or one that `check_folder` refuses,
            weights in a package that are not the known ones, or a package that cannot be converted.
    """
    if package := split_package(model):
        name, variant = package
        if variant:
            raise UserError(f"{key}: {model}: {name} has no variants; say package:{name}")
        return converted_folder(name, key) if name in GGUF_MODELS else packaged_folder(name, key)
    folder = Path(model).expanduser()
    if folder.is_dir():
        if not (folder / "modules.json").is_file() and not (folder / "config.json").is_file():
            raise UserError(f"{key}: {model}: the folder holds no config.json; name the folder of a pretrained model")
        check_folder(folder, model, key)
        return folder
    if folder.is_file():
        panns = f"; a CNN of PANNs becomes initial weights: {make('initial-weights', 'FILE')}" if "audio" in key else ""
        raise UserError(
            f"{key}: {model}: is a file, expected a folder or a name that a hub knows; name the folder that holds it "
            f"with its config.json{panns}"
        )
    if folder.is_absolute() or model.startswith((".", "~")) or model.count("/") > 1:  # a hub's names have one at most
        raise UserError(f"{key}: {model}: no such folder; correct {key}")
    return model


def local_only(source: Path | str) -> bool:
    """Return whether to load only from this machine: a folder, or, if the hub does not answer, the hub's cache."""
    return isinstance(source, Path) or not _hub_answers()


@functools.cache
def _hub_answers() -> bool:
    """Return whether the hub can be reached.

    Without this check, its library would retry each request for half a minute, with a warning for each.
    """
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        return False
    if urllib.request.getproxies():
        return True  # behind a proxy the hub's own address need not be reachable
    address = urllib.parse.urlsplit(constants.ENDPOINT)
    try:
        port = address.port or (443 if address.scheme == "https" else 80)
        socket.create_connection((str(address.hostname), port), timeout=_HUB_TIMEOUT_S).close()
    except OSError:
        print(f"{constants.ENDPOINT} does not answer: only models on this machine can be loaded", flush=True)
        return False
    return True


def read_config(model: str, key: str) -> PretrainedConfig:
    """Read the configuration of a transformers model; its `model_type` is the architecture.

    Raises:
        UserError: no such model, or its config.json cannot be used.
    """
    source = find_model(model, key)
    from transformers import AutoConfig

    try:
        return AutoConfig.from_pretrained(str(source), trust_remote_code=False, local_files_only=local_only(source))
    except _foreign_errors() as error:
        raise _cannot_be_loaded(model, key, error) from error


def _foreign_errors() -> tuple[type[Exception], ...]:
    """Return the errors of libraries on files of a model that are broken, incomplete or crafted."""
    from huggingface_hub.errors import StrictDataclassError
    from safetensors import SafetensorError

    values = (OSError, ValueError, TypeError, LookupError, AttributeError, ArithmeticError, AssertionError)
    return (*values, RuntimeError, ImportError, EOFError, MemoryError, SafetensorError, StrictDataclassError)


def check_type(config: PretrainedConfig, known: Collection[str], model: str, key: str) -> str:
    """Check that the model type is one of `known`, and return it.

    Raises:
        UserError: it is another; the message names both.
    """
    found = str(config.model_type)
    if found not in known:
        raise UserError(
            f"{key}: {model}: the model's type is {found}, expected {' or '.join(sorted(known))}; name another model"
        )
    return found


def load_pretrained(
    network: type[PreTrainedModel],
    model: str,
    key: str,
    may_be_missing: Collection[str] = (),
    config: PretrainedConfig | None = None,
    dtype: torch.dtype | None = None,
) -> Any:
    """Load a pretrained network in eval mode, on the CPU; every weight must be in its files.

    Args:
        network: a class of transformers with `from_pretrained`.
        model: see `find_model`.
        key: of the YAML, for messages.
        may_be_missing: names between the dots of keys that a checkpoint may lack.
        config: replaces the model's config.json.
        dtype: of the weights; None: float32.
    Raises:
        UserError: no such model, broken files, a configuration with more weights than the files can have, or weights
            that are missing, of another shape, or NaN.
    """
    source = find_model(model, key)
    import torch
    import transformers.utils.logging as transformers_logging

    transformers_logging.disable_progress_bar()
    level = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity_error()  # missing keys are reported below, in one line
    loader: Any = network
    try:
        if isinstance(source, Path):
            _check_size(loader, config, source, f"{key}: {model}")
        loaded, info = loader.from_pretrained(
            str(source),
            dtype=dtype or torch.float32,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # also reported below, in place of an error of many lines
            trust_remote_code=False,
            local_files_only=local_only(source),
            **({} if config is None else {"config": config}),
        )
    except UnpicklingError as error:  # its text advises to load with weights_only=False, which runs the code
        raise UserError(
            f"{key}: {model}: its weights are a pickle that is broken or could run code, which is refused; "
            "get them as model.safetensors"
        ) from error
    except _foreign_errors() as error:
        raise _cannot_be_loaded(model, key, error) from error
    finally:
        transformers_logging.set_verbosity(level)
    missing = sorted(name for name in info["missing_keys"] if set(may_be_missing).isdisjoint(name.split(".")))
    odd = missing + sorted(str(entry[0]) for entry in info["mismatched_keys"])
    if odd:
        what = "misses" if missing else "holds in another shape"
        more = f" and {len(odd) - 3} more" if len(odd) > 3 else ""
        raise UserError(
            f"{key}: {model}: the checkpoint {what} {len(odd)} weights of a {network.__name__}: "
            f"{', '.join(odd[:3])}{more}; name a complete {network.__name__}"
        )
    nan = [name for name, parameter in loaded.named_parameters() if not bool(parameter.isfinite().all())]
    if nan:
        raise UserError(f"{key}: {model}: the checkpoint holds NaN or infinite values in {nan[0]}; name another model")
    return loaded.eval()


def _check_size(network: Any, config: PretrainedConfig | None, folder: Path, start: str) -> None:
    """Compare the number of weights of a configuration with the size of the files, before memory is allocated.

    transformers builds the whole network first: a config.json with a huge width would fill the memory.
    """
    import torch

    with torch.device("meta"):
        built = getattr(network, "build", network)(config or network.config_class.from_pretrained(str(folder)))
    wanted = sum(parameter.numel() for parameter in built.parameters())
    held = sum(path.stat().st_size for path in weight_files(folder))
    if held and wanted > held:  # a weight takes at least one byte
        raise UserError(
            f"{start}: config.json describes a {network.__name__} of {wanted} weights, more than its files can hold "
            f"({held} bytes); take both from one model"
        )


def model_revision(model: str) -> str:
    """Return a string that changes with the weights of a model: their digest, or, for a model on a hub, its name."""
    if package := split_package(model):
        name, variant = package
        # what was converted is named after this digest, so that the package need not be hashed, or even there, any more
        known = MODEL_PACKAGES[name].sha256 if name in GGUF_MODELS else packaged_digest(packaged_weights(name, "model"))
        return ":".join(["sha256", known, *([variant] if variant else [])])
    path = Path(model).expanduser()
    if path.is_file():
        return "sha256:" + sha256(path)
    weights = [*sorted(path.rglob("*.safetensors")), *sorted(path.rglob("pytorch_model*.bin"))]
    weights = [file for file in weights if file.is_file()]  # reading a pipe would wait forever
    return "sha256:" + sha256(*weights) if weights else f"name:{model}"


def reason_of(error: Exception) -> str:
    """Return the first line of an error, or the name of its class."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def _cannot_be_loaded(model: str, key: str, error: Exception) -> UserError:
    return UserError(
        f"{key}: {model}: cannot be loaded: {reason_of(error)}; name a folder with config.json and weights, or a "
        "model that the hub can serve"
    )
