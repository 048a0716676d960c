"""Corpora that several test files of stage 1 share."""

import pytest

from preprocessing import audio_logmel
from tests.preprocessing import embedding_corpus, logmel_corpus


@pytest.fixture(scope="session")
def _embedding_corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made")
    embedding_corpus.write_raw(folder)
    return folder


@pytest.fixture
def to_embed(tmp_path, _embedding_corpus):
    """Recordings, their tables, and a wav2vec 2.0 that hears them."""
    return embedding_corpus.copied(_embedding_corpus, tmp_path)


@pytest.fixture
def to_hear(tmp_path, monkeypatch):
    """Short clips of several rates, and their tables."""
    monkeypatch.setattr(audio_logmel, "_PART_S", 1.2)  # several parts
    return logmel_corpus.Corpus(tmp_path)


@pytest.fixture
def decoded(monkeypatch):
    """The names of the clips that are decoded."""
    names = []
    wave_blocks = audio_logmel.wave_blocks

    def counting(path, *arguments):
        names.append(path.name)
        return wave_blocks(path, *arguments)

    monkeypatch.setattr(audio_logmel, "wave_blocks", counting)
    return names
