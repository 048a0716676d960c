"""Caption vectors: each caption embedded once, whatever happened before."""

import errno
import itertools
import multiprocessing
import os
import pickle
import re
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest

from models.frozen import caption_chunks, caption_vectors
from models.frozen.sentences import load_sentence_encoder
from preprocessing import clotho_dataset, sbert_embeddings
from tests import tiny
from utils.artefact_utils import (
    load_pickle,
    read_text_embeddings,
    read_text_table,
    text_embeddings_beside,
    write_text_embeddings,
)


class Data:
    """Tables, a sentence encoder, and the embeddings made of them."""

    def __init__(self, folder):
        self.folder = folder
        self.features = folder / "features"
        self.path = self.features / "sbert_embeds.pkl"
        own = text_embeddings_beside(self.path, str(folder / "encoder"))
        self.unfinished = own.with_name(f"{own.name}.unfinished")
        self.tables()

    def tables(self):
        clotho_dataset.main(["--conf", str(self.folder / "conf.yaml"), "--workers", "1"])

    def run(self, *arguments):
        """The exit code."""
        try:
            sbert_embeddings.main(["--conf", str(self.folder / "conf.yaml"), *arguments])
        except SystemExit as stop:
            return stop.code
        return 0

    def captions(self):
        return [c for split in tiny.SPLITS for c in read_text_table(self.features / f"{split}_text.csv", "")]

    def vectors(self):
        with self.path.open("rb") as stream:  # as any other program reads it
            return pickle.load(stream)  # noqa: S301 - written here


@pytest.fixture
def data(raw):
    return Data(raw)


@pytest.fixture
def encoded(monkeypatch):
    """The texts that go through the encoder, one list a call."""
    calls = []
    load = caption_vectors.load_frozen_text

    def counting(model, **settings):
        encoder = load(model, **settings)
        encode = encoder.encode_batch

        def counted(texts):
            calls.append(list(texts))
            return encode(texts)

        encoder.encode_batch = counted
        return encoder

    monkeypatch.setattr(caption_vectors, "load_frozen_text", counting)
    return calls


def assert_right(data):
    """Every caption has the vector that the model gives it alone."""
    encoder = load_sentence_encoder(str(data.folder / "encoder"))
    vectors = data.vectors()
    captions = data.captions()
    assert list(vectors) == [caption.tid for caption in captions]
    for caption in captions:
        assert vectors[caption.tid].shape == (16,)
        assert vectors[caption.tid].dtype == np.float32
        np.testing.assert_allclose(vectors[caption.tid], encoder.encode(caption.raw_text), atol=1e-5)


def test_each_caption_has_its_vector_and_the_notes_name_the_model(data, capsys):
    assert data.run("--batch-size", "3") == 0
    assert_right(data)
    notes = load_pickle(data.path, "")[1]
    assert notes["model"] == str(data.folder / "encoder")
    assert notes["revision"].startswith("sha256:")
    assert (notes["kind"], notes["max_tokens"], notes["truncated"]) == ("sentence encoder", 64, 0)
    assert notes["made_by"] == f"python -m preprocessing.sbert_embeddings --conf {data.folder / 'conf.yaml'}"
    printed = capsys.readouterr().out
    assert f"32 captions, wrote {data.path} (16 dimensions, {data.folder / 'encoder'})" in printed
    assert "next: python main.py --conf" in printed
    assert not data.unfinished.exists()


def test_run_again_it_loads_no_model_and_writes_nothing(data, monkeypatch, capsys):
    data.run()
    content = data.path.read_bytes()
    monkeypatch.setattr(caption_vectors, "load_frozen_text", None)
    monkeypatch.setattr(caption_vectors, "write_text_embeddings", None)
    assert data.run() == 0
    assert f"32 captions, reused {data.path}" in capsys.readouterr().out
    assert data.path.read_bytes() == content


def test_changed_and_added_captions_alone_are_embedded(data, encoded):
    data.run()
    before = data.vectors()
    encoded.clear()
    table = data.folder / "corpus" / "clotho_captions_development.csv"
    header, first, *rest = table.read_text().splitlines()
    name, _, second = first.split(",")
    table.write_text("\n".join([header, f"{name},a new caption,{second}", *rest]) + "\n")
    data.tables()
    assert data.run() == 0
    assert encoded == [["a new caption"]]
    assert_right(data)
    assert len(set(before) - set(data.vectors())) == 1  # the old one is gone


