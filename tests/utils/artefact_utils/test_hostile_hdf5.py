"""HDF5 files made to lead elsewhere, to fill memory, or to hold what is no array of floats."""

import contextlib
import fcntl
import os
import tempfile
from pathlib import Path

import h5py
import numpy as np
import pytest

from tests.utils.artefact_utils.retrieval.test_scores import write as write_matrix
from tests.utils.artefact_utils.test_audio_embeddings import CLIPS, SETTINGS, foreign, own, write_own
from tests.utils.artefact_utils.test_logmels import NUMBERS, features
from tests.utils.artefact_utils.test_logmels import SETTINGS as LOGMEL_SETTINGS
from tests.utils.artefact_utils.test_logmels import write as write_logmels
from utils.artefact_utils import (
    EmbeddingParts,
    LogMelParts,
    LogMelReader,
    UnreadableError,
    hdf5_arrays,
    load_pickle,
    read_audio_embeddings,
    read_text_table,
)
from utils.artefact_utils.retrieval import ScoreReader
from utils.cli_utils import ArtefactError

FLOATS = np.ones((3, 4), np.float32)


def soft_link(file, name):
    file["elsewhere"] = FLOATS
    file[name] = h5py.SoftLink("/elsewhere")


def loop(file, name):
    file[name] = h5py.SoftLink(f"/{name}")


def external_link(file, name):
    with h5py.File(Path(file.filename).with_name("secret.hdf5"), "w") as other:
        other["x"] = FLOATS
    file[name] = h5py.ExternalLink("secret.hdf5", "/x")


def external_storage(file, name):
    secret = Path(file.filename).with_name("secret")
    secret.write_bytes(FLOATS.tobytes())
    file.create_dataset(name, FLOATS.shape, "f4", external=[(str(secret), 0, FLOATS.nbytes)])


def virtual(file, name):
    with h5py.File(Path(file.filename).with_name("secret.hdf5"), "w") as other:
        other["x"] = FLOATS
    layout = h5py.VirtualLayout(FLOATS.shape, "f4")
    layout[:] = h5py.VirtualSource("secret.hdf5", "x", FLOATS.shape)
    file.create_virtual_dataset(name, layout)


def unwritten_chunks(file, name):
    file.create_dataset(name, (10**9, 4), "f4", chunks=(1000, 4))


def unwritten(file, name):
    file.create_dataset(name, (10**9, 4), "f4")


def packed_nothing(file, name):
    file.create_dataset(name, (10**7, 4), "f4", chunks=(10**6, 4), compression="gzip")[:10] = 1


def values(array):
    def write(file, name):
        file[name] = array

    write.__name__ = f"{np.asarray(array).dtype} {np.shape(array)}"
    return write


LEADING_OUT = {
    soft_link: "is a link to another name or file",
    loop: "is a link to another name or file",
    external_link: "is a link to another name or file",
    external_storage: "in other files",
    virtual: "in other files",
}
TOO_LARGE = {
    unwritten_chunks: "has a header for 16000000000 bytes, but 0 are",
    unwritten: "nothing of it was written",
    packed_nothing: "has a header for 160000000 bytes",
}
NO_FLOATS = {
    values(np.ones((3, 4), np.complex64)): "is complex64 (3, 4), expected floats",
    values(np.ones((3, 4), np.int32)): "is int32 (3, 4), expected floats",
    values(np.array([[b"a"]])): "expected floats",
    values(np.float32(1)): "is float32 (), expected floats",
    values(np.ones((0, 4), np.float32)): "is float32 (0, 4), expected floats",
    values(np.ones((3, 0), np.float32)): "is float32 (3, 0), expected floats",
    values(np.ones((2, 3, 4), np.float32)): "is float32 (2, 3, 4), expected floats",
    (lambda file, name: file.create_group(name)): "is no dataset",
    (lambda file, name: file.create_dataset(name, data="text", dtype=h5py.string_dtype())): "expected floats",
    (lambda file, name: file.create_dataset(name, dtype="f4", data=h5py.Empty("f4"))): "expected floats",
}
ALL = [*(LEADING_OUT | TOO_LARGE | NO_FLOATS).items()]


