"""Embeddings that are killed while they are made: the same bytes in the end, and nothing is computed twice."""

import os
import signal
from pathlib import Path

import pytest

from preprocessing import audio_embeddings
from tests.children import KilledAt, in_child
from tests.preprocessing.embedding_corpus import SPLITS


@pytest.fixture
def corpus(to_embed):
    return to_embed


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
    for point in (1, total // 4, total // 2, total - 4):
        corpus.remove()
        for limit in (point, 1):
            events.restart(limit)
            child = in_child(corpus.run)
            child.join()
            assert child.exitcode == -signal.SIGKILL
        for split in SPLITS:  # what stands under its own name is complete
            assert not corpus.path(split).exists() or corpus.path(split).read_bytes() == wanted[split]
        events.restart()
        assert corpus.run() == 0
        assert corpus.bytes() == wanted
        assert not list(corpus.features.glob("*.parts-*"))


@pytest.mark.parametrize("calls", [1, 2, 3, 5])
def test_killed_in_the_middle_of_a_split_it_computes_only_what_is_missing(corpus, monkeypatch, calls):
    corpus.run()
    wanted = corpus.bytes()
    corpus.remove()
    embed, counted = audio_embeddings.FrozenAudioEncoder.embed, []

    def killed(*arguments):
        counted.append(1)
        if len(counted) == calls:
            os.kill(os.getpid(), signal.SIGKILL)
        return embed(*arguments)

    monkeypatch.setattr(audio_embeddings.FrozenAudioEncoder, "embed", killed)
    child = in_child(corpus.run)
    child.join()
    assert child.exitcode == -signal.SIGKILL
    monkeypatch.setattr(audio_embeddings.FrozenAudioEncoder, "embed", lambda *a: counted.append(1) or embed(*a))
    assert corpus.run() == 0
    assert len(counted) == 7 - (calls - 1)  # three parts, two, two
    assert corpus.bytes() == wanted
