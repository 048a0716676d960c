"""One array a clip: settings of any kind, arrays of any shape; tests of the log-mels cover the rest."""

import h5py
import numpy as np
import pytest

from utils.artefact_utils import ClipArrayReader, ForeignFileError
from utils.artefact_utils.clip_arrays import ClipArrayParts, attributes_of
from utils.cli_utils import ArtefactError

SETTINGS = {"model": "m", "numbers": {"b": 1, "a": [2, 3]}, "layers": None, "dtype": "float16"}


def write(path, arrays, settings=SETTINGS, notes=None):
    parts = ClipArrayParts(path, settings)
    parts.write_part(list(arrays), ((fid, iter([array])) for fid, array in arrays.items()))
    parts.assemble(list(arrays), "again", notes)
    return parts


def test_texts_are_stored_as_they_are_and_other_values_as_json():
    assert attributes_of(SETTINGS) == {
        "model": "m",
        "numbers": '{"a": [2, 3], "b": 1}',
        "layers": "null",
        "dtype": "float16",
    }


def test_a_part_that_is_not_seen_yet_is_no_fault(tmp_path):
    parts = ClipArrayParts(tmp_path / "x.hdf5", SETTINGS)
    parts.write_part(["f"], [("f", iter([np.ones(2, np.float32)]))])
    with pytest.raises(
        ArtefactError, match=r"x\.hdf5\.parts-\w+: what was written of 2 clips is not seen here yet; run"
    ):
        parts.assemble(["f", "g", "h"], "again")
    parts.assemble(["f"], "again")  # nothing was lost
    assert parts.is_complete(["f"])


@pytest.mark.parametrize("shape", [(5,), (3, 5), (2, 3, 4)])
def test_arrays_of_any_shape_come_back(tmp_path, shape):
    arrays = {f"f{n}": np.random.default_rng(n).standard_normal(shape).astype(np.float32) for n in range(4)}
    write(tmp_path / "x.hdf5", arrays)
    reader = ClipArrayReader(tmp_path / "x.hdf5", "again")
    assert reader.attributes["made_by"] == "again"
    for view, array in zip(reader.views(["f3", "f0"]), (arrays["f3"], arrays["f0"]), strict=True):
        np.testing.assert_array_equal(view, array.astype(np.float16))


def test_settings_that_differ_are_told_decoded(tmp_path):
    write(tmp_path / "x.hdf5", {"f": np.ones(2, np.float32)})
    for change in ({"model": "n"}, {"layers": 3}, {"numbers": {}}, {"dtype": "float32"}):
        other = ClipArrayParts(tmp_path / "x.hdf5", SETTINGS | change)
        assert other.finished() == {}
        assert not other.is_complete(["f"])
        assert other.replaces() == (
            '{"dtype": "float16", "layers": null, "model": "m", "numbers": {"a": [2, 3], "b": 1}}'
        )
    assert ClipArrayParts(tmp_path / "x.hdf5", SETTINGS).replaces() is None


def test_settings_nested_without_end_are_told_as_they_are(tmp_path):
    write(tmp_path / "x.hdf5", {"f": np.ones(2, np.float32)})
    with h5py.File(tmp_path / "x.hdf5", "r+") as file:
        file.attrs["numbers"] = "[" * 60_000
    assert '"[[[[' in ClipArrayParts(tmp_path / "x.hdf5", SETTINGS).replaces()


def test_a_file_of_another_program_is_not_replaced(tmp_path):
    with h5py.File(tmp_path / "x.hdf5", "w") as file:
        file["f"] = np.ones(2)
    content = (tmp_path / "x.hdf5").read_bytes()
    parts = ClipArrayParts(tmp_path / "x.hdf5", SETTINGS)
    assert parts.replaces() == '{"dtype": "", "layers": "", "model": "", "numbers": ""}'
    assert parts.finished() == {}
    with pytest.raises(ForeignFileError, match=r"x\.hdf5: is a file of another program, or a broken one"):
        write(tmp_path / "x.hdf5", {"f": np.ones(2, np.float32)})
    assert (tmp_path / "x.hdf5").read_bytes() == content


def test_notes_are_no_settings_and_may_be_long(tmp_path):
    note = "x" * 200_000  # HDF5 holds no other attribute over 64 kB
    parts = write(tmp_path / "x.hdf5", {"f": np.ones(2, np.float32)}, notes={"left_out": note})
    assert parts.note("left_out") == note
    assert parts.note("other") == ""
    assert parts.is_complete(["f"])
    (tmp_path / "x.hdf5").write_bytes(b"cut")
    assert parts.note("left_out") == ""
    (tmp_path / "x.hdf5").unlink()
    assert parts.note("left_out") == ""


def test_arrays_that_are_missing_are_told(tmp_path):
    write(tmp_path / "x.hdf5", {"f": np.ones(2, np.float32)})
    with pytest.raises(ArtefactError, match=r"no features for 1 of 2 clips, the first is fid g; add them: again"):
        ClipArrayReader(tmp_path / "x.hdf5", "again").views(["f", "g"])
