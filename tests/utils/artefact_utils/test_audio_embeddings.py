"""Vectors of clips: the project's own file, and those of other programs."""

import os
import pickle
from pathlib import Path

import h5py
import numpy as np
import pytest

from utils.artefact_utils import (
    Clip,
    EmbeddingParts,
    EmbeddingSettings,
    EmbeddingSource,
    front_end_mark,
    input_text,
    read_audio_embeddings,
    vector_tables,
)
from utils.cli_utils import ArtefactError

INPUT = "16000 Hz, windows of at most 30 s"
SETTINGS = EmbeddingSettings("vectors", "some/model", "sha256:1", None, "mean", INPUT, "fp32", "float32")
CLIPS = [Clip(f"f{n}", f"clip {n}.wav", f"audio/val/clip {n}.wav", 1.0, 16_000, 1, f"id-{n}") for n in range(4)]


def vector(number, width=3):
    return np.random.default_rng(number).standard_normal(width).astype(np.float32)


VECTORS = np.stack([vector(n) for n in range(4)])


def write_own(path, vectors, settings=SETTINGS, left_out=None):
    parts = EmbeddingParts(path, settings)
    parts.write_part(list(vectors), ((fid, iter([array])) for fid, array in vectors.items()))
    parts.finish(list(vectors), left_out or {}, "made")
    return path


def own(path, model="some/model", layers=None):
    return EmbeddingSource(path, model, layers, "write it again", path.parent / "features", 30.0)


def foreign(path):
    return own(path, None)


def refused(source, clips=CLIPS, split="val"):
    with pytest.raises(ArtefactError) as error:
        read_audio_embeddings(source, clips, split)
    text = str(error.value)
    assert text.startswith(str(source.path))
    assert source.repair in text
    assert "\n" not in text
    return text


def test_the_file_says_what_made_it(tmp_path):
    path = write_own(tmp_path / "x.hdf5", {"f0": vector(0)}, left_out={"f1": "silent"})
    with h5py.File(path) as file:
        assert dict(file.attrs) == {
            "format_version": 1,
            "kind": "vectors",
            "model": "some/model",
            "revision": "sha256:1",
            "layers": "all",
            "pooling": "mean",
            "input": INPUT,
            "precision": "fp32",
            "dtype": "float32",
            "made_by": "made",
            "left_out": '{"f1": "silent"}',
        }
        np.testing.assert_array_equal(file["f0"], vector(0))
    assert EmbeddingParts(path, SETTINGS).left_out() == {"f1": "silent"}
    assert EmbeddingParts(path, SETTINGS._replace(layers=6)).finished() == {}


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_vectors_come_in_the_order_asked_for(tmp_path, dtype):
    path = write_own(tmp_path / "x.hdf5", {f"f{n}": vector(n) for n in (2, 0, 3, 1)}, SETTINGS._replace(dtype=dtype))
    table = read_audio_embeddings(own(path), CLIPS, "val")
    assert table.vectors.dtype == np.float32
    np.testing.assert_array_equal(table.vectors, VECTORS.astype(dtype))
    assert table.kept.all()
    assert table.left_out == {}
    np.testing.assert_array_equal(read_audio_embeddings(own(path), CLIPS[1:3], "val").vectors, table.vectors[1:3])


@pytest.mark.parametrize("reader", [own, foreign])
def test_clips_that_the_encoder_refused_are_told(tmp_path, reader):
    reasons = {"f1": "silent", "elsewhere": "too short"}
    path = write_own(tmp_path / "x.hdf5", {f"f{n}": vector(n) for n in (0, 2, 3)}, left_out=reasons)
    table = read_audio_embeddings(reader(path), CLIPS, "val")
    assert table.kept.tolist() == [True, False, True, True]
    assert table.left_out == {"f1": "silent"}
    np.testing.assert_array_equal(table.vectors, VECTORS * table.kept[:, None])


def test_a_table_too_large_for_memory_is_mapped_from_a_file_without_a_name(tmp_path, monkeypatch):
    monkeypatch.setattr(vector_tables, "MEMORY_BYTES", 40)
    path = write_own(tmp_path / "x.hdf5", {f"f{n}": vector(n) for n in range(4)})
    table = read_audio_embeddings(own(path), CLIPS, "val")
    assert isinstance(table.vectors, np.memmap)
    np.testing.assert_array_equal(table.vectors, VECTORS)
    assert os.listdir(tmp_path / "features") == []  # noqa: PTH208


