"""What cannot be read ends in one line, and leaves the old tables."""

import errno
import os
import signal

import pytest

from tests.preprocessing.clotho_corpus import Corpus, contents, write_clip
from utils.dataset_utils import clips as clips_module


@pytest.fixture
def corpus(tmp_path):
    return Corpus(tmp_path)


def error_of(corpus, capsys, *arguments):
    assert corpus.run(*arguments) == 2
    printed = capsys.readouterr().err
    assert printed.startswith("error: ")
    assert printed.count("\n") == 1
    return printed


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "found the columns , expected file_name, caption_1, ... or fname, raw_text, text"),
        (b"name,caption\nok.wav,x\n", "found the columns name, caption, expected"),
        (b"file_name;caption_1\nok.wav;x\n", "found the columns file_name;caption_1, expected"),
        (b"file_name,caption_1\nok.wav,\xff\n", "not a CSV table in UTF-8 (the row of line"),
        (b'fname,raw_text\nok.wav,"A dog\nb.wav,rain\n', "not a CSV table in UTF-8 (the row of line 2: unexpected end"),
        (b'fname,raw_text\nok.wav,a\nb.wav,"a" b\n', "not a CSV table in UTF-8 (the row of line 3: "),
        (b"file_name,caption_1,caption_1\nok.wav,a,b\n", "the column caption_1 occurs twice; rename one"),
    ],
)
def test_a_csv_that_is_none_is_refused(corpus, capsys, content, message):
    corpus.write()
    (corpus.root / "clotho_captions_development.csv").write_bytes(content)
    error = error_of(corpus, capsys)
    assert f"clotho_captions_development.csv: {message}" in error


def test_folders_and_tables_that_are_missing_are_named(corpus, capsys):
    corpus.write()
    error = error_of(corpus, capsys, "--set", "data.root=/no/such")
    assert "data.root: folder /no/such does not exist; correct it, or make the corpus: python -m preprocessing" in error
    error = error_of(corpus, capsys, "--set", "data.splits.eval=test")
    assert "data.splits: 'test': folder" in error
    (corpus.root / "clotho_captions_validation.csv").unlink()
    error = error_of(corpus, capsys)
    assert "found no captions of split 'validation', expected" in error
    assert "clotho_captions_validation.csv or" in error


def test_a_features_folder_that_is_a_file_is_one_line(corpus, tmp_path, capsys):
    corpus.write()
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / "file" / "inside"):
        assert corpus.run("--set", f"data.features={path}") == 2
        error = capsys.readouterr().err.splitlines()[-1]
        assert error.startswith(f"error: {path}: there is a file where a folder is needed; remove it, or name another")


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES])
def test_a_disk_that_refuses_leaves_the_old_tables(corpus, monkeypatch, capsys, number):
    corpus.write()
    corpus.run()
    old = contents(corpus.features)

    def refuse(self, target):
        raise OSError(number, "refused", str(target))

    corpus.rows["development"][1][1] = "A cat."
    corpus.write()
    monkeypatch.setattr("pathlib.Path.replace", refuse)
    assert corpus.run() == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith(f"error: {corpus.features}/development_rejected.csv: ")
    assert contents(corpus.features) == old


def test_an_empty_split_says_why(corpus, capsys):
    corpus.rows["validation"][1][0] = "no.wav"
    corpus.write()
    assert corpus.run() == 2
    error = capsys.readouterr().err
    assert "error: split 'validation' of " in error
    assert "is empty: 1 audio files, such as '" in error
    assert "; 2 captions, the first " in error
    assert "; no clip has a caption; the reasons are in " in error
    assert [row[:2] for row in corpus.rejected("validation")] == [
        ("caption", "no.wav#1"),
        ("caption", "no.wav#2"),
        ("clip", "ok.wav"),
    ]


def test_a_worker_that_is_killed_is_one_line(corpus, monkeypatch, capsys):
    write_clip(corpus.root / "development" / "b.wav")
    corpus.write()
    here = os.getpid()

    def killed(path, **given):
        assert os.getpid() != here
        os.kill(os.getpid(), signal.SIGKILL)

    monkeypatch.setattr(clips_module, "probe", killed)
    assert corpus.run("--workers", "2") == 2
    assert "error: a worker process was killed, probably because memory ran out" in capsys.readouterr().err
