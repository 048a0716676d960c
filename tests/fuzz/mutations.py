"""Broken and hostile versions of a file: of its bytes, of its words, and of the values that it holds."""

import copy
import io
import json
import pickle
import re
import shutil
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.random import Generator

Mutation = Callable[[bytes, Generator], bytes]

ATOMS = [
    *[b"", b"\0", b"\xff\xfe", b"\xef\xbb\xbf", b"\x1b[2J", b"\r", b"\n\n", b'"', b"'", b",", b"{"],
    *[b"[" * 300, b"- " * 300, b"x" * 70_000, b"\xed\xa0\x80", "\u202e".encode(), b"../../outside/sentinel"],
    *[b"null", b"true", b"-1", b"0", b"1e400", b"1" + b"0" * 400, b"NaN", b"-.inf", b"2023-99-99", b"!!int ''"],
    *[b"&a [*a]", b"<<: *b", b"/etc/passwd"],
]
VALUES: list[Any] = [
    *[None, True, -1, 0, 2**63, 10**400, 1e308, float("nan"), float("inf"), "", "x" * 70_000, "../../outside/sentinel"],
    *["/etc/passwd", "\x1b[2J\n", "\ud800", [], {}, [[]], {"": None}, [[[[[[[[]]]]]]]], list(range(3000)), b"\0", 1j],
]
_WORD = re.compile(rb'-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?|"[^"\n]*"|[A-Za-z_][\w./-]*|[,:;\t]')


def of_bytes(data: bytes, rng: Generator) -> bytes:
    """Flip bits, cut, repeat, remove, overwrite, or put something in."""
    changed = bytearray(data)
    start = int(rng.integers(len(data) + 1))
    stop = min(len(data), start + int(rng.choice([1, 2, 4, 8, 64, 4096])))
    kind = int(rng.integers(7))
    if kind == 0 and data:
        for position in rng.integers(len(data), size=int(rng.integers(1, 9))).tolist():
            changed[position] ^= 1 << int(rng.integers(8))
    elif kind == 1:
        del changed[start:]
    elif kind == 2:
        changed[start:start] = data[start:stop] * int(rng.integers(1, 4))
    elif kind == 3:
        del changed[start:stop]
    elif kind == 4:
        changed[start:stop] = bytes([int(rng.choice([0, 0x7F, 0x80, 0xFF]))]) * (stop - start)
    elif kind == 5:
        source = int(rng.integers(len(data) + 1))
        changed[start:stop] = data[source : source + stop - start]
    else:
        changed[start:start] = ATOMS[rng.integers(len(ATOMS))]
    return bytes(changed)


def of_words(data: bytes, rng: Generator) -> bytes:
    """Replace a word, number or separator of a text."""
    words = list(_WORD.finditer(data))
    if not words:
        return of_bytes(data, rng)
    word = words[rng.integers(len(words))]
    other = words[rng.integers(len(words))][0] if rng.random() < 0.3 else ATOMS[rng.integers(len(ATOMS))]
    return data[: word.start()] + other + data[word.end() :]


def changed_value(value: Any, rng: Generator) -> Any:
    """A copy of nested values with one of them replaced, removed or put elsewhere."""
    result = copy.deepcopy(value)
    holder: Any = [result]
    root, key = holder, 0
    while isinstance(holder[key], dict | list) and holder[key] and rng.random() < 0.8:
        holder = holder[key]
        key = list(holder)[rng.integers(len(holder))] if isinstance(holder, dict) else int(rng.integers(len(holder)))
    kind = rng.random()
    if kind < 0.15 and holder is not root:
        del holder[key]
    elif kind < 0.3 and isinstance(holder, dict):
        holder[VALUES[rng.integers(5)] if kind < 0.2 else "extra"] = holder[key]
    else:
        holder[key] = VALUES[rng.integers(len(VALUES))]
    return root[0]


def of_json(data: bytes, rng: Generator) -> bytes:
    changed = changed_value(json.loads(data), rng)
    return json.dumps(changed, default=str, skipkeys=True, ensure_ascii=bool(rng.integers(2))).encode(
        "utf-8", "replace"
    )


