"""Frames of pictures: those of the encoder, the same whether the run was killed or not; broken pictures are listed."""

import os
import signal
from pathlib import Path

import h5py
import numpy as np
import pytest

from models.frozen.images import load_frozen_image
from preprocessing import image_embeddings
from tests.children import KilledAt, in_child
from tests.preprocessing.image_corpus import SPLITS, Corpus
from tests.utils.image_utils.test_decoding import png
from utils.artefact_utils import read_frames
from utils.data_utils import embedding_files
from utils.image_utils import read_image


@pytest.fixture
def corpus(tmp_path, monkeypatch):
    return Corpus(tmp_path, monkeypatch)


def last_line(capsys):
    error = capsys.readouterr().err
    assert "Traceback" not in error
    return error.splitlines()[-1]


def test_every_picture_has_the_frames_of_its_patches(corpus, capsys):
    assert corpus.run() == 0
    printed = capsys.readouterr()
    assert "clip: 16 patches of 16 dimensions, 32 x 32 pixels of the centre, shortest side 32" in printed.out
    assert "frames in float16: 0.0 MB, 0.0 MB while made" in printed.out
    assert "next: python main.py --conf" in printed.out
    assert "picture/s" in printed.err
    encoder = load_frozen_image(str(corpus.folder / "clip"))
    for split in SPLITS:
        clips = corpus.clips(split)
        table = read_frames(corpus.data.frames_source(split), [clip.fid for clip in clips])
        assert table.held.all()
        for clip, view in zip(clips, table.views, strict=True):
            wanted = encoder.frames([read_image(corpus.root / clip.path)])[0]
            assert (view.dtype, view.shape) == (np.float16, (16, 16))
            np.testing.assert_allclose(view[:], wanted, atol=2e-2, rtol=2e-3)
    with h5py.File(corpus.path()) as file:
        attributes = dict(file.attrs)
    assert attributes.pop("made_by").startswith("python -m preprocessing.image_embeddings --conf")
    assert attributes.pop("revision") == encoder.revision
    assert attributes == {
        "format_version": 1,
        "kind": "frames",
        "model": encoder.name,
        "layers": "all",
        "pooling": "patches",
        "input": encoder.describe_input(),
        "precision": "fp32",
        "dtype": "float16",
        "left_out": "{}",
    }


def test_the_pooled_vector_is_one_frame_and_lies_beside(corpus, capsys):
    corpus.run()
    made = corpus.bytes()
    pooled = ["--set", "data.image_embeddings.pooling=pooled"]
    assert corpus.run(*pooled, "--float32") == 0
    printed = capsys.readouterr().out
    assert "clip: 1 frame (projected class token) of 12 dimensions" in printed
    assert "evaluation_image_frames.hdf5 was made with" in printed
    assert corpus.bytes() == made
    wanted = corpus.data.image_embeddings.model_copy(update={"pooling": "pooled"})
    source = corpus.data.model_copy(update={"image_embeddings": wanted}).frames_source("development")
    clip = corpus.clips()[0]
    table = read_frames(source, [clip.fid])
    vectors = load_frozen_image(str(corpus.folder / "clip")).vectors([read_image(corpus.root / clip.path)])
    np.testing.assert_allclose(table.views[0][:], vectors, atol=1e-4)
    assert corpus.run("--set", "data.image_embeddings.layers=1") == 0
    assert corpus.bytes() == made


def test_run_again_it_reuses_and_other_threads_write_the_same_bytes(corpus, capsys, monkeypatch):
    corpus.run()
    made = corpus.bytes()
    corpus.remove()
    assert corpus.run("--workers", "1") == 0
    assert corpus.bytes() == made
    monkeypatch.setattr(image_embeddings, "decoded_batches", None)
    capsys.readouterr()
    assert corpus.run() == 0
    assert f"development: 8 pictures, reused {corpus.path()}" in capsys.readouterr().out
    assert corpus.bytes() == made