def spoil(path, name, attack):
    with h5py.File(path, "r+") as file:
        if name in file:
            del file[name]
        attack(file, name)


@pytest.mark.parametrize(("attack", "message"), ALL)
def test_log_mels_are_not_read_from_it_and_are_made_again(tmp_path, attack, message):
    path = tmp_path / "x.hdf5"
    write_logmels(path, [0, 1])
    spoil(path, "f1", attack)
    with pytest.raises(ArtefactError) as error:
        LogMelReader(path, NUMBERS, "again").views(["f0", "f1"])
    assert message in str(error.value)
    assert str(error.value).startswith(f"{path}: ")
    assert str(error.value).endswith("write it again: again")
    parts = LogMelParts(path, LOGMEL_SETTINGS)
    of_another_shape = message in ("is float32 (), expected floats", "is float32 (2, 3, 4), expected floats")
    assert parts.is_complete(["f0", "f1"]) == of_another_shape


def test_names_that_are_no_text_are_refused_and_made_again(tmp_path):
    path = tmp_path / "x.hdf5"
    write_logmels(path, [0, 1])
    with h5py.File(path, "r+") as file:
        h5py.h5d.create(file.id, b"\xff\xfe", h5py.h5t.IEEE_F32LE, h5py.h5s.create_simple((4, 4)))
    with pytest.raises(ArtefactError, match=r"x\.hdf5: it holds the name b'.xff.xfe', which is no text; .*: again"):
        LogMelReader(path, NUMBERS, "again").views(["f0", "f1"])
    assert not LogMelParts(path, LOGMEL_SETTINGS).is_complete(["f0", "f1"])


@pytest.mark.parametrize("width", [3, 5])
def test_log_mels_of_another_number_of_bands_are_refused(tmp_path, width):
    write_logmels(tmp_path / "x.hdf5", [0])
    spoil(tmp_path / "x.hdf5", "f0", values(np.ones((7, width), np.float32)))
    with pytest.raises(ArtefactError, match=rf"'f0' is float32 \(7, {width}\), expected floats \(T > 0, 4\)"):
        LogMelReader(tmp_path / "x.hdf5", NUMBERS, "again").views(["f0"])


@pytest.mark.parametrize(("attack", "message"), ALL)
@pytest.mark.parametrize("source", [own, foreign])
def test_vectors_are_not_read_from_it(tmp_path, attack, message, source):
    path = write_own(tmp_path / "x.hdf5", {f"f{n}": np.ones(3, np.float32) for n in range(4)})
    spoil(path, "f2", attack)
    with pytest.raises(ArtefactError) as error:
        read_audio_embeddings(source(path), CLIPS, "val")
    text = str(error.value)
    assert text.startswith(f"{path}: ")
    assert message.partition(", of which")[0] in text or "expected floats (D,)" in text or "is no dataset" in text or (
        "expected a vector (D,)" in text or "no embedding for" in text
    )  # fmt: skip
    assert "secret" not in text


def test_groups_that_are_links_are_not_entered(tmp_path):
    with h5py.File(tmp_path / "secret.hdf5", "w") as file:
        file["val/clip 0.wav"] = np.ones(3, np.float32)
    with h5py.File(tmp_path / "x.hdf5", "w") as file:
        file["val"] = h5py.ExternalLink("secret.hdf5", "/val")
    with pytest.raises(ArtefactError, match="'val' is a link to another name or file"):
        read_audio_embeddings(foreign(tmp_path / "x.hdf5"), CLIPS[:1], "val")


