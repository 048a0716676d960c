"""Files of tensors that anyone may have made: named for what they are, bounded by their size, and never run.

PyTorch files are read with `weights_only=True`, safetensors by their own library. What stands beside the tensors of a
published checkpoint, such as the numpy arrays of a sampler, is passed over: numpy never builds it, since a crafted
dtype of numpy's makes pointers of the bytes of a file.
"""

from __future__ import annotations

import contextlib
import errno
import pickletools
import re
import struct
import zipfile
from collections.abc import Iterator
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, BinaryIO

import torch
from torch import Tensor

from utils.artefact_utils.files import check_is_file
from utils.cli_utils import ArtefactError, printable, shortened

# What torch.load raises on bytes that are no checkpoint, or only part of one.
_BROKEN = (
    RuntimeError,
    UnpicklingError,
    EOFError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    AssertionError,
    ArithmeticError,
    NotImplementedError,
    MemoryError,
    struct.error,
)
# What a file is whose first bytes these are, and what to do about it.
_SIGNATURES = (
    (b"version https://git-lfs", "a Git LFS pointer, not the weights themselves; run `git lfs pull` where it lies"),
    (b"<!doctype html", "an HTML page, not weights: a link that answered with a page; download the file itself"),
    (b"<html", "an HTML page, not weights: a link that answered with a page; download the file itself"),
    (b"\x89HDF\r\n", "an HDF5 file, not weights of PyTorch"),
    (b"\x1f\x8b", "a gzip archive; unpack it first"),
)
_LEGACY_PICKLES = 5  # magic number, protocol, machine, the object, keys of storages
_PICKLE_BYTES = 1 << 28  # of the description of tensors in a zip file
_INSTRUCTIONS = 10_000_000  # of one pickle: a few seconds; a state dict of 10 000 tensors has 400 000

# The names that a file of tensors may hold, by module. Narrower than what torch.load takes: a bytearray or an empty
# tensor of any size would take memory that no byte of the file vouches for.
_NAMES = {
    "builtins": {"set", "complex"},
    "collections": {"OrderedDict", "Counter"},
    "torch._utils": {
        "_rebuild_tensor",
        "_rebuild_tensor_v2",
        "_rebuild_tensor_v3",
        "_rebuild_parameter",
        "_rebuild_parameter_with_state",
    },
    "torch.nn.parameter": {"Parameter"},
    "torch.storage": {"UntypedStorage", "TypedStorage"},
    "_codecs": {"encode"},  # how protocol 2 spells bytes
    "numpy": {"ndarray", "dtype"},
}
_NAMES_OF_TORCH = re.compile(r"(\w+Storage|Size|device|b?float\d+\w*|u?int\d+|bool|complex\d+)$")
_NUMPY_FUNCTIONS = [
    f"numpy.{core}.multiarray.{name}" for core in ("core", "_core") for name in ("_reconstruct", "scalar")
]


class _RefusedError(ValueError):
    """A file that is whole, and holds what a file of weights must not; the text goes on from "refused: it "."""


class _PassedOver:
    """Stands for a part of numpy that a file describes; swallows the description."""

    def __init__(self, *parts: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        pass


class _PassedOverDtype(_PassedOver):
    """The same for a dtype: booleans, numbers, strings and times alone."""

    def __init__(self, *parts: Any) -> None:
        kind = parts[0].decode("ascii", "replace") if parts and isinstance(parts[0], bytes) else parts and parts[0]
        if not isinstance(kind, str) or not re.fullmatch(r"[<>=|]?[?biufcSUMm]\d*", kind):
            raise _RefusedError(f"holds a numpy array of type {kind!r}")


_PASSED_OVER = [
    (_PassedOver, "numpy.ndarray"),
    (_PassedOverDtype, "numpy.dtype"),
    *((_PassedOver, name) for name in _NUMPY_FUNCTIONS),
]


def check_file(path: Path, repair: str) -> None:
    """Make sure that a file of weights can be opened, and is no file of another kind.

    Args:
        path: the file.
        repair: what to do about a bad one, for messages.
    Raises:
        ArtefactError: no such file; a folder, pipe or device; an empty file, a Git LFS pointer, an HTML page ...
        OSError: the disk or its permissions refuse.
    """
    check_is_file(path, repair)
    with path.open("rb") as stream:  # a disk that refuses is no broken file: resume must not take an older one for it
        head = stream.read(512)
    if not head:
        raise ArtefactError(f"{path}: is empty; {repair}")
    for signature, kind in _SIGNATURES:
        if head.lower().lstrip().startswith(signature.lower()):
            raise ArtefactError(f"{path}: is {kind}; or: {repair}")


def save_file(content: Any, path: Path) -> None:
    """Write what `load_file` reads; the same content gives the same bytes, whatever the name.

    Raises:
        OSError: the disk refused; torch itself ends in an error about positions in the file.
    """
    try:
        with path.open("wb") as stream:  # given a path, torch writes the file's name into it
            torch.save(content, stream)
    except (RuntimeError, OSError) as error:
        cause: BaseException | None = error
        while cause is not None and not isinstance(cause, OSError):
            cause = cause.__context__
        if cause is None:
            raise
        raise OSError(cause.errno, cause.strerror, str(path)) from error


def load_file(path: Path, repair: str) -> Any:
    """What a file of weights holds, on the CPU; numpy's parts are passed over, and no code is run.

    Args:
        path: a file of torch.save, old or new, or safetensors, whatever its name.
        repair: what to do about a bad one, for messages.
    Returns:
        The content of torch.save; of safetensors the tensors by name.
    Raises:
        ArtefactError: see `check_file`; or not a checkpoint, or cut short; or one that holds code, or tensors that are
            larger than the file.
    """
    check_file(path, repair)
    with _refusing(path, repair):
        if _is_safetensors(path, path.stat().st_size):
            return _load_safetensors(path)
        _check_names(path)
        with torch.serialization.safe_globals(list(_PASSED_OVER)):
            return torch.load(path, map_location="cpu", weights_only=True)


def check_names(path: Path, repair: str) -> None:
    """Make sure that a PyTorch file which another library will read describes tensors, and names nothing else.

    Args:
        path: a file of torch.save.
        repair: what to do about a bad one, for messages.
    Raises:
        ArtefactError: it names more, or is no such file.
    """
    with _refusing(path, repair):
        _check_names(path)


@contextlib.contextmanager
def _refusing(path: Path, repair: str) -> Iterator[None]:
    """Tell what is wrong with a file, whatever its reader raises."""
    try:
        yield
    except (*_BROKEN, OSError, zipfile.BadZipFile) as error:
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):  # EINVAL: a zip file has no end
            raise
        raise ArtefactError(f"{path}: {_reason(error)}; {repair}") from error


