"""Changes in the pickle inside a file of torch.save, zipped or not."""

import zipfile
from collections.abc import Callable
from pathlib import Path

import torch


def rewrite_pickle(path: Path, change: Callable[[bytes], bytes]) -> None:
    """Change the bytes of the pickle that describes the tensors, in place."""
    if not zipfile.is_zipfile(path):
        path.write_bytes(change(path.read_bytes()))
        return
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in parts.items():
            archive.writestr(name, change(data) if name.endswith("data.pkl") else data)


def fake_globals(path: Path, name: str, zipped: bool) -> Path:
    """A file that names something else where a state dict names OrderedDict."""
    torch.save({"model": torch.nn.Linear(1, 1).state_dict()}, path, _use_new_zipfile_serialization=zipped)
    module, _, function = name.rpartition(".")
    rewrite_pickle(path, lambda data: data.replace(b"ccollections\nOrderedDict\n", f"c{module}\n{function}\n".encode()))
    return path
