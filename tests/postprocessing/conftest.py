import shutil
from pathlib import Path

import pytest

from tests.training import run_of, write_trial
from utils.artefact_utils import write_json
from utils.config_utils import to_mapping


@pytest.fixture(scope="session")
def _trial(_made: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The trial of conf.yaml, trained once."""
    return write_trial(run_of(_made, f"output_root={tmp_path_factory.mktemp('trained')}"))


@pytest.fixture
def trained(prepared: Path, _trial: Path) -> Path:
    """A folder with conf.yaml and its trained trial."""
    run = run_of(prepared)
    folder = run.folder / _trial.name
    shutil.copytree(_trial, folder)
    write_json(folder / "params.json", to_mapping(run))
    return prepared
