import contextlib
import os
import random

import pytest
import torch
from torch import nn

from utils.cli_utils import ArtefactError
from utils.weight_utils import load_exactly, read_weights, repair_of, write_weights

REPAIR = "write it again: <make initial-weights>"


def _state(seed: int = 0) -> dict[str, torch.Tensor]:
    torch.manual_seed(seed)
    return {"weight": torch.randn(2, 3), "bias": torch.randn(2)}


def _error(action, *arguments) -> str:
    with pytest.raises(ArtefactError) as caught:
        action(*arguments)
    return str(caught.value)


def test_what_is_written_is_read_with_its_notes(tmp_path):
    path = tmp_path / "new" / "weights.pth"
    write_weights(path, _state(), {"encoder": "CNN14Encoder", "out_dim": 300})
    state, notes = read_weights(path, "")
    assert all(torch.equal(state[key], value) for key, value in _state().items())
    assert notes == {"format_version": 1, "encoder": "CNN14Encoder", "out_dim": 300}
    assert state.keys() == {"weight", "bias"}


def test_the_same_weights_give_the_same_bytes(tmp_path):
    for name in ("a.pth", "b.pth"):
        write_weights(tmp_path / name, _state(), {"out_dim": 3})
    assert (tmp_path / "a.pth").read_bytes() == (tmp_path / "b.pth").read_bytes()


def test_memory_layout_does_not_reach_the_file(tmp_path):
    kernel = torch.randn(4, 3, 3, 3)
    for name, value in (("a.pth", kernel), ("b.pth", kernel.contiguous(memory_format=torch.channels_last))):
        write_weights(tmp_path / name, {"weight": value}, {})
    assert (tmp_path / "a.pth").read_bytes() == (tmp_path / "b.pth").read_bytes()


def test_a_writer_that_fails_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "weights.pth"
    write_weights(path, _state(), {})
    before = path.read_bytes()

    def broken_save(content, stream):
        stream.write(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(torch, "save", broken_save)
    with pytest.raises(KeyboardInterrupt):
        write_weights(path, _state(1), {})
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["weights.pth"]


def test_no_such_file(tmp_path):
    assert _error(read_weights, tmp_path / "no.pth", repair_of(None)) == f"{tmp_path}/no.pth: no such file; {REPAIR}"
    message = _error(read_weights, tmp_path / "no.pth", repair_of("CNN6Encoder"))
    assert message == f"{tmp_path}/no.pth: no such file; {REPAIR[:-1]} --encoder CNN6Encoder>"


class _Code:
    def __reduce__(self):
        return os.mkdir, (os.environ["TEST_TRAP"],)


@pytest.mark.parametrize("zipped", [True, False])
def test_code_is_refused_and_not_run(tmp_path, monkeypatch, zipped):
    monkeypatch.setenv("TEST_TRAP", str(tmp_path / "trap"))
    path = tmp_path / "weights.pth"
    torch.save({"model": _Code()}, path, _use_new_zipfile_serialization=zipped)
    expected = (
        f"{path}: refused: it names {os.mkdir.__module__}.mkdir; expected only tensors and plain values; {REPAIR}"
    )
    assert _error(read_weights, path, REPAIR) == expected
    assert not (tmp_path / "trap").exists()


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("zipped", [True, False])
def test_every_truncation_and_any_noise_is_one_clear_error(tmp_path, zipped):
    path = tmp_path / "weights.pth"
    torch.save({"model": _state()}, path, _use_new_zipfile_serialization=zipped)
    whole = path.read_bytes()
    for size in range(0, len(whole) - 1, 7):
        path.write_bytes(whole[:size])
        kinds = ("not a complete checkpoint (", "refused: ", "is empty; ")
        assert _error(read_weights, path, REPAIR).startswith(tuple(f"{path}: {kind}" for kind in kinds))
    generator = random.Random(0)
    for _ in range(100):
        noisy = bytearray(whole)
        for _ in range(5):
            noisy[generator.randrange(len(noisy))] = generator.randrange(256)
        path.write_bytes(noisy)
        with contextlib.suppress(ArtefactError):  # nothing else may come out
            read_weights(path, REPAIR)


def test_files_of_another_kind(tmp_path):
    path = tmp_path / "weights.pth"
    path.write_text("<html>not found</html>")
    assert _error(read_weights, path, REPAIR) == (
        f"{path}: is an HTML page, not weights: the link led to a web page; download the file itself; or: {REPAIR}"
    )
    torch.save(_state() | {"third": 1, "fourth": 2}, path)
    assert _error(read_weights, path, REPAIR) == (
        f"{path}: found the keys weight, bias, third and 1 more, expected 'model' with tensors by name; {REPAIR}"
    )
    torch.save(torch.ones(2), path)
    assert (
        _error(read_weights, path, REPAIR) == f"{path}: found no keys, expected 'model' with tensors by name; {REPAIR}"
    )
    torch.save({"format_version": 2, "model": _state()}, path)
    assert _error(read_weights, path, REPAIR) == f"{path}: format version 2, this code reads 1; {REPAIR}"


def test_loading_is_exact(tmp_path):
    linear = nn.Linear(3, 2)
    load_exactly(linear, _state(), tmp_path)
    assert torch.equal(linear.weight, _state()["weight"])


def test_what_does_not_fit_is_named_and_nothing_is_loaded(tmp_path):
    linear = nn.Linear(3, 2)
    before = linear.weight.clone()
    state = {"weight": torch.zeros(2, 4), "a": torch.zeros(1), **{f"b{n}": torch.zeros(1) for n in range(4)}}
    assert _error(load_exactly, linear, state, tmp_path / "w.pth") == (
        f"{tmp_path}/w.pth: does not fit this run's Linear: 1 missing: bias; 5 unexpected: a, b0, b1 and 2 more; "
        "1 of another shape: weight is (2, 4), expected (2, 3); "
        f"{REPAIR[:-1]} --encoder Linear --output {tmp_path}/w.pth>"
    )
    assert torch.equal(linear.weight, before)
