"""Files of tensors in the layouts that are published, and files that only look like them."""

import os
import resource
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from tests.utils.weight_utils.rewriting import fake_globals, rewrite_pickle
from utils.cli_utils import ArtefactError
from utils.weight_utils import files, load_file, read_foreign, read_weights

REPAIR = "get another"


def _error(path: Path) -> str:
    with pytest.raises(ArtefactError) as caught:
        load_file(path, REPAIR)
    return str(caught.value).removeprefix(f"{path}: ").removesuffix(f"; {REPAIR}")


def _sampler() -> dict:
    """The state of a sampler of PANNs' training: arrays, lists of arrays and numpy's numbers."""
    return {
        "indexes_per_class": [np.arange(3), np.arange(5)],
        "queue": [np.int64(4), np.float32(0.5), np.bool_(True), np.datetime64("2020-01-01")],
        "pointers_of_classes": np.zeros(2, dtype=np.int64),
        "names": np.array([b"Y1.wav", b"Y2.wav"]),
        "fields": "plain",
    }


def _published(extra: dict | None = None) -> dict:
    weight = torch.nn.Linear(3, 2)
    optimizer = torch.optim.Adam(weight.parameters())
    weight(torch.ones(3)).sum().backward()
    optimizer.step()
    state = {"iteration": 600_000, "model": weight.state_dict(), "optimizer": optimizer.state_dict()}
    return state | {"sampler": _sampler()} | (extra or {})


@pytest.mark.parametrize("core", ["core", "_core"])  # numpy 1 and numpy 2
@pytest.mark.parametrize("zipped", [True, False])
def test_a_published_checkpoint_with_its_sampler_is_read(tmp_path, core, zipped):
    path = tmp_path / "Cnn14_mAP=0.431.pth"
    content = _published()
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    rewrite_pickle(path, lambda data: data.replace(b"numpy._core.multi", f"numpy.{core}.multi".encode()))
    assert f"cnumpy.{core}.multiarray\n_reconstruct\n".encode() in path.read_bytes()
    state, notes = read_weights(path, REPAIR)
    assert all(torch.equal(value, content["model"][key]) for key, value in state.items())
    assert notes["iteration"] == 600_000


def test_numpy_builds_nothing_of_a_file(tmp_path, monkeypatch):
    path = tmp_path / "w.pth"
    torch.save(_published(), path)
    found = load_file(path, REPAIR)["sampler"]
    built = [*found["indexes_per_class"], *found["queue"], found["pointers_of_classes"], found["names"]]
    assert not any(isinstance(value, np.ndarray | np.generic | np.dtype) for value in built)


@pytest.mark.parametrize("zipped", [True, False])
def test_arrays_of_objects_are_refused(tmp_path, zipped):
    path = tmp_path / "w.pth"
    torch.save(_published({"more": np.array([{}, None])}), path, _use_new_zipfile_serialization=zipped)
    assert _error(path) == ("refused: it holds a numpy array of type 'O8'; expected only tensors and plain values")


@pytest.mark.parametrize(
    "name",
    [
        "numpy.load",
        "numpy.core.multiarray.fromfile",
        "numpy._core.multiarray._vec_string",
        "builtins.bytearray",
        "builtins.eval",
        "posix.system",
        "torch.Tensor",
        "torch.load",
        "torch.hub.load",
        "torch._utils._rebuild_wrapper_subclass",
        "functools.partial",
    ],
)
def test_no_other_name_is_let_in(tmp_path, name):
    for zipped in (True, False):
        path = fake_globals(tmp_path / f"{zipped}.pth", name, zipped)
        named = name.removeprefix("builtins.")
        assert _error(path) == f"refused: it names {named}; expected only tensors and plain values"


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:22\nsize 321244196\n",
            "is a Git LFS pointer, not the weights themselves; run `git lfs pull` in its folder; or: get another",
        ),
        (
            b"\n <!DOCTYPE HTML><html><title>Sign in</title>",
            "is an HTML page, not weights: the link led to a web page; download the file itself; or: get another",
        ),
        (b"", "is empty"),
        (b"\x89HDF\r\n\x1a\n" + bytes(100), "is an HDF5 file, not weights of PyTorch; or: get another"),
        (b"\x1f\x8b\x08" + bytes(100), "is a gzip archive; unpack it first; or: get another"),
        (bytes(1000), "not a complete checkpoint (ValueError while reading)"),
    ],
)
def test_a_file_of_another_kind_is_named(tmp_path, content, kind):
    path = tmp_path / "w.pth"
    path.write_bytes(content)
    assert _error(path).removesuffix(f"; or: {REPAIR}") == kind.removesuffix("; or: get another")


def test_pipes_devices_and_folders_are_not_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe.pth")
    for path in (tmp_path / "pipe.pth", Path("/dev/zero")):
        assert _error(path) == "is a pipe, a socket or a device, expected a file"
    assert _error(tmp_path) == "is a folder, expected a file"
    assert _error(tmp_path / "pipe.pth" / "below") == "no such file"


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_safetensors_are_read_whatever_they_are_called(tmp_path, dtype):
    path = tmp_path / "w.pth"
    save_file({"weight": torch.tensor([1.0, -2.5]).to(dtype)}, path)
    assert torch.equal(load_file(path, REPAIR)["weight"], torch.tensor([1.0, -2.5]).to(dtype))
    path.write_bytes(path.read_bytes()[:-1])
    assert _error(path) == "not a complete checkpoint (ValueError while reading)"


