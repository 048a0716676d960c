"""Untrusted files of tensors: identified by their content, limited by their size, and never executed.

PyTorch files are read with `weights_only=True`, safetensors by their own library. Numpy arrays beside the tensors of a
published checkpoint, such as the state of a sampler, are ignored: numpy never builds them, since a crafted numpy dtype
would turn bytes of the file into pointers.
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

# What torch.load raises on bytes that are not a checkpoint, or not a whole one.
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
# First bytes of files that are often mistaken for weights: what such a file is, and what to do about it.
_SIGNATURES = (
    (b"version https://git-lfs", "a Git LFS pointer, not the weights themselves; run `git lfs pull` in its folder"),
    (b"<!doctype html", "an HTML page, not weights: the link led to a web page; download the file itself"),
    (b"<html", "an HTML page, not weights: the link led to a web page; download the file itself"),
    (b"\x89HDF\r\n", "an HDF5 file, not weights of PyTorch"),
    (b"\x1f\x8b", "a gzip archive; unpack it first"),
)
_LEGACY_PICKLES = 5  # pickles of the old format: magic number, protocol, machine, the object, keys of storages
_PICKLE_BYTES = 1 << 28  # largest data.pkl of the zip format, which describes the tensors
_INSTRUCTIONS = 10_000_000  # most of one pickle: a few seconds; a state dict of 10 000 tensors has 400 000

# The names that a pickle of tensors may import, by module. Stricter than torch.load, which also allows bytearray and
# torch.empty: a few bytes of a file could then allocate any amount of memory.
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
    "_codecs": {"encode"},  # how pickle protocol 2 writes bytes
    "numpy": {"ndarray", "dtype"},
}
_NAMES_OF_TORCH = re.compile(r"(\w+Storage|Size|device|b?float\d+\w*|u?int\d+|bool|complex\d+)$")
_NUMPY_FUNCTIONS = [
    f"numpy.{core}.multiarray.{name}" for core in ("core", "_core") for name in ("_reconstruct", "scalar")
]


class _RefusedError(ValueError):
    """A complete file with forbidden content; the message continues the words "refused: it "."""


class _IgnoredObject:
    """Takes the place of a numpy object while a pickle is loaded, and drops its content."""

    def __init__(self, *arguments: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        pass


class _IgnoredDtype(_IgnoredObject):
    """Takes the place of a numpy dtype; accepts booleans, numbers, strings and times, but no objects."""

    def __init__(self, *arguments: Any) -> None:
        kind = arguments[0] if arguments else None
        if isinstance(kind, bytes):
            kind = kind.decode("ascii", "replace")
        if not isinstance(kind, str) or not re.fullmatch(r"[<>=|]?[?biufcSUMm]\d*", kind):
            raise _RefusedError(f"holds a numpy array of type {kind!r}")


_IGNORED = [
    (_IgnoredObject, "numpy.ndarray"),
    (_IgnoredDtype, "numpy.dtype"),
    *((_IgnoredObject, name) for name in _NUMPY_FUNCTIONS),
]


def check_file(path: Path, repair: str) -> None:
    """Check that a file of weights can be opened, and is not of another kind.

    Args:
        path: the file.
        repair: what to do about a bad file, for messages.
    Raises:
        ArtefactError: no such file; a folder, pipe or device; an empty file, a Git LFS pointer, an HTML page ...
        OSError: the file cannot be read from the disk, or may not be.
    """
    check_is_file(path, repair)
    # An OSError is not turned into an ArtefactError: on a broken checkpoint, resuming continues from an older one, and
    # it must not do so because of a disk that is briefly unavailable.
    with path.open("rb") as stream:
        head = stream.read(512)
    if not head:
        raise ArtefactError(f"{path}: is empty; {repair}")
    for signature, kind in _SIGNATURES:
        if head.lower().lstrip().startswith(signature.lower()):
            raise ArtefactError(f"{path}: is {kind}; or: {repair}")


def save_file(content: Any, path: Path) -> None:
    """Write what `load_file` reads; equal contents give equal bytes.

    Raises:
        OSError: the file cannot be written, for example because the disk is full.
    """
    try:
        with path.open("wb") as stream:  # a stream, since torch.save writes the name of a path into the file
            torch.save(content, stream)
    except (RuntimeError, OSError) as error:
        # On a full disk torch raises a RuntimeError about positions in the file; the OSError is in its context.
        cause: BaseException | None = error
        while cause is not None and not isinstance(cause, OSError):
            cause = cause.__context__
        if cause is None:
            raise
        raise OSError(cause.errno, cause.strerror, str(path)) from error


def load_file(path: Path, repair: str) -> Any:
    """Load a file of weights to the CPU; numpy arrays in it are ignored, and no code is run.

    Args:
        path: a file of torch.save (old or new format) or safetensors, with any suffix.
        repair: what to do about a bad file, for messages.
    Returns:
        The content of torch.save; of safetensors the tensors by name.
    Raises:
        ArtefactError: see `check_file`; or the file is no checkpoint, is truncated, holds code, or holds tensors that
            are larger than the file.
    """
    check_file(path, repair)
    with _refusing(path, repair):
        if _is_safetensors(path, path.stat().st_size):
            return _load_safetensors(path)
        _check_names(path)
        with torch.serialization.safe_globals(list(_IGNORED)):
            return torch.load(path, map_location="cpu", weights_only=True)


def check_names(path: Path, repair: str) -> None:
    """Check that the pickle of a PyTorch file imports only what tensors need, before another library loads it.

    Args:
        path: a file of torch.save.
        repair: what to do about a bad file, for messages.
    Raises:
        ArtefactError: it imports anything else, or is no such file.
    """
    with _refusing(path, repair):
        _check_names(path)


@contextlib.contextmanager
def _refusing(path: Path, repair: str) -> Iterator[None]:
    """Turn the errors of all readers of a broken file into one ArtefactError."""
    try:
        yield
    except (*_BROKEN, OSError, zipfile.BadZipFile) as error:
        # An error number means that the disk failed, not the file; EINVAL alone comes from seeking in a truncated zip.
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
            raise
        raise ArtefactError(f"{path}: {_reason(error)}; {repair}") from error


def check_tensor(tensor: Tensor, name: str, file_size: int) -> str:
    """Return what is wrong with a tensor of a file, in words; empty: nothing.

    Args:
        tensor: as it was loaded.
        name: of the tensor, for the text.
        file_size: in bytes. A tensor may not hold more: one with strides of 0 takes terabytes when it is copied.
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
    """Return whether a file begins as safetensors does: the length of a JSON header, and the header."""
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
    """Refuse a PyTorch file whose pickle imports more than tensors need, or that unpacks to more than its size.

    Before `torch.load` with `weights_only=True`, since that allows more names (see `_NAMES`), and has no limit of the
    size of what is unpacked.

    Raises:
        _RefusedError: the file does one of these.
        ValueError: the file is not a pickle.
    """
    with path.open("rb") as stream:
        if stream.read(4) != b"PK\x03\x04":  # as torch.load recognises the zip format
            stream.seek(0)
            _refuse_names(stream, _LEGACY_PICKLES)
            return
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
            raise _RefusedError("holds compressed entries, which torch.save never writes")
        if sum(entry.file_size for entry in entries) > path.stat().st_size:
            raise _RefusedError("holds entries that are larger than the file")
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
            module = "builtins" if module == "__builtin__" else module  # its name in Python 2
            known = name in _NAMES.get(module, ()) or f"{module}.{name}" in _NUMPY_FUNCTIONS
            if not known and not (module == "torch" and _NAMES_OF_TORCH.match(name)):
                named = printable(shortened(f"{module}.{name}".removeprefix("builtins."), 100))
                raise _RefusedError(f"names {named}")


def _names_in(stream: BinaryIO) -> Iterator[tuple[str, str]]:
    """Yield the (module, name) pairs that the next pickle of a stream imports."""
    for number, (code, argument, _) in enumerate(pickletools.genops(stream)):
        if number > _INSTRUCTIONS:
            raise _RefusedError(f"holds more than {_INSTRUCTIONS} instructions")
        if code.name in ("GLOBAL", "INST"):
            module, _, name = str(argument).partition(" ")
            yield module, name
        elif code.name == "STACK_GLOBAL":
            raise ValueError("a pickle of protocol 4, but torch.save writes protocol 2")


def _reason(error: Exception) -> str:
    """Return why a file was refused, without torch's advice to load it with weights_only=False."""
    foreign = re.search(r"GLOBAL (\S+) (?:was not|whose module)", str(error))
    what = f"names {foreign[1]}" if foreign else str(error) if isinstance(error, _RefusedError) else ""
    if what:
        return f"refused: it {what}; expected only tensors and plain values"
    return f"not a complete checkpoint ({type(error).__name__} while reading)"
