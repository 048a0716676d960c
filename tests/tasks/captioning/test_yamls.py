"""Both YAMLs are runs, as they are and with each of their commented blocks in place of keys."""

import pytest
import yaml

from tasks import parse_run
from tasks.captioning.run import CaptioningRunBase
from tests import tiny

YAMLS = ["captioning", "captioning_images"]


def settings_of(name):
    return yaml.safe_load((tiny.ROOT / "tasks" / f"{name}.yaml").read_text(encoding="utf-8"))


def blocks_of(name):
    """The keys of the commented block after the `# ---` line, as a reader who uncomments them gets them."""
    text = (tiny.ROOT / "tasks" / f"{name}.yaml").read_text(encoding="utf-8")
    for block in text.split("\n#\n"):
        lines = [line.removeprefix("#").removeprefix(" ") for line in block.splitlines() if line.startswith("# ")]
        try:
            found = yaml.safe_load("\n".join(lines))
        except yaml.YAMLError:
            continue
        if isinstance(found, dict) and "data" in found:
            yield found


@pytest.mark.parametrize("name", YAMLS)
def test_a_yaml_is_a_run_of_its_task(name):
    run = parse_run(settings_of(name), name)
    assert isinstance(run, CaptioningRunBase)
    assert run.task == name
    assert run.experiment == f"demo-{name.replace('_', '-')}"
    assert run.data.language_model == run.data.features / "language_model"


@pytest.mark.parametrize("name", YAMLS)
def test_the_commented_blocks_are_runs(name):
    blocks = list(blocks_of(name))
    assert blocks
    for block in blocks:
        run = parse_run(settings_of(name) | block, name)
        assert run.data.features == type(run.data.features)(block["data"]["features"])


@pytest.mark.parametrize("name", YAMLS)
def test_the_language_model_of_the_demo_is_made_by_its_script(name):
    run, after = parse_run(settings_of(name), name), "preprocessing.synthetic_corpus"
    scripts = [after]
    while after != "main.py":
        scripts.append(after := run.next_script(after))
    assert scripts[-2:] == ["preprocessing.caption_language_model", "main.py"]
