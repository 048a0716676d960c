"""A system that has neither sounds nor captions goes through all moves, and tasks/runs.py alone names it.

The project is put together in a temporary folder from links to its packages; what a system adds is copied into it, and
real processes run there.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
SYSTEM = Path(__file__).with_name("example_system")
CONF = ["--conf", "tasks/regression.yaml"]
LAST = "    ClassificationRun,\n"  # of the table of systems
# Appended to the system's file: training breaks off at the start of the third epoch as long as there is such a file.
FAULT = """

_set_epoch = ShuffledBatches.set_epoch


def _break_off(self: ShuffledBatches, epoch: int) -> None:
    if epoch == 3 and Path("fault").exists():
        raise ArtefactError("broken off by the test")
    _set_epoch(self, epoch)


ShuffledBatches.set_epoch = _break_off  # type: ignore[method-assign]
"""


@pytest.fixture
def project(tmp_path):
    """The project with one system more, and the data of that system."""
    for name in ("models", "utils", "preprocessing"):
        (tmp_path / name).symlink_to(ROOT / name)
    for package in ("tasks", "postprocessing"):
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "main.py", tmp_path)
    for name in ("regression.py", "regression.yaml"):
        shutil.copy(SYSTEM / name, tmp_path / "tasks")
    shutil.copy(SYSTEM / "regression_error.py", tmp_path / "postprocessing")
    with (tmp_path / "tasks" / "regression.py").open("a") as file:
        file.write(FAULT)
    runs = tmp_path / "tasks" / "runs.py"
    text = runs.read_text()
    text = text.replace(
        "\nfrom tasks.retrieval.retrieval",
        "\nfrom tasks.regression import RegressionRun\nfrom tasks.retrieval.retrieval",
    )
    named = text.replace(LAST, f"{LAST}    RegressionRun,\n")
    assert named.count("RegressionRun") == 2
    runs.write_text(named)
    rng = np.random.default_rng(0)
    weights = rng.standard_normal(4).astype(np.float32)
    (tmp_path / "raw").mkdir()
    (tmp_path / "vectors").mkdir()
    for split, size in (("development", 40), ("validation", 20), ("evaluation", 20)):
        x = rng.standard_normal((size, 4)).astype(np.float32)
        np.savez(tmp_path / "vectors" / f"{split}.npz", x=x, y=x @ weights)
    return tmp_path


def run(project, *command, status=0):
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"} | {"OMP_NUM_THREADS": "1"}
    found = subprocess.run(
        [sys.executable, *command],
        cwd=project,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert found.returncode == status, found.stdout + found.stderr
    return found.stdout + found.stderr


# In one process, since each takes seconds to import torch: the check of main.py, then the run without Ray, never broken
# off; its rows are the last line.
CHECK_AND_FIT = """
import json, sys
from pathlib import Path
import main
from tasks.runs import parse_run
from utils.config_utils import read_settings
from utils.model_utils import Fit
assert not main.main([*sys.argv[1:], "--check"])
run = parse_run(read_settings(Path("tasks/regression.yaml")), "tasks/regression.yaml")
rows = []
Fit(run.build(), run.training, run.optimizer, run.lr_scheduler).run(lambda metrics, save: rows.append(metrics), {})
print(json.dumps(rows))
"""
REFUSALS = """
import importlib, sys
for script in ("postprocessing.xmodal_scores", "preprocessing.audio_logmel", "preprocessing.sbert_embeddings"):
    try:
        importlib.import_module(script).main(sys.argv[1:])
    except SystemExit as stop:
        print(script, stop.code, file=sys.stderr)
"""


def test_all_moves(project):
    checked = run(project, "-c", CHECK_AND_FIT, *CONF)
    wanted = json.loads(checked.splitlines()[-1])
    assert re.search(r"split\W+vectors\W+width", checked)
    assert re.search(r"evaluation\W+20\W+4\b", checked)
    assert not (project / "runs").exists()

    (project / "fault").touch()
    assert "broken off by the test" in run(project, "main.py", *CONF, status=2)
    (project / "fault").unlink()
    resumed = run(project, "main.py", *CONF, "--resume")
    assert "resumed after epoch 2" in resumed
    assert resumed.splitlines()[-1].endswith("-m postprocessing.regression_error --conf tasks/regression.yaml")

    lines = (project / "runs" / "regression" / "trial_00000" / "result.json").read_text().splitlines()
    found = [json.loads(line) for line in lines]
    names = ["epoch", "train_loss", "train_absolute", "val_rmse"]
    assert [[row[name] for name in names] for row in found] == [[row[name] for name in names] for row in wanted]
    errors = [row["val_rmse"] for row in wanted]
    assert [row["best"] for row in found] == list(np.minimum.accumulate(errors))  # lower is better
    assert errors[-1] < errors[0]

    best = int(np.argmin(errors))
    scored = run(project, "-m", "postprocessing.regression_error", *CONF, "--split", "validation")
    assert f"checkpoint_{best:06d} (epoch {best + 1}): rmse {errors[best]:.6f} on 'validation'" in scored


def test_scripts_of_other_systems_refuse_it(project):
    message = run(project, "-c", REFUSALS, *CONF)
    assert message.count("tasks/regression.yaml: task is regression, this script takes retrieval or clap_proj") == 3
    assert len(re.findall(r"^(postprocessing|preprocessing)\.\w+ 2$", message, flags=re.M)) == 3
    assert "Traceback" not in message


def test_only_the_table_of_systems_names_systems():
    """What a system is called stands in its own room, in the table, in tests and in texts for people."""
    for path in [
        ROOT / "main.py",
        *(path for part in ("tasks", "models", "utils") for path in (ROOT / part).rglob("*.py")),
    ]:
        own = path.relative_to(ROOT).parts
        if own[0] == "tasks" and own[1] in ("retrieval", "captioning", "caption_retrieval.py", "music", "runs.py"):
            continue
        names = r"clap_projection|tasks\.retrieval\.retrieval|RetrievalRun|ClapProjectionRun|CaptioningRun|MusicRun"
        assert not re.search(names, path.read_text()), path


def test_the_page_on_tasks_shows_this_system():
    """Every block of code of the page is in the example, or is the line that the test puts into tasks/runs.py."""
    page = (ROOT / "docs" / "adding_a_task.md").read_text()
    example = "\n".join(path.read_text() for path in sorted(SYSTEM.glob("*.py")))
    example += (ROOT / "tasks" / "runs.py").read_text().replace(LAST, f"{LAST}    RegressionRun,\n")
    blocks = re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)
    assert len(blocks) == 8
    assert [block for block in blocks if block.rstrip() not in example] == []