def test_broken_pictures_are_listed_and_survived(corpus, capsys):
    broken, bomb, text = (corpus.root / clip.path for clip in corpus.clips()[1:4])
    whole = broken.read_bytes()
    broken.write_bytes(whole[: len(whole) // 2])
    bomb.write_bytes(png(10_000, 10_000))
    text.write_text("words")
    assert corpus.run() == 0
    printed = capsys.readouterr().out
    assert "development: 3 of 8 pictures have no embedding, the first is development 1.jpg: cannot be deco" in printed
    header, *rows = corpus.failed()
    assert header == ["fid", "fname", "reason"]
    assert [name for _, name, _ in rows] == [path.name for path in (broken, bomb, text)]
    assert "truncated" in rows[0][2]
    assert rows[1][2].startswith("is too large: 10000 x 10000 pixels")
    assert rows[2][2].startswith("is no picture")
    table = read_frames(corpus.data.frames_source("development"), [clip.fid for clip in corpus.clips()])
    assert table.held.tolist() == [True, False, False, False, True, True, True, True]
    made = corpus.bytes()
    assert corpus.run() == 0  # they are tried again, and nothing changes
    assert corpus.bytes() == made
    broken.write_bytes(whole)
    assert corpus.run() == 0
    assert len(corpus.failed()) == 3


def test_a_split_without_a_picture_is_refused(corpus, capsys):
    for clip in corpus.clips("validation"):
        (corpus.root / clip.path).write_bytes(b"")
    assert corpus.run() == 2
    assert "error: validation: all 4 pictures were refused, the first is validation 0.png: is empty" in last_line(
        capsys
    )


def test_the_estimate_covers_what_is_written(corpus, monkeypatch):
    needs = []
    monkeypatch.setattr(embedding_files, "check_free_disk", lambda folder, need, key: needs.append(need))
    corpus.run("--checkpoint-every", "100")
    written = sum(corpus.path(split).stat().st_size for split in SPLITS)
    assert written + corpus.path().stat().st_size < needs[0] * 1.15
    assert needs[0] < 2.2 * written


def test_killed_wherever_it_writes_it_ends_with_the_same_bytes(corpus, monkeypatch):
    """Killed before its nth rename or removal, and again before the first one of the next run."""
    corpus.run()
    wanted = corpus.bytes()
    events = KilledAt()
    monkeypatch.setattr(Path, "replace", events.counted(Path.replace))
    monkeypatch.setattr(Path, "unlink", events.counted(Path.unlink))
    corpus.remove()
    events.restart()
    assert corpus.run() == 0
    total = events.count
    assert total > 8
    for point in (1, total // 3, total - 3):
        corpus.remove()
        for limit in (point, 1):
            events.restart(limit)
            child = in_child(corpus.run)
            child.join()
            assert child.exitcode == -signal.SIGKILL
        events.restart()
        assert corpus.run() == 0
        assert corpus.bytes() == wanted
        assert not list(corpus.features.glob("*.parts-*"))


@pytest.mark.parametrize("calls", [2, 4])
def test_killed_in_the_middle_of_a_split_it_computes_only_what_is_missing(corpus, monkeypatch, calls):
    """Parts of three pictures in batches of two: two calls a part."""
    corpus.run()
    wanted = corpus.bytes()
    corpus.remove()
    embed, counted = image_embeddings.FrozenImageEncoder.embed, []

    def killed(*arguments):
        counted.append(1)
        if len(counted) == calls:
            os.kill(os.getpid(), signal.SIGKILL)
        return embed(*arguments)

    monkeypatch.setattr(image_embeddings.FrozenImageEncoder, "embed", killed)
    child = in_child(corpus.run)
    child.join()
    assert child.exitcode == -signal.SIGKILL
    monkeypatch.setattr(image_embeddings.FrozenImageEncoder, "embed", lambda *a: counted.append(1) or embed(*a))
    assert corpus.run() == 0
    # of development 3 parts of 2 + 2 + 1 calls, of the others 2 + 1 each; a part at work is lost
    assert len(counted) == 11 - 2 * ((calls - 1) // 2)
    assert corpus.bytes() == wanted


def test_what_cannot_be_run(corpus, capsys):
    for setting, message in (
        ("data.root=/no/such", "data.root: folder /no/such does not exist; correct it"),
        ("data.image_embeddings.model=/no/such", "data.image_embeddings.model: /no/such: no such folder"),
        ("data.image_embeddings.model=package:none", "data.image_embeddings.model: package:none: no such package"),
        ("data.image_embeddings.layers=9", "data.image_embeddings.layers: 9, but"),
    ):
        assert corpus.run("--set", setting) == 2
        assert last_line(capsys).startswith(f"error: {message}")
    corpus.data.clip_info.unlink()
    assert corpus.run() == 2
    assert "image_info.pkl: no such file; write it: python -m preprocessing.flickr8k_dataset --conf" in last_line(
        capsys
    )