def test_a_file_of_another_model_is_refused(tmp_path):
    path = write_own(tmp_path / "x.hdf5", {"f0": vector(0)})
    text = refused(own(path, "other/model"))
    assert "model is some/model, this run wants other/model; write it again: write it again" in text
    assert "layers is all, this run wants 6" in refused(own(path, layers=6))
    frames = write_own(tmp_path / "y.hdf5", {"f0": VECTORS}, SETTINGS._replace(kind="frames"))
    assert "kind is frames, this run wants vectors" in refused(own(frames))
    with h5py.File(tmp_path / "z.hdf5", "w") as file:
        file["f0"] = vector(0)
    assert "format version is None, this program reads 1" in refused(own(tmp_path / "z.hdf5"))
    assert "no such file; write it: write it again" in refused(own(tmp_path / "none.hdf5"))


def test_what_an_own_file_lacks_or_breaks(tmp_path):
    path = write_own(tmp_path / "x.hdf5", {"f0": vector(0), "f3": vector(3)})
    assert "no embedding for 2 of 4 clips, the first is fid f1; add them: write it again" in refused(own(path))
    path = write_own(tmp_path / "y.hdf5", {f"f{n}": vector(n, 3 + (n == 2)) for n in range(4)})
    assert "the embedding of 'f2' has 4 dimensions, that of 'f0' has 3, expected one dimension" in refused(own(path))
    bad = {f"f{n}": vector(n) * (np.nan if n == 1 else 1) for n in range(4)}
    assert "the embedding of 'f1' holds NaN or infinite values" in refused(own(write_own(tmp_path / "z.hdf5", bad)))
    everything = {clip.fid: "silent" for clip in CLIPS}
    path = write_own(tmp_path / "w.hdf5", {"f9": vector(0)}, left_out=everything)
    assert "holds no embedding of these clips" in refused(own(path))


def write_foreign(folder: Path, suffix: str, vectors: dict) -> Path:
    path = folder / f"foreign{suffix}"
    if suffix in (".hdf5", ".h5"):
        with h5py.File(path, "w") as file:
            for key, value in vectors.items():
                file[key] = value
    elif suffix == ".npz":
        np.savez(path, **vectors)
    else:
        path.write_bytes(pickle.dumps(vectors, protocol=2 if suffix == ".pkl" else 5))
    return path


KEYS = {
    "fid": lambda clip: clip.fid,
    "path": lambda clip: clip.path,
    "split/file name": lambda clip: f"val/{clip.fname}",
    "file name": lambda clip: clip.fname,
    "source_id": lambda clip: clip.source_id,
}


@pytest.mark.parametrize("kind", KEYS)
@pytest.mark.parametrize("suffix", [".hdf5", ".h5", ".npz", ".pkl", ".pickle"])
def test_vectors_of_other_programs_by_any_name_of_a_clip(tmp_path, suffix, kind):
    vectors = {KEYS[kind](clip): vector(n) for n, clip in enumerate(CLIPS)} | {"another": vector(9)}
    table = read_audio_embeddings(foreign(write_foreign(tmp_path, suffix, vectors)), CLIPS, "val")
    np.testing.assert_array_equal(table.vectors, VECTORS)
    assert table.keyed_by == kind
    assert table.kept.all()


@pytest.mark.parametrize("dtype", ["<f2", ">f4", "f8"])
@pytest.mark.parametrize("suffix", [".hdf5", ".npz", ".pkl"])
def test_floats_of_any_size_and_rows_of_one(tmp_path, suffix, dtype):
    vectors = {clip.fid: vector(n)[None].astype(dtype) for n, clip in enumerate(CLIPS)}
    table = read_audio_embeddings(foreign(write_foreign(tmp_path, suffix, vectors)), CLIPS, "val")
    np.testing.assert_array_equal(table.vectors, VECTORS.astype(dtype).astype(np.float32))


