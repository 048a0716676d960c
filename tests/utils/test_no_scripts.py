"""Below the scripts nothing names one: an error says what has to be made, and the entry point names the command."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = re.compile(r"\b(?:preprocessing|postprocessing)\.[a-z]|\bmain\.py\b")
# Files of other projects that numbers come from.
SOURCES = ("pytorch/main.py", "train/main.py")


@pytest.mark.parametrize("floor", ["utils", "models"])
def test_no_module_names_a_script(floor):
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in sorted((ROOT / floor).rglob("*.py"))
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if SCRIPT.search(line) and not any(source in line for source in SOURCES)
    ]
    assert found == []
