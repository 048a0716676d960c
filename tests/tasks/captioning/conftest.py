"""Corpora that are made once; each test has a copy of its own."""

import shutil
from typing import NamedTuple

import pytest

from tasks import parse_run
from tasks.captioning.run import CaptioningRunBase
from tasks.runs import require_kind
from tests.tasks.captioning import corpora
from utils.config_utils import override, read_settings

KINDS = ("sounds", "pictures")


class Made(NamedTuple):
    """A corpus with frames and a language model, and the YAML of a run on it."""

    folder: object
    kind: str
    conf: str

    def run(self, *settings):
        """The run, with `key=value` settings."""
        mapping = override(read_settings(self.folder / f"{self.kind}.yaml"), settings)
        return require_kind(parse_run(mapping, "x.yaml"), CaptioningRunBase, "x.yaml")


@pytest.fixture(scope="session")
def _corpora(tmp_path_factory):
    """The folders; frames name the encoder by its path, so that copies name the first folder's."""
    folders = {kind: tmp_path_factory.mktemp(kind) for kind in KINDS}
    for kind, folder in folders.items():
        corpora.write(folder, kind)
    return folders


def _copied(made, folder, kind):
    for name in ("corpus", "features", "language"):
        shutil.copytree(made[kind] / name, folder / name)
    (folder / "encoder").symlink_to(made[kind] / "encoder")
    settings = corpora.settings_of(folder, kind)
    key = "audio_embeddings" if kind == "sounds" else "image_embeddings"
    data = settings["data"] | {key: {"model": str(made[kind] / "encoder")}}
    return Made(folder, kind, str(corpora.write_conf(folder, kind, data=data)))


@pytest.fixture(params=KINDS)
def made(_corpora, tmp_path, request):
    """Of sounds, and of pictures."""
    return _copied(_corpora, tmp_path, request.param)


@pytest.fixture
def sounds(_corpora, tmp_path):
    """Of sounds alone."""
    return _copied(_corpora, tmp_path, "sounds")


@pytest.fixture
def pictures(_corpora, tmp_path):
    """Of pictures alone."""
    return _copied(_corpora, tmp_path, "pictures")