def test_compressed_datasets(tmp_path):
    with h5py.File(tmp_path / "x.hdf5", "w") as file:
        for n, clip in enumerate(CLIPS):
            file.create_dataset(clip.fid, data=vector(n), compression="gzip")
    np.testing.assert_array_equal(read_audio_embeddings(foreign(tmp_path / "x.hdf5"), CLIPS, "val").vectors, VECTORS)


@pytest.mark.parametrize("name", ["fid", "audio_path", "fname", "uniq_id"])
def test_a_list_of_dicts_is_read_by_the_clips_in_it(tmp_path, name):
    field = {"fid": "fid", "audio_path": "path", "fname": "fname", "uniq_id": "source_id"}[name]
    rows = [{name: getattr(clip, field), "audio_embedding": vector(n)} for n, clip in enumerate(CLIPS) for _ in "ab"]
    path = tmp_path / "x.pkl"
    path.write_bytes(pickle.dumps(rows))
    np.testing.assert_array_equal(read_audio_embeddings(foreign(path), CLIPS, "val").vectors, VECTORS)
    rows[1]["audio_embedding"] = vector(8)
    path.write_bytes(pickle.dumps(rows))
    assert f"two rows of {name} {rows[0][name]!r} have different embeddings" in refused(foreign(path))
    del rows[1]["audio_embedding"]
    path.write_bytes(pickle.dumps(rows))
    assert f"row 1 has no audio_embedding, or no {name}" in refused(foreign(path))


def test_foreign_keys_that_do_not_fit(tmp_path):
    vectors = {clip.fname: vector(n) for n, clip in enumerate(CLIPS)}
    path = write_foreign(tmp_path, ".hdf5", {"a/x": vector(0), "b": vector(1)})
    text = refused(foreign(path))
    assert "no key fits a clip of split 'val': found 'a/x', 'b', expected keys by fid, file name, 'val/<file " in text
    assert "such as 'f0' or 'clip 0.wav'" in text
    del vectors["clip 2.wav"]
    path = write_foreign(tmp_path, ".npz", vectors)
    text = refused(foreign(path))
    assert "no embedding for 1 of 4 clips of split 'val', found by file name; the first is 'clip 2.wav'" in text
    twins = [CLIPS[0], CLIPS[1], CLIPS[1]._replace(fid="twin", path="other/clip 1.wav", source_id="twin")]
    assert "several clips of split 'val' share the file name 'clip 1.wav'" in refused(foreign(path), twins)


def test_foreign_arrays_that_do_not_fit(tmp_path):
    def with_last(value, suffix=".pkl"):
        values = {clip.fid: vector(n) for n, clip in enumerate(CLIPS)} | {"f3": value}
        return refused(foreign(write_foreign(tmp_path, suffix, values)))

    assert "the embedding of 'f3' is float32 (4, 3), expected floats (D,); these are frames, average" in with_last(
        VECTORS
    )
    assert "the embedding of 'f3' is int64 (3,), expected floats (D,)" in with_last(np.arange(3))
    assert "the embedding of 'f3' is float64 (), expected floats (D,)" in with_last(np.float64(1), ".hdf5")
    assert "the embedding of 'f3' is float64 (0,), expected floats (D,)" in with_last(np.zeros(0), ".npz")
    assert "the embedding of 'f3' has 4 dimensions, that of 'f0' has 3" in with_last(vector(0, 4), ".hdf5")
    assert "the embedding of 'f3' holds NaN or infinite values (as float32)" in with_last(np.full(3, 1e300))
    assert "the embedding of 'f3' holds NaN or infinite values" in with_last(np.full(3, np.nan), ".npz")


class Evil:
    def __reduce__(self):
        return exec, ("print(1)",)