@pytest.mark.parametrize("name", ["scores", "text_embeddings", "audio_embeddings"])
@pytest.mark.parametrize(("attack", "message"), ALL)
def test_scores_are_not_read_from_it(tmp_path, name, attack, message):
    write_matrix(tmp_path / "x.hdf5", (3, 4))
    spoil(tmp_path / "x.hdf5", name, attack)
    with pytest.raises(ArtefactError) as error:
        ScoreReader(tmp_path / "x.hdf5", "again")
    assert message in str(error.value) or "do not fit" in str(error.value)


def test_scores_of_other_shapes_or_ids_are_refused(tmp_path):
    path = tmp_path / "x.hdf5"
    for name, array, message in (
        ("scores", np.ones((4, 3), np.float32), r"'scores' is float32 \(4, 3\), which 3 tid and 4 fid do not fit"),
        ("audio_embeddings", np.ones((3, 2), np.float32), "which 3 tid and 4 fid do not fit"),
        ("tid", np.ones(3), r"'tid' is float64 \(3,\), expected texts"),
        ("fid", np.array([[b"a", b"b"]]), r"expected texts \(N,\)"),
    ):
        write_matrix(path, (3, 4))
        spoil(path, name, values(array))
        with pytest.raises(ArtefactError, match=message):
            ScoreReader(path, "again")
    write_matrix(path, (3, 4))
    with h5py.File(path, "r+") as file:
        file.attrs["left_out"] = "{"
    with ScoreReader(path, "again") as reader, pytest.raises(ArtefactError, match="left_out is no list of fids"):
        reader.left_out()


@pytest.mark.parametrize("note", [[1, 2], np.ones((3, 3)), h5py.Empty("f4"), 1.5])
def test_attributes_that_are_no_texts_are_refused_and_replaced(tmp_path, note):
    path = write_own(tmp_path / "x.hdf5", {"f0": np.ones(3, np.float32)})
    with h5py.File(path, "r+") as file:
        file.attrs["model"] = note
    with pytest.raises(ArtefactError, match="attribute 'model' is no text"):
        read_audio_embeddings(own(path), CLIPS[:1], "val")
    assert EmbeddingParts(path, SETTINGS).finished() == {}


@pytest.mark.parametrize("note", ["{", "[1]", '{"a": 1}', "[" * 100_000])
def test_notes_that_are_no_json_are_refused(tmp_path, note):
    path = write_own(tmp_path / "x.hdf5", {"f0": np.ones(3, np.float32)})
    with h5py.File(path, "r+") as file:
        file.attrs.create("left_out", note, dtype=h5py.string_dtype())
    with pytest.raises(ArtefactError, match="left_out is no JSON object of fid and reason"):
        read_audio_embeddings(own(path), CLIPS[:1], "val")
    assert EmbeddingParts(path, SETTINGS).left_out() in ({}, {"a": 1})


def test_compressed_and_chunked_arrays_of_floats_are_read(tmp_path):
    write_logmels(tmp_path / "x.hdf5", [0])
    silence = np.full((5000, 4), -18.4, np.float32)  # as well packed as a log-mel can be
    with h5py.File(tmp_path / "x.hdf5", "r+") as file:
        file.create_dataset("silence", data=silence, compression="gzip", compression_opts=9, shuffle=True)
        file.create_dataset("half", data=silence.astype("f2"), chunks=(7, 3), fletcher32=True)
    views = LogMelReader(tmp_path / "x.hdf5", NUMBERS, "again").views(["silence", "f0", "half"])
    np.testing.assert_array_equal(views[0][:], silence)
    np.testing.assert_array_equal(views[1], features(0))
    np.testing.assert_array_equal(views[2][10:20], silence[10:20].astype("f2"))


def test_a_chunk_is_no_larger_than_memory_allows(tmp_path, monkeypatch):
    monkeypatch.setattr(hdf5_arrays, "_CHUNK_BYTES", 1000)
    write_logmels(tmp_path / "x.hdf5", [0])
    with h5py.File(tmp_path / "x.hdf5", "r+") as file:
        file.create_dataset("f1", data=np.ones((300, 4), "f4"), chunks=(300, 4), compression="gzip")
    with pytest.raises(ArtefactError, match="'f1' is stored in chunks of 4800 bytes, expected at most 1000"):
        LogMelReader(tmp_path / "x.hdf5", NUMBERS, "again").views(["f1"])