def of_pickle(data: bytes, rng: Generator) -> bytes:
    changed = changed_value(pickle.loads(data), rng)  # noqa: S301 - one of ours
    return pickle.dumps(changed, protocol=int(rng.integers(2, 6)))


def of_safetensors(data: bytes, rng: Generator) -> bytes:
    size = int.from_bytes(data[:8], "little")
    header = of_json(data[8 : 8 + size], rng) if rng.random() < 0.7 else of_words(data[8 : 8 + size], rng)
    return len(header).to_bytes(8, "little") + header + data[8 + size :]


def of_wave(data: bytes, rng: Generator) -> bytes:
    """Put an extreme number into the header."""
    changed = bytearray(data)
    offset, size = [(4, 4), (16, 4), (20, 2), (22, 2), (24, 4), (28, 4), (32, 2), (34, 2), (40, 4)][rng.integers(9)]
    number = int(rng.choice([0, 1, 2, 3, 7, 255, 2**16 - 1, 2**31 - 1, 2**32 - 1])) % 256**size
    changed[offset : offset + size] = number.to_bytes(size, "little")
    return bytes(changed)


def of_npz(data: bytes, rng: Generator) -> bytes:
    """Break one member of the archive, its header first, and pack it again."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    name = list(members)[rng.integers(len(members))]
    header = members[name][:128]
    members[name] = (of_words if rng.random() < 0.6 else of_bytes)(header, rng) + members[name][128:]
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for member, content in members.items():
            archive.writestr(member, content)
    return packed.getvalue()


def of_hdf5(path: Path, rng: Generator, folder: Path) -> bytes:
    """Replace one of the arrays, groups or attributes of an HDF5 file."""
    copied = folder / "mutated.hdf5"
    shutil.copyfile(path, copied)
    with h5py.File(copied, "r+") as file:
        names: list[str] = []
        file.visit(names.append)
        name = names[rng.integers(len(names))]
        if rng.random() < 0.3 and len(file.attrs):
            key = list(file.attrs)[rng.integers(len(file.attrs))]
            file.attrs[key] = _ATTRIBUTES[rng.integers(len(_ATTRIBUTES))]
        else:
            del file[name]
            _replace(file, name, int(rng.integers(10)))
    return copied.read_bytes()


_ATTRIBUTES = ["", "[" * 2000, '{"a": 1e400}', "null", "[1, 2]", 5, np.zeros(3), np.bytes_(b"\xff"), '{"offset": "x"}']


def _replace(file: h5py.File, name: str, kind: int) -> None:
    if kind == 0:
        file[name] = h5py.ExternalLink("../outside/sentinel.hdf5", "/x")
    elif kind == 1:
        file[name] = h5py.SoftLink(f"/{name}")
    elif kind == 2:
        file.create_group(name)
    elif kind == 3:
        file.create_dataset(name, data=["text", "x"], dtype=h5py.string_dtype())
    elif kind == 4:
        file.create_dataset(name, data=np.zeros((3, 4), np.complex64))
    elif kind == 5:
        file.create_dataset(name, shape=(2**40, 64), dtype="f4", chunks=(1024, 64))
    elif kind == 6:
        file.create_dataset(name, data=np.full((4, 64), np.nan, np.float32))
    elif kind == 7:
        file.create_dataset(name, shape=(0, 64), dtype="f4")
    elif kind == 8:
        file.create_dataset(name, data=np.float64(1))
    # 9: it is gone


def mutated(path: Path, kinds: list[str], count: int, rng: Generator, folder: Path) -> Iterator[bytes]:
    """So many broken versions of a file; `kinds` are names of the functions above without `of_`."""
    data = path.read_bytes()
    for number in range(count):
        kind = kinds[number % len(kinds)]
        yield of_hdf5(path, rng, folder) if kind == "hdf5" else globals()[f"of_{kind}"](data, rng)