def test_foreign_files_that_cannot_be_read(tmp_path, capsys):
    assert "suffix '.csv' is none of .hdf5, .h5, .npz, .pkl, .pickle" in refused(foreign(tmp_path / "x.csv"))
    for suffix in (".hdf5", ".npz", ".pkl"):
        path = tmp_path / f"x{suffix}"
        assert "no such file; write it again" in refused(foreign(path))
        path.write_bytes(b"not what the suffix says")
        assert "not a complete" in refused(foreign(path))
    np.savez(tmp_path / "x.npz", f0=np.array([{}], object), f1=VECTORS[1])
    assert "not a complete file of plain numpy arrays (Object arrays cannot" in refused(
        foreign(tmp_path / "x.npz"), CLIPS[:1]
    )
    (tmp_path / "x.pkl").write_bytes(pickle.dumps({"f0": Evil()}))
    assert "refused: it names builtins.exec" in refused(foreign(tmp_path / "x.pkl"))
    assert capsys.readouterr().out == ""
    (tmp_path / "x.pkl").write_bytes(pickle.dumps(VECTORS))
    assert "found ndarray, expected a dict of vectors or a list of dicts" in refused(foreign(tmp_path / "x.pkl"))
    (tmp_path / "x.pkl").write_bytes(pickle.dumps([]))
    assert "found none, expected keys by fid" in refused(foreign(tmp_path / "x.pkl"))


PANNS = "32000 Hz, windows of at most 30 s, panns (32000 Hz, 64 mels) "


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": "frames"}, "kind is frames, this run wants vectors"),
        ({"model": "other"}, "model is other, this run wants some/model"),
        ({"layers": 6}, "layers is 6, this run wants all"),
        ({"precision": "fp16"}, "precision is fp16, this run wants fp32 (or set data.audio_embeddings.precision=fp16)"),
        (
            {"input": "16000 Hz, windows of at most 20 s"},
            "its longest window is 20 s, this run wants data.max_duration",
        ),
        (
            {"input": "16000 Hz, windows of at most 40 s"},
            "its longest window is 40 s, this run wants data.max_duration",
        ),
        ({"input": "16000 Hz, windows of at most 40 s, its limit"}, "its longest window is 40 s"),
        ({"input": f"{PANNS}{front_end_mark({'n_mels': 65})}"}, "front-end is panns (32000 Hz, 64 mels)"),
        ({"input": "loud"}, "input is 'loud', expected sample rate and longest window"),
        ({"input": "0 Hz, windows of at most 30 s"}, "expected sample rate and longest window"),
    ],
)
def test_vectors_made_otherwise_are_refused(tmp_path, changes, message):
    path = write_own(tmp_path / "x.hdf5", {"f0": vector(0)}, SETTINGS._replace(**changes))
    source = own(path)._replace(front_end=front_end_mark({"n_mels": 64}))
    assert message in refused(source, CLIPS[:1])


@pytest.mark.parametrize(
    ("found", "source"),
    [
        (INPUT, {}),
        (f"{INPUT}, its limit", {}),
        ("48000 Hz, windows of at most 10 s, its limit", {}),  # shorter, since CLAP takes no more
        ("16000 Hz, windows of at most 0.5 s, its least", {"max_duration_s": 0.3}),
        ("16000 Hz, windows of at most 0.333313 s", {"max_duration_s": 1 / 3}),
        (f"{PANNS}{front_end_mark({'n_mels': 64})}", {"front_end": front_end_mark({"n_mels": 64})}),
        (f"{PANNS}{front_end_mark({'n_mels': 64})}", {}),  # an exported encoder brings its own
    ],
)
def test_vectors_made_so_are_read(tmp_path, found, source):
    path = write_own(tmp_path / "x.hdf5", {"f0": vector(0)}, SETTINGS._replace(input=found))
    table = read_audio_embeddings(own(path)._replace(**source), CLIPS[:1], "val")
    assert table.made_with["input"] == found
    assert table.revision == "sha256:1"


def test_what_a_cpu_computed_serves_every_precision(tmp_path):
    path = write_own(tmp_path / "x.hdf5", {"f0": vector(0)})
    assert read_audio_embeddings(own(path)._replace(precision="bf16"), CLIPS[:1], "val").revision == "sha256:1"


def test_an_input_says_what_bounds_its_window():
    assert input_text(16_000, 480_000, "", "") == INPUT
    assert input_text(48_000, 480_000, "limit", "") == "48000 Hz, windows of at most 10 s, its limit"
    assert input_text(8000, 4000, "least", "x [1]") == "8000 Hz, windows of at most 0.5 s, its least, x [1]"
