"""The rooms of data know no script: what makes a file again is handed to them by the run."""

import re
from pathlib import Path

import pytest

UTILS = Path(__file__).parents[2] / "utils"
SCRIPT = re.compile(r"\b(?:preprocessing|postprocessing)\.[a-z]|\bmain\.py\b|\bcommand_for\b")


@pytest.mark.parametrize("room", ["artefact_utils", "audio_utils", "data_utils", "dataset_utils"])
def test_no_module_names_a_script_or_a_command_line(room):
    found = [
        f"{path.relative_to(UTILS)}:{number}: {line.strip()}"
        for path in sorted((UTILS / room).rglob("*.py"))
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if SCRIPT.search(line) and "pytorch/main.py" not in line  # the source of a front-end
    ]
    assert found == []
