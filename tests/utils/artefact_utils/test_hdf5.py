"""HDF5 files on disks that are full at any byte."""

import errno
import gc
import os
import socket
import tracemalloc
from pathlib import Path

import h5py
import numpy as np
import pytest

from tests.utils.artefact_utils.full_disk import FullFile, ShortFile, replace_files
from utils.artefact_utils.hdf5 import open_hdf5, reading, replacing_hdf5
from utils.cli_utils import ArtefactError


def names(folder):
    return [path.name for path in folder.iterdir()]


def write_everything(path):
    """20 datasets in one piece and one in chunks, 1.6 MB."""
    with replacing_hdf5(path) as (file, _):
        for number in range(20):
            file.create_dataset(str(number), data=np.full((50, 64), number, np.float32))
        chunked = file.create_dataset("long", (0, 64), np.float32, maxshape=(None, 64), chunks=True)
        for _ in range(5):
            chunked.resize(len(chunked) + 1000, axis=0)
            chunked[-1000:] = 7
        file.attrs["note"] = "x"


def test_plain_h5py_reads_it_back(tmp_path):
    write_everything(tmp_path / "x.hdf5")
    with h5py.File(tmp_path / "x.hdf5") as file:
        assert set(file) == {*map(str, range(20)), "long"}
        assert all((file[str(number)][:] == number).all() for number in range(20))
        assert (file["long"][:] == 7).all()
        assert file["long"].shape == (5000, 64)
        assert file.attrs["note"] == "x"
        assert file["3"].id.get_offset() is not None  # in one piece, so that it can be mapped


@pytest.mark.parametrize("room", [0, 1, 1000, 2048, 10_000, 300_000, 1_000_000, 1_500_000])
def test_a_disk_that_is_full_at_any_byte_is_an_oserror(tmp_path, monkeypatch, room):
    # HDF5 by itself raises a RuntimeError when it is closed, or crashes later
    path = tmp_path / "x.hdf5"
    with replacing_hdf5(path) as (file, _):
        file.attrs["format_version"] = 1
    old = path.read_bytes()
    replace_files(monkeypatch, lambda file: FullFile(file, room))
    with pytest.raises(OSError, match="refused") as error:
        write_everything(path)
    assert error.value.errno == errno.ENOSPC
    assert error.value.filename == str(tmp_path / f".x.hdf5.partial-{socket.gethostname()}-{os.getpid()}")
    assert path.read_bytes() == old
    assert names(tmp_path) == ["x.hdf5"]
    gc.collect()


def write_numbered(path, written):
    with replacing_hdf5(path) as (file, disk):
        for number in range(1000):
            file.create_dataset(str(number), data=np.zeros((50, 64), np.float32))
            disk.check()
            written.append(number)


def test_a_refusal_is_raised_at_the_next_check(tmp_path, monkeypatch):
    replace_files(monkeypatch, lambda file: FullFile(file, 100_000))
    written = []
    with pytest.raises(OSError, match="refused"):
        write_numbered(tmp_path / "x.hdf5", written)
    assert len(written) <= 100_000 // (50 * 64 * 4)


def test_what_a_write_leaves_over_follows(tmp_path, monkeypatch):
    write_everything(tmp_path / "plain.hdf5")
    replace_files(monkeypatch, ShortFile)
    write_everything(tmp_path / "short.hdf5")
    assert (tmp_path / "short.hdf5").read_bytes() == (tmp_path / "plain.hdf5").read_bytes()


def write_and_fail(path):
    with replacing_hdf5(path) as (file, _):
        file.create_dataset("a", data=np.zeros(10))
        raise ValueError("bug")


def test_an_error_of_the_writer_is_not_hidden_and_leaves_nothing(tmp_path):
    with pytest.raises(ValueError, match="bug"):
        write_and_fail(tmp_path / "x.hdf5")
    assert names(tmp_path) == []


def test_memory_does_not_grow_with_the_file(tmp_path):
    block = np.zeros((1000, 64), np.float32)
    tracemalloc.start()
    with replacing_hdf5(tmp_path / "x.hdf5") as (file, _):
        for number in range(200):  # 51 MB
            file.create_dataset(str(number), data=block)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5e6


def test_the_names_of_a_million_clips_fit_into_the_cache(tmp_path):
    """HDF5's own limit is 32 MB; beyond it, they were read from the disk for every clip."""
    with replacing_hdf5(tmp_path / "x.hdf5") as (file, _):
        assert file.id.get_mdc_config().max_size == 128 * 2**20
    with open_hdf5(tmp_path / "x.hdf5", "") as file:
        assert file.id.get_mdc_config().max_size == 128 * 2**20


@pytest.mark.parametrize("error", [RuntimeError("Unable to\n open object"), KeyError("tid"), OSError("inflate")])
def test_what_hdf5_stumbles_over_is_told_in_one_line(error):
    message = r"^x\.hdf5: broken inside \(.*\); write it again: python -m script$"
    with pytest.raises(ArtefactError, match=message), reading(Path("x.hdf5"), "python -m script"):
        raise error
