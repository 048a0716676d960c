"""Log-mels on a disk that is full or refuses to write: one line, and nothing that was written is lost."""

import errno
import resource
import signal
from collections import namedtuple

import pytest

from preprocessing import audio_logmel
from tests.children import in_child
from tests.preprocessing.logmel_corpus import last_line
from tests.utils.artefact_utils.full_disk import FullFile, replace_files


@pytest.fixture
def corpus(to_hear):
    return to_hear


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EACCES])
def test_a_disk_that_refuses_a_part_is_one_line_and_loses_nothing(corpus, monkeypatch, capsys, workers, number):
    corpus.run()
    old = corpus.bytes()
    with monkeypatch.context() as patch:
        replace_files(patch, lambda file: FullFile(file, 4000, number))
        assert corpus.run("--float16", "--workers", workers) == 2
    error = last_line(capsys)
    reason = {errno.ENOSPC: "the disk is full", errno.EDQUOT: "the disk quota", errno.EACCES: "no permission"}[number]
    assert error.startswith(f"error: {corpus.features}/development_audio_logmels.hdf5.parts-")
    assert f": {reason}" in error
    assert ", then run again: python " in error
    assert corpus.bytes() == old
    assert not list(corpus.features.rglob("*.partial-*"))
    assert corpus.run("--float16") == 0


def test_a_disk_that_is_full_while_the_parts_are_assembled(corpus, monkeypatch, capsys, decoded):
    corpus.run()
    old = corpus.bytes()

    def full_for_the_whole(file):
        return FullFile(file, 15_000) if "audio_logmels.hdf5.partial" in file.name else file

    with monkeypatch.context() as patch:
        replace_files(patch, full_for_the_whole)
        assert corpus.run("--float16") == 2
    assert ": the disk is full; free some space, then run again: " in last_line(capsys)
    assert corpus.bytes() == old
    decoded.clear()
    assert corpus.run("--float16") == 0
    assert sorted(decoded) == ["e.wav", "v.wav"]  # the parts of the first split had been kept


def test_a_disk_that_the_kernel_says_is_full(corpus, capfd):
    """RLIMIT_FSIZE: every write beyond it is refused, HDF5's own too."""
    corpus.run()
    old = corpus.bytes()

    def limited():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
        audio_logmel.main(["--conf", str(corpus.conf), "--workers", "1", "--float16"])

    child = in_child(limited)
    child.join()
    assert child.exitcode == 2
    assert corpus.bytes() == old
    printed = capfd.readouterr().err
    assert "Traceback" not in printed


def test_too_little_free_disk_is_told_before_anything_is_written(corpus, monkeypatch, capsys):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage(0, 0, 50_000))
    assert corpus.run() == 2
    error = last_line(capsys)
    assert error.startswith(f"error: {corpus.features}: needs 0 MB, 0 MB are free; free some space, or name another")
    assert error.endswith("--set data.features=DIR")
    assert corpus.others() == []
    assert not corpus.path().exists()


def test_the_estimate_covers_what_is_written(corpus, monkeypatch):
    needs = []
    monkeypatch.setattr(audio_logmel, "check_free_disk", lambda folder, need, key: needs.append(need))
    peaks = []
    remove_parts = audio_logmel.LogMelParts.remove_parts

    def measured(parts):
        peaks.append(sum(p.stat().st_size for p in corpus.features.rglob(f"*{parts.path.name}*") if p.is_file()))
        peaks[-1] += sum(p.stat().st_size for p in corpus.features.rglob("part-*.hdf5"))
        remove_parts(parts)

    monkeypatch.setattr(audio_logmel.LogMelParts, "remove_parts", measured)
    monkeypatch.setattr(audio_logmel, "_PART_S", 600)
    corpus.run()
    assert len(needs) == len(peaks) == 3
    assert peaks[0] <= needs[0] < 1.1 * peaks[0]
