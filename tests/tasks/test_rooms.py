"""Every system has a room of its own in tasks/, and the import contracts know it."""

import tomllib
from pathlib import Path

from tasks.runs import SYSTEMS

ROOT = Path(__file__).parents[2]


def test_the_contract_of_independence_lists_the_room_of_every_system():
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (listed,) = [contract["modules"] for contract in contracts if contract["name"] == "Systems do not know each other"]
    rooms = {".".join(system.__module__.split(".")[:2]) for system in SYSTEMS}
    assert rooms == set(listed)
