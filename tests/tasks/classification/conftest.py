"""A corpus and a trained run that are made once; each test has a copy of them."""

import shutil

import pytest

from tests.tasks.classification import corpora
from tests.training import write_trial


@pytest.fixture(scope="session")
def _trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("classification")
    corpora.write(folder)
    write_trial(corpora.run_of(folder, "training.epochs=16"))  # enough to tell the two apart, on any processor
    return folder


@pytest.fixture
def trained(_trained, tmp_path):
    folder = tmp_path / "classification"
    shutil.copytree(_trained, folder)
    for path in [folder / "conf.yaml", *folder.glob("runs/*/*/params.json")]:
        path.write_text(path.read_text().replace(str(_trained), str(folder)))
    return folder
