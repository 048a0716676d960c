"""Log-mel files: parts, assembly, mapped reading."""

import json
import multiprocessing
import re
import resource
from pathlib import Path

import h5py
import numpy as np
import pytest

from utils.artefact_utils import LogMelParts, LogMelReader, LogMelSettings
from utils.audio_utils import AudioError
from utils.cli_utils import ArtefactError

NUMBERS = {"sample_rate_hz": 8000, "n_mels": 4}
SETTINGS = LogMelSettings(NUMBERS)


def features(number, frames=None):
    rng = np.random.default_rng(number)
    return rng.standard_normal((frames or 3 + number % 5, 4)).astype(np.float32)


def write_part(parts, numbers, blocks=1):
    fids = [f"f{n}" for n in numbers]
    return parts.write_part(
        fids, ((f, iter(np.array_split(features(n), blocks))) for f, n in zip(fids, numbers, strict=True))
    )


def write(path, numbers, settings=SETTINGS):
    parts = LogMelParts(path, settings)
    write_part(parts, numbers)
    parts.assemble([f"f{n}" for n in numbers], "python -m made")
    return parts


def test_the_layout_is_one_dataset_a_clip_with_the_settings_as_attributes(tmp_path):
    write(tmp_path / "x.hdf5", [2, 0, 1])
    with h5py.File(tmp_path / "x.hdf5") as file:
        assert set(file) == {"f0", "f1", "f2"}
        for number in range(3):
            np.testing.assert_array_equal(file[f"f{number}"][:], features(number))
            assert file[f"f{number}"].dtype == np.float32
        assert dict(file.attrs) == {
            "format_version": 1,
            "front_end": json.dumps(NUMBERS, sort_keys=True),
            "dtype": "float32",
            "made_by": "python -m made",
        }
    assert [p.name for p in tmp_path.iterdir()] == ["x.hdf5"]


def test_parts_give_the_bytes_of_one_piece(tmp_path):
    write(tmp_path / "whole.hdf5", range(9))
    parts = LogMelParts(tmp_path / "pieces.hdf5", SETTINGS)
    for numbers in ([7, 8], [3, 4, 5], [0, 1], [6, 2]):
        write_part(parts, numbers)
    assert set(parts.finished()) == {f"f{n}" for n in range(9)}
    assert not parts.is_complete([f"f{n}" for n in range(9)])
    parts.assemble([f"f{n}" for n in range(9)], "python -m made")
    assert (tmp_path / "pieces.hdf5").read_bytes() == (tmp_path / "whole.hdf5").read_bytes()
    assert parts.is_complete([f"f{n}" for n in range(9)])
    assert not parts.is_complete([f"f{n}" for n in range(8)])


def test_many_parts_need_few_open_files(tmp_path):
    parts = LogMelParts(tmp_path / "x.hdf5", SETTINGS)
    for number in range(60):
        write_part(parts, [number])
    order = [f"f{n}" for n in np.random.default_rng(0).permutation(60)]

    def assemble():
        opened = len(list(Path("/proc/self/fd").iterdir()))
        resource.setrlimit(resource.RLIMIT_NOFILE, (opened + 30, opened + 30))
        parts.assemble(order, "")

    child = multiprocessing.get_context("fork").Process(target=assemble)  # the limit is that of a process
    child.start()
    child.join()
    assert child.exitcode == 0
    assert parts.is_complete(order)


def test_clips_that_cannot_be_decoded_are_left_out_of_the_part(tmp_path):
    def breaks():
        yield features(1)
        yield features(2)
        raise AudioError("is truncated")

    def breaks_at_once():
        raise AudioError("holds no samples")
        yield

    parts = LogMelParts(tmp_path / "x.hdf5", SETTINGS)
    clips = [("a", iter([features(0)])), ("b", breaks()), ("c", breaks_at_once()), ("d", iter([features(3)]))]
    assert parts.write_part(["a", "b", "c", "d"], clips) == [("b", "is truncated"), ("c", "holds no samples")]
    assert set(parts.finished()) == {"a", "d"}
    parts.assemble(["a", "d"], "")
    with h5py.File(tmp_path / "x.hdf5") as file:
        np.testing.assert_array_equal(file["d"][:], features(3))


