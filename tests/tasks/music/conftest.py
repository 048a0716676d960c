"""A corpus that is made once; each test has a copy of its features."""

import shutil
from typing import NamedTuple

import pytest

from tasks import parse_run
from tasks.music.run import MusicRun
from tasks.runs import require_kind
from tests.tasks.music import corpora
from utils.config_utils import override, read_settings


class Music(NamedTuple):
    """A corpus with tables and features."""

    folder: object

    def conf(self, kind, **changes):
        """The YAML of a run on features, wave or logmel."""
        return str(corpora.write_conf(self.folder, kind, **changes))

    def run(self, kind, *settings):
        """The run, with `key=value` settings."""
        mapping = override(read_settings(corpora.write_conf(self.folder, kind)), settings)
        return require_kind(parse_run(mapping, "x.yaml"), MusicRun, "x.yaml")


@pytest.fixture(scope="session")
def _corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("music")
    corpora.write(folder)
    return folder


@pytest.fixture
def music(_corpus, tmp_path):
    (tmp_path / "corpus").symlink_to(_corpus / "corpus")
    shutil.copytree(_corpus / "features", tmp_path / "features")
    return Music(tmp_path)
