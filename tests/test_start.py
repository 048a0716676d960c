"""What every command does before its work: it answers --help and bad keys without loading what the work needs."""

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

from tests import tiny

ROOT = Path(__file__).parents[1]
FILES = [path for folder in ("preprocessing", "postprocessing") for path in sorted((ROOT / folder).glob("[!_]*.py"))]
CORPORA = [f"preprocessing.synthetic_{kind}.__main__" for kind in ("corpus", "pictures", "music")]
SCRIPTS = ["main", *CORPORA, *(f"{path.parent.name}.{path.stem}" for path in FILES)]
# Each takes a tenth of a second to several seconds; --help has three, of which torch and pydantic need two.
HEAVY = [
    "pandas",
    "scipy",
    "librosa",
    "sklearn",
    "ray",
    "transformers",
    "sentence_transformers",
    "matplotlib",
    "rich",
    "faiss",
]

PROBE = f"""
import importlib, sys
for name in {SCRIPTS}:
    importlib.import_module(name)
print([name for name in {HEAVY} if name in sys.modules])
"""


def test_no_script_loads_what_only_its_work_needs():
    done = subprocess.run([sys.executable, "-c", PROBE], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize("name", SCRIPTS)
def test_every_script_answers_help_and_bad_keys(name, tmp_path, capsys):
    main = importlib.import_module(name).main
    with pytest.raises(SystemExit) as stop:
        main(["--help"])
    assert stop.value.code == 0
    printed = capsys.readouterr().out
    assert "--conf" in printed
    assert "--set" in printed
    conf = tiny.write_conf(tmp_path)
    for arguments, found in (
        (["--conf", str(conf), "--set", "nothing.there=1"], "nothing: unknown key"),
        (["--conf", str(tmp_path)], "is a folder, expected a file"),
        (["--conf", str(tmp_path / "none\x1b[31m.yaml")], "none\\x1b[31m.yaml: no such file"),
        (["--conf", str(conf), "--no-such-argument"], "arguments"),
    ):
        with pytest.raises(SystemExit) as stop:
            main(arguments)
        error = capsys.readouterr().err
        assert stop.value.code == 2
        assert found in error or "required" in error
        assert "\x1b" not in error