def test_an_added_clip_needs_only_its_own_part(tmp_path):
    parts = write(tmp_path / "x.hdf5", [0, 1])
    write_part(parts, [2])
    parts.assemble(["f0", "f2", "f1"], "python -m made")
    write(tmp_path / "whole.hdf5", [0, 2, 1])
    assert (tmp_path / "x.hdf5").read_bytes() == (tmp_path / "whole.hdf5").read_bytes()


def test_half_written_and_foreign_parts_are_not_seen(tmp_path):
    parts = LogMelParts(tmp_path / "x.hdf5", SETTINGS)
    write_part(parts, [0, 1])
    folder = next(tmp_path.glob("x.hdf5.parts-*"))
    whole = next(folder.iterdir())
    for name, content in (
        ("part-cut.hdf5", whole.read_bytes()[:-40]),
        ("part-short.hdf5", whole.read_bytes()[:100]),
        ("part-empty.hdf5", b""),
        ("part-garbage.hdf5", b"not HDF5"),
        (".part-a.hdf5.partial-1", whole.read_bytes()),
    ):
        (folder / name).write_bytes(content)
    assert parts.finished() == {"f0": whole, "f1": whole}
    whole.unlink()
    assert parts.finished() == {}
    other = LogMelParts(tmp_path / "x.hdf5", LogMelSettings(NUMBERS, "float16"))
    write_part(other, [0])
    assert parts.finished() == {}
    assert set(other.finished()) == {"f0"}


@pytest.mark.parametrize("keep", [0, 7, 100, 2000, -1])
def test_a_truncated_feature_file_is_made_again_and_never_read(tmp_path, keep):
    parts = write(tmp_path / "x.hdf5", range(4))
    content = (tmp_path / "x.hdf5").read_bytes()
    (tmp_path / "x.hdf5").write_bytes(content[:keep])
    assert not parts.is_complete(["f0"])
    assert parts.finished() == {}
    assert parts.replaces() is None
    with pytest.raises(ArtefactError, match=r"x\.hdf5: not a complete HDF5 file; write it again: again"):
        LogMelReader(tmp_path / "x.hdf5", NUMBERS, "again")


def test_a_file_of_another_front_end_is_announced_and_left_as_it_is(tmp_path):
    write(tmp_path / "x.hdf5", [0])
    made = (tmp_path / "x.hdf5").read_bytes()
    first = LogMelParts(tmp_path / "x.hdf5", SETTINGS)
    assert (first.path, first.replaces(), first.lies_beside()) == (tmp_path / "x.hdf5", None, None)
    settings = LogMelSettings(NUMBERS | {"n_mels": 5})
    other = LogMelParts(tmp_path / "x.hdf5", settings)
    assert '"n_mels": 4' in other.lies_beside()
    assert other.lies_beside().endswith(" MB)")
    assert other.replaces() is None
    assert other.finished() == {}
    assert not other.is_complete(["f0"])
    assert re.fullmatch(r"x-[0-9a-f]{8}\.hdf5", other.path.name)
    other.write_part(["f0"], [("f0", iter([np.ones((3, 5), np.float32)]))])
    other.assemble(["f0"], "")
    assert (tmp_path / "x.hdf5").read_bytes() == made
    assert LogMelReader(tmp_path / "x.hdf5", NUMBERS, "again").path == tmp_path / "x.hdf5"
    assert LogMelReader(tmp_path / "x.hdf5", settings.front_end, "again").path == other.path
    assert LogMelParts(tmp_path / "x.hdf5", settings).is_complete(["f0"])
    with pytest.raises(ArtefactError, match=r"x\.hdf5: front-end is n_mels 4, this run wants n_mels 6; write it again"):
        LogMelReader(tmp_path / "x.hdf5", NUMBERS | {"n_mels": 6}, "again")
    (tmp_path / "x.hdf5").unlink()  # the other one keeps its name, and is found
    assert LogMelParts(tmp_path / "x.hdf5", settings).path == other.path
    assert LogMelParts(tmp_path / "x.hdf5", SETTINGS).path == tmp_path / "x.hdf5"