def test_readers_need_no_lock(tmp_path):
    write_logmels(tmp_path / "logmels.hdf5", [0])
    write_own(tmp_path / "vectors.hdf5", {"f0": np.ones(3, np.float32)})
    write_matrix(tmp_path / "scores.hdf5", (3, 4))
    with contextlib.ExitStack() as held:
        for path in tmp_path.iterdir():
            stream = held.enter_context(path.open("rb"))
            fcntl.flock(stream, fcntl.LOCK_EX)
            with pytest.raises(OSError, match="lock"):  # what h5py itself says: so the lock is in its way
                h5py.File(path, "r")
        np.testing.assert_array_equal(
            LogMelReader(tmp_path / "logmels.hdf5", NUMBERS, "").views(["f0"])[0], features(0)
        )
        assert LogMelParts(tmp_path / "logmels.hdf5", LOGMEL_SETTINGS).is_complete(["f0"])
        for source in (own, foreign):
            assert read_audio_embeddings(source(tmp_path / "vectors.hdf5"), CLIPS[:1], "val").vectors.shape == (1, 3)
        with ScoreReader(tmp_path / "scores.hdf5", "") as reader:
            assert len(reader.tids) == 3


@contextlib.contextmanager
def no_permission(*paths):
    """Take the right to read away, also from root."""
    for path in paths:
        path.chmod(0)
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


def test_what_may_not_be_read_is_neither_broken_nor_absent():
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        path, table = Path(folder) / "x.hdf5", Path(folder) / "x.csv"
        write_logmels(path, [0])
        table.write_text("tid\n")
        parts = LogMelParts(path, LOGMEL_SETTINGS)
        with no_permission(path, table):
            for read in (
                lambda: LogMelReader(path, NUMBERS, "again"),
                lambda: ScoreReader(path, "again"),
                lambda: parts.is_complete(["f0"]),
                parts.finished,
                parts.replaces,
                lambda: parts.note("left_out"),
                lambda: load_pickle(path, "again"),
                lambda: read_audio_embeddings(own(path), CLIPS[:1], "val"),
                lambda: read_audio_embeddings(foreign(path), CLIPS[:1], "val"),
                lambda: read_text_table(table, "again"),
            ):
                with pytest.raises(UnreadableError, match=r"x\.(hdf5|csv): no permission to read it; make it"):
                    read()


@pytest.mark.parametrize(
    ("number", "message"),
    [(37, "grants no locks; set HDF5_USE_FILE_LOCKING=FALSE"), (5, "input/output error"), (116, "stale file handle")],
)
def test_what_the_disk_says_is_told(tmp_path, monkeypatch, number, message):
    write_logmels(tmp_path / "x.hdf5", [0])

    def refuses(*arguments, **named):
        raise OSError(f"Unable to synchronously open file (errno = {number}, error message = 'x')")

    monkeypatch.setattr(h5py, "File", refuses)
    for read in (
        lambda: LogMelReader(tmp_path / "x.hdf5", NUMBERS, "again"),
        lambda: LogMelParts(tmp_path / "x.hdf5", LOGMEL_SETTINGS).is_complete(["f0"]),
        lambda: LogMelParts(tmp_path / "x.hdf5", LOGMEL_SETTINGS).note("left_out"),
    ):
        with pytest.raises(UnreadableError, match=message):
            read()


def test_pipes_and_folders_are_named(tmp_path):
    os.mkfifo(tmp_path / "pipe.hdf5")
    (tmp_path / "folder.hdf5").mkdir()
    for name, found in (("pipe", "is a pipe, a socket or a device"), ("folder", "is a folder")):
        with pytest.raises(ArtefactError, match=rf"{name}\.hdf5: {found}, expected a file; write it: again"):
            LogMelReader(tmp_path / f"{name}.hdf5", NUMBERS, "again")
