from pathlib import Path

import pytest

from tests.training import run_of, write_trial


@pytest.fixture
def trained(prepared: Path) -> Path:
    """A folder with conf.yaml and one trained trial."""
    write_trial(run_of(prepared))
    return prepared