def test_parts_of_two_front_ends_are_both_found_again(tmp_path):
    settings = [SETTINGS, LogMelSettings(NUMBERS | {"n_mels": 5})]
    for bands, setting in zip((4, 5), settings, strict=True):
        parts = LogMelParts(tmp_path / "x.hdf5", setting)
        parts.write_part(["f0"], [("f0", iter([np.ones((3, bands), np.float32)]))])
    for setting in reversed(settings):  # whichever is finished first
        parts = LogMelParts(tmp_path / "x.hdf5", setting)
        assert list(parts.finished()) == ["f0"]
        parts.assemble(["f0"], "")
    assert len(list(tmp_path.iterdir())) == 2


def test_a_newer_file_of_the_same_front_end_replaces_it(tmp_path):
    write(tmp_path / "x.hdf5", [0])
    other = LogMelParts(tmp_path / "x.hdf5", SETTINGS._replace(dtype="float16"))
    assert other.path == tmp_path / "x.hdf5"
    assert '"dtype": "float32"' in other.replaces()
    assert LogMelParts(tmp_path / "none.hdf5", SETTINGS).replaces() is None
    with h5py.File(tmp_path / "x.hdf5", "r+") as file:
        file.attrs["format_version"] = 99
    assert not LogMelParts(tmp_path / "x.hdf5", SETTINGS).is_complete(["f0"])


def test_the_reader_gives_views_in_the_order_asked_for(tmp_path):
    parts = LogMelParts(tmp_path / "x.hdf5", SETTINGS)
    write_part(parts, [0, 1])
    write_part(parts, [2], blocks=3)  # a long recording
    parts.assemble(["f0", "f1", "f2"], "")
    views = LogMelReader(tmp_path / "x.hdf5", NUMBERS, "again").views(["f2", "f0", "f1", "f0"])
    for view, number in zip(views, [2, 0, 1, 0], strict=True):
        np.testing.assert_array_equal(view[:], features(number))
        np.testing.assert_array_equal(view[1:3], features(number)[1:3])
    assert isinstance(views[0], h5py.Dataset)
    assert isinstance(views[1].base, np.ndarray)  # mapped, not copied
    with pytest.raises(ValueError, match="read-only"):
        views[1][0, 0] = 1


def test_float16_is_rounded_and_stays_float16(tmp_path):
    settings = LogMelSettings(NUMBERS, "float16")
    parts = LogMelParts(tmp_path / "x.hdf5", settings)
    write_part(parts, [0])
    write_part(parts, [4], blocks=2)
    parts.assemble(["f0", "f4"], "")
    for view, number in zip(LogMelReader(tmp_path / "x.hdf5", NUMBERS, "").views(["f0", "f4"]), [0, 4], strict=True):
        assert view.dtype == np.float16
        np.testing.assert_array_equal(view[:], features(number).astype(np.float16))


def test_what_the_reader_refuses(tmp_path):
    path = tmp_path / "x.hdf5"
    with pytest.raises(ArtefactError, match=r"x\.hdf5: no such file; write it: again"):
        LogMelReader(path, NUMBERS, "again")
    write(path, [0])
    with pytest.raises(
        ArtefactError, match=r"x\.hdf5: front-end is n_mels 4, this run wants n_mels 64; write it again: again"
    ):
        LogMelReader(path, NUMBERS | {"n_mels": 64}, "again")
    with pytest.raises(ArtefactError, match=r"no features for 2 of 3 clips, the first is fid f8; add them: again"):
        LogMelReader(path, NUMBERS, "again").views(["f0", "f8", "f9"])
    with h5py.File(path, "w") as file:
        file["f0"] = features(0)  # as the DCASE 2023 baseline writes it
    with pytest.raises(ArtefactError, match=r"format version is None, this program reads 1; write it again: again"):
        LogMelReader(path, NUMBERS, "again")
