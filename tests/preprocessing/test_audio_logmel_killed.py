"""Log-mels that are killed while they are made: the same bytes in the end, and nothing is decoded twice."""

import multiprocessing
import os
import signal
from pathlib import Path

import h5py
import pytest

from preprocessing import audio_logmel
from tests.children import KilledAt, in_child
from tests.preprocessing.logmel_corpus import SPLITS
from utils.artefact_utils.hdf5 import Disk


@pytest.fixture
def corpus(to_hear):
    return to_hear


def test_killed_at_any_write_or_rename_it_goes_on_to_the_same_bytes(corpus, monkeypatch):
    corpus.run()
    wanted = corpus.bytes()
    events = KilledAt()
    monkeypatch.setattr(Disk, "write", events.counted(Disk.write))
    monkeypatch.setattr(Disk, "truncate", events.counted(Disk.truncate))
    monkeypatch.setattr(Path, "replace", events.counted(Path.replace))
    monkeypatch.setattr(Path, "unlink", events.counted(Path.unlink))
    for split in SPLITS:
        corpus.path(split).unlink()
    corpus.run()
    total = events.count
    assert total > 60
    for limit in range(1, total - 5, total // 14):
        for split in SPLITS:
            corpus.path(split).unlink()
        events.restart(limit)
        child = in_child(corpus.run)
        child.join()
        assert child.exitcode == -signal.SIGKILL
        for split in SPLITS:  # what stands under its own name is complete
            assert not corpus.path(split).exists() or corpus.path(split).read_bytes() == wanted[split]
        assert corpus.run() == 0
        assert corpus.bytes() == wanted
        assert corpus.others() == []


def test_killed_while_workers_decode_it_ends_with_the_same_bytes(corpus, monkeypatch):
    """The command is killed when its workers begin their nth clip; what they still write does no harm."""
    corpus.run()
    wanted = corpus.bytes()
    context = multiprocessing.get_context("fork")
    begun = context.Value("i", 0)
    wave_blocks = audio_logmel.wave_blocks
    command, limit = 0, 0

    def killing(*arguments):
        with begun.get_lock():
            begun.value += 1
            now = begun.value == limit
        if now:
            os.kill(command, signal.SIGKILL)
        return wave_blocks(*arguments)

    def run():
        nonlocal command
        command = os.getpid()
        corpus.run("--workers", "2")

    monkeypatch.setattr(audio_logmel, "wave_blocks", killing)
    for limits in ((1, 1, 2), (3, 1), (8, 2)):
        for split in SPLITS:
            corpus.path(split).unlink()
        for limit in limits:  # noqa: B007 - read by the worker
            begun = context.Value("i", 0)  # its own: workers of the command before may still be at work
            child = in_child(run)
            child.join()
            assert child.exitcode == -signal.SIGKILL
        limit = 0
        assert corpus.run("--workers", "2") == 0
        assert corpus.bytes() == wanted


def test_a_resumed_run_decodes_only_what_is_missing(corpus, decoded, monkeypatch):
    def ctrl_c(*arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(audio_logmel.LogMelParts, "assemble", ctrl_c)
        assert corpus.run() == 130
    assert sorted(decoded) == sorted(corpus.names["development"])
    folder = next(corpus.features.glob("*.parts-*"))
    parts = sorted(folder.iterdir())
    assert len(parts) > 2
    lost = parts[0]
    with h5py.File(lost) as file:
        fids = set(file)
    names = sorted(clip.fname for clip in corpus.clips() if clip.fid in fids)
    lost.write_bytes(lost.read_bytes()[:-100])  # as if it had been written by halves
    decoded.clear()
    assert corpus.run() == 0
    assert sorted(decoded) == sorted([*names, "v.wav", "e.wav"])


def test_ctrl_c_in_the_middle_of_a_clip(corpus, monkeypatch, capsys):
    corpus.run()
    wanted = corpus.bytes()
    for split in SPLITS:
        corpus.path(split).unlink()
    push = audio_logmel.LogMelStream.push
    calls = []

    def interrupted(self, wave):
        calls.append(1)
        if len(calls) == 5:
            raise KeyboardInterrupt
        return push(self, wave)

    with monkeypatch.context() as patch:
        patch.setattr(audio_logmel.LogMelStream, "push", interrupted)
        assert corpus.run() == 130
    assert "interrupted; the same command goes on from here" in capsys.readouterr().err
    assert corpus.run() == 0
    assert corpus.bytes() == wanted