def test_a_program_of_torchscript_is_named(tmp_path):
    torch.save({}, tmp_path / "plain.pth")
    with zipfile.ZipFile(tmp_path / "w.pth", "w") as archive:
        for name in ("w/data.pkl", "w/constants.pkl", "w/version"):
            archive.writestr(name, b"3")
    assert _error(tmp_path / "w.pth") == (
        "refused: it is a TorchScript program; save its state_dict; expected only tensors and plain values"
    )


def test_compressed_parts_are_refused_before_they_are_unpacked(tmp_path):
    path = tmp_path / "w.pth"
    torch.save({"model": {"w": torch.zeros(10_000)}}, path)
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in parts.items():
            archive.writestr(name, data)
    assert path.stat().st_size < 5000
    assert "holds compressed entries, which torch.save never writes" in _error(path)


def _larger_than_its_file(path: Path, kind: str) -> Path:
    small = torch.zeros(1)
    if kind == "expanded":
        torch.save({"model": {"w": small.expand(50_000, 50_000)}}, path)
    elif kind == "meta":
        torch.save({"model": {"w": torch.zeros(50_000, 50_000, device="meta")}}, path)
    elif kind == "sparse":
        torch.save({"model": {"w": torch.sparse_coo_tensor(torch.zeros(2, 1), [1.0], (50_000, 50_000))}}, path)
    else:  # a storage that nothing fills: the list of storages at the end is empty
        torch.save({"model": {"w": torch.zeros(77)}}, path, _use_new_zipfile_serialization=False)
        rewrite_pickle(path, lambda data: data.replace(b"K\x4d", b"M\xff\xff"))
    return path


@pytest.mark.filterwarnings("ignore:Sparse invariant checks")
@pytest.mark.parametrize("kind", ["expanded", "meta", "sparse", "legacy"])
def test_tensors_larger_than_their_file_take_no_memory(tmp_path, kind):
    path = _larger_than_its_file(tmp_path / "w.pth", kind)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for read in (read_weights, read_foreign):
        with pytest.raises(ArtefactError):
            read(path, REPAIR)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # kB


def test_views_and_tied_tensors_are_read(tmp_path):
    whole = torch.arange(6.0)
    tied = {"a": whole, "b": whole, "view": whole.view(2, 3).t(), "slice": whole[2:4]}
    torch.save({"model": tied}, tmp_path / "w.pth")
    state = read_weights(tmp_path / "w.pth", REPAIR).state
    assert state["view"].tolist() == [[0, 3], [1, 4], [2, 5]]
    assert state["slice"].tolist() == [2, 3]
    assert sys.getsizeof(state) < 1000


def test_the_layouts_of_other_programs(tmp_path):
    state = {"w": torch.ones(2), "count": torch.tensor(3)}
    for number, content in enumerate(
        [
            state,
            {"model": state, "iteration": 3},
            {"state_dict": state, "epoch": 1, "hyper_parameters": {"lr": 0.1}},
            (state, {"param_groups": [], "state": {}}),
        ]
    ):
        path = tmp_path / f"{number}.pth"
        torch.save(content, path)
        assert read_foreign(path, REPAIR).state.keys() == {"w", "count"}
    torch.save({"epoch": 1}, tmp_path / "none.pth")
    with pytest.raises(ArtefactError, match=r"found the keys epoch, expected tensors by name; get another$"):
        read_foreign(tmp_path / "none.pth", REPAIR)


def test_notes_and_names_of_any_kind_end_in_one_short_line(tmp_path):
    path = tmp_path / "w.pth"
    state = {"w": torch.ones(2)}
    for version in (torch.ones(3), [1], "1", 2**70, None):
        torch.save({"format_version": version, "model": state}, path)
        with pytest.raises(ArtefactError) as caught:
            read_weights(path, REPAIR)
        assert "this code reads 1; get another" in str(caught.value)
        assert "\n" not in str(caught.value)
        assert len(str(caught.value)) < len(str(path)) + 250
    torch.save({"\x1b[31m" + "k" * 10_000: 1, 2: 3}, path)
    with pytest.raises(ArtefactError) as caught:
        read_foreign(path, REPAIR)
    message = str(caught.value)
    assert "found the keys \\x1b[31mkkk" in message
    assert len(message) < len(str(path)) + 300


def test_a_pickle_that_would_run_for_hours_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "_INSTRUCTIONS", 1000)
    path = fake_globals(tmp_path / "w.pth", "collections.OrderedDict", zipped=True)
    load_file(path, REPAIR)
    rewrite_pickle(path, lambda data: b"\x80\x02" + b"N0" * 1000 + data[2:])
    assert "holds more than 1000 instructions" in _error(path)