def check_tensor(tensor: Tensor, name: str, file_size: int) -> str:
    """What keeps a tensor of a file from being used, in words; empty when nothing does.

    Args:
        tensor: as it was read.
        name: of the tensor.
        file_size: in bytes; no tensor can hold more.
    """
    if type(tensor) not in (Tensor, torch.nn.Parameter) or tensor.layout != torch.strided:
        return f"{name} is a {type(tensor).__name__} of layout {tensor.layout}, expected a plain tensor"
    if tensor.is_quantized or tensor.is_meta or tensor.is_complex():
        return f"{name} is of type {tensor.dtype} on {tensor.device.type}, expected numbers"
    storage = tensor.untyped_storage().nbytes()
    if storage > file_size or tensor.numel() * tensor.element_size() > storage:
        return f"{name} is {tuple(tensor.shape)}, more values than the file holds ({file_size} bytes)"
    return ""


def _is_safetensors(path: Path, size: int) -> bool:
    """Whether a file begins as safetensors does: the length of a JSON header, and the header."""
    with path.open("rb") as stream:
        head = stream.read(9)
    return len(head) == 9 and head[8:] == b"{" and struct.unpack("<Q", head[:8])[0] <= size - 8


def _load_safetensors(path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file as load_tensors

    try:
        return dict(load_tensors(path))
    except SafetensorError as error:
        raise ValueError(str(error)) from error


def _check_names(path: Path) -> None:
    """Refuse a PyTorch file that names more than tensors are described with, or unpacks to more than it is.

    Raises:
        _RefusedError: it does.
        ValueError: it is no pickle.
    """
    with path.open("rb") as stream:
        if stream.read(4) != b"PK\x03\x04":  # how torch.load tells the two formats apart
            stream.seek(0)
            _refuse_names(stream, _LEGACY_PICKLES)
            return
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
            raise _RefusedError("holds compressed parts, which torch.save never writes")
        if sum(entry.file_size for entry in entries) > path.stat().st_size:
            raise _RefusedError("holds parts that are larger than the file")
        names = {entry.filename.rpartition("/")[2] for entry in entries}
        if "constants.pkl" in names:
            raise _RefusedError("is a TorchScript program; save its state_dict")
        for entry in entries:
            if entry.filename.endswith("data.pkl"):
                if entry.file_size > _PICKLE_BYTES:
                    raise _RefusedError(f"holds {entry.file_size} bytes of descriptions")
                with archive.open(entry) as stream:
                    _refuse_names(stream, 1)  # type: ignore[arg-type]  # zipfile's stream reads as a BinaryIO does


def _refuse_names(stream: BinaryIO, pickles: int) -> None:
    for _ in range(pickles):
        for module, name in _names_in(stream):
            module = "builtins" if module == "__builtin__" else module  # as Python 2 spelled it
            known = name in _NAMES.get(module, ()) or f"{module}.{name}" in _NUMPY_FUNCTIONS
            if not known and not (module == "torch" and _NAMES_OF_TORCH.match(name)):
                named = printable(shortened(f"{module}.{name}".removeprefix("builtins."), 100))
                raise _RefusedError(f"names {named}")


def _names_in(stream: BinaryIO) -> Iterator[tuple[str, str]]:
    """Modules and names that the next pickle of a stream mentions."""
    for number, (code, argument, _) in enumerate(pickletools.genops(stream)):
        if number > _INSTRUCTIONS:
            raise _RefusedError(f"holds more than {_INSTRUCTIONS} instructions")
        if code.name in ("GLOBAL", "INST"):
            module, _, name = str(argument).partition(" ")
            yield module, name
        elif code.name == "STACK_GLOBAL":
            raise ValueError("a pickle of protocol 4, torch.save writes 2")


def _reason(error: Exception) -> str:
    """Why a file was refused, without torch's advice to load it unsafely."""
    foreign = re.search(r"GLOBAL (\S+) (?:was not|whose module)", str(error))
    what = f"names {foreign[1]}" if foreign else str(error) if isinstance(error, _RefusedError) else ""
    if what:
        return f"refused: it {what}; expected tensors and plain values alone"
    return f"not a complete checkpoint ({type(error).__name__} while reading)"