def test_captions_that_were_removed_leave_the_file(data, encoded):
    data.run()
    encoded.clear()
    table = data.folder / "corpus" / "clotho_captions_development.csv"
    table.write_text("\n".join(table.read_text().splitlines()[:-1]) + "\n")
    data.tables()
    assert data.run() == 0
    assert encoded == []
    assert_right(data)
    assert len(data.vectors()) == 30


def test_killed_in_the_middle_it_goes_on_from_the_last_chunk(data, encoded, monkeypatch, capsys):
    monkeypatch.setattr(caption_chunks, "CHUNK", 4)
    data.run()
    wanted = data.path.read_bytes()
    data.path.unlink()
    encoded.clear()
    encode_captions, begun = caption_chunks.encode_captions, []

    def killed(*arguments):
        begun.append(1)
        if len(begun) == 4:
            os.kill(os.getpid(), signal.SIGKILL)
        return encode_captions(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(caption_chunks, "encode_captions", killed)
        for _ in range(2):
            child = multiprocessing.get_context("fork").Process(target=data.run)
            child.start()
            child.join()
            assert child.exitcode == -signal.SIGKILL
            assert not data.path.exists()
    assert sum(len(load_pickle(part, "")[0]) for part in data.unfinished.iterdir()) == 24  # 12 each time
    assert data.run() == 0
    assert "24 of 32 captions are embedded already" in capsys.readouterr().out
    assert len(encoded) == 2  # 8 captions were left
    assert_right(data)
    assert not data.unfinished.exists()
    assert data.path.read_bytes() == wanted


def test_another_model_of_the_same_name_or_another_name_is_not_mixed_in(data, encoded, capsys):
    data.run()
    encoded.clear()
    capsys.readouterr()
    for made in ("encoder", "encoder-bert"):
        shutil.rmtree(data.folder / made, ignore_errors=True)
    tiny.write_sentence_encoder(data.folder / "encoder", seed=5)
    assert data.run() == 0
    printed = capsys.readouterr().out
    assert f"{data.path}: not reused: the weights of {data.folder / 'encoder'} have changed" in printed
    assert sum(map(len, encoded)) == len({c.raw_text for c in data.captions()})
    assert_right(data)
    encoded.clear()
    shutil.copytree(data.folder / "encoder", data.folder / "other")
    made = data.path.read_bytes()
    other = str(data.folder / "other")
    assert data.run("--set", f"data.text_embeddings.model={other}") == 0
    printed = capsys.readouterr().out
    assert f"{data.path} (0.0 MB) holds the vectors of another model; those of {other} go beside it" in printed
    assert encoded
    assert data.path.read_bytes() == made
    beside = text_embeddings_beside(data.path, other)
    assert re.fullmatch(r"sbert_embeds-other-[0-9a-f]{8}\.pkl", beside.name)
    assert read_text_embeddings(data.path, other, "").path == beside
    encoded.clear()
    assert data.run("--set", f"data.text_embeddings.model={other}") == 0  # found again, and so is the first
    assert data.run() == 0
    assert not encoded


class Stopped(BaseException):
    """A kill before the last write."""


def stopped(*arguments):
    raise Stopped


def test_two_models_that_are_both_killed_both_go_on(data, monkeypatch, capsys):
    other = shutil.copytree(data.folder / "encoder", data.folder / "other")
    monkeypatch.setattr(caption_chunks, "CHUNK", 20)
    with monkeypatch.context() as patch:
        patch.setattr(caption_vectors, "write_text_embeddings", stopped)
        for model in ("encoder", "other"):
            with pytest.raises(Stopped):
                data.run("--set", f"data.text_embeddings.model={data.folder / model}")
    for model in (other, data.folder / "encoder"):
        capsys.readouterr()
        assert data.run("--set", f"data.text_embeddings.model={model}") == 0
        assert "32 of 32 captions are embedded already" in capsys.readouterr().out
    assert not list(data.features.glob("*.unfinished"))


def test_broken_vectors_are_made_again(data, encoded):
    data.run()
    encoded.clear()
    vectors, notes = load_pickle(data.path, "")
    captions = data.captions()
    vectors[captions[2].tid][:] = np.nan
    vectors[captions[5].tid][3] = np.inf
    write_text_embeddings(data.path, vectors, notes)
    assert data.run() == 0
    assert sorted(itertools.chain(*encoded)) == sorted({captions[2].raw_text, captions[5].raw_text})
    assert_right(data)


class RunsCode:
    def __init__(self, mark):
        self._mark = mark

    def __reduce__(self):
        return os.system, (f"touch {self._mark}",)


def test_a_hostile_file_is_not_run_but_made_again(data, capsys):
    mark = data.folder / "ran"
    notes = {"format_version": 1, "model": "x"}  # as if it were of this project
    data.path.write_bytes(pickle.dumps({"tid": RunsCode(mark)}, 5) + pickle.dumps(notes, 5))
    assert data.run() == 0
    printed = capsys.readouterr().out
    assert f"not reused: {data.path}: refused: it names posix.system; expected numpy arrays" in printed
    assert not mark.exists()
    assert_right(data)


@pytest.mark.parametrize("content", [b"", b"garbage", pickle.dumps([1, 2]), pickle.dumps({"t": "no vector"})])
def test_broken_files_of_this_project_are_made_again(data, content, capsys, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(caption_vectors, "write_text_embeddings", stopped)
        with pytest.raises(Stopped):
            data.run()
    (part,) = data.unfinished.iterdir()
    part.write_bytes(content)
    data.path.write_bytes(content and content + b"." * (content == b"garbage") + pickle.dumps({"format_version": 1}, 5))
    capsys.readouterr()
    assert data.run() == 0
    assert capsys.readouterr().out.count("not reused: ") == 2
    assert_right(data)


@pytest.mark.parametrize("content", [b"garbage", pickle.dumps([1, 2]), pickle.dumps({"t": np.zeros(16, np.float32)})])
def test_files_of_another_program_are_neither_taken_nor_replaced(data, content, capsys):
    data.path.write_bytes(content)
    assert data.run() == 2
    assert "sbert_embeds.pkl: is a file of another program, or a broken one, which is never replaced; name another" in (
        capsys.readouterr().err
    )
    assert data.path.read_bytes() == content
    data.path.unlink()
    assert data.run() == 0
    assert_right(data)


def test_captions_beyond_the_encoders_limit_are_counted(data, capsys):
    table = data.folder / "corpus" / "clotho_captions_development.csv"
    header, first, *rest = table.read_text().splitlines()
    name, _, _ = first.split(",")
    table.write_text("\n".join([header, f"{name},{'dog ' * 62},{'dog ' * 63}", *rest]) + "\n")
    data.tables()
    for _ in range(2):  # made, and then reused
        assert data.run() == 0
        assert "\n1 caption is longer than 64 tokens and was cut\n" in capsys.readouterr().out


def error_of(data, capsys, *arguments):
    assert data.run(*arguments) == 2
    error = capsys.readouterr().err
    assert "Traceback" not in error
    return error.splitlines()[-1]


def test_models_that_are_not_there(data, capsys):
    for model, message in (
        ("/no/such", "no such folder; correct data.text_embeddings.model"),
        ("package:no-such", "no such package is installed; pip install no-such"),
        ("no-such-name", "cannot be loaded: "),
    ):
        error = error_of(data, capsys, "--set", f"data.text_embeddings.model={model}")
        assert error.startswith(f"error: data.text_embeddings.model: {model}: {message}")
    assert not data.path.exists()


def test_tables_that_are_missing(data, capsys):
    (data.features / "validation_text.csv").unlink()
    error = error_of(data, capsys)
    assert "validation_text.csv: no such file; write it: python -m preprocessing.clotho_dataset --conf" in error


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES, errno.EROFS])
def test_a_disk_that_refuses_keeps_the_old_file(data, capsys, monkeypatch, number):
    replace = Path.replace

    def refuse(self, target):
        if target != data.path:
            return replace(self, target)
        raise OSError(number, "refused", str(target))

    data.run()
    vectors, notes = load_pickle(data.path, "")
    write_text_embeddings(data.path, dict(list(vectors.items())[:5]), notes)
    old = data.path.read_bytes()
    monkeypatch.setattr("pathlib.Path.replace", refuse)
    error = error_of(data, capsys)
    assert error.startswith(f"error: {data.path}: ")
    assert ", then run again: python " in error
    assert data.path.read_bytes() == old
    assert not list(data.features.glob(".*partial*"))
