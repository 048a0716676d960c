"""docs/from_the_dcase_2023_baseline.md says nothing that does not exist."""

import importlib
import re
import shlex

import pytest
import yaml

from tasks import parse_run
from tests import tiny
from utils.config_utils import value_at

DOC = (tiny.ROOT / "docs" / "from_the_dcase_2023_baseline.md").read_text(encoding="utf-8")
# `python preprocessing/...` is a command of the baseline
COMMANDS = sorted(
    {
        text.split("#")[0].strip()
        for text in re.findall(r"(?:^|`)(python (?:-m (?:pre|post)processing\.|main\.py)[^`\n]*)", DOC, re.M)
    }
)


def help_of(module, capsys):
    with pytest.raises(SystemExit) as stop:
        importlib.import_module(module).main(["--help"])
    assert stop.value.code == 0
    return capsys.readouterr().out


def test_the_page_names_every_script_that_it_must():
    scripts = {command.split()[2] if " -m " in command else "main" for command in COMMANDS}
    assert {
        "main",
        "preprocessing.dcase2023_takeover",
        "preprocessing.clotho_dataset",
        "preprocessing.audio_logmel",
        "preprocessing.sbert_embeddings",
        "preprocessing.cnn14_transfer",
        "postprocessing.export",
        "postprocessing.xmodal_scores",
        "postprocessing.xmodal_retrieval",
        "postprocessing.compare",
        "postprocessing.submission",
    } == scripts


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_and_flag_exists(command, capsys):
    words = shlex.split(command)[1:]
    module, arguments = (words[1], words[2:]) if words[0] == "-m" else ("main", words[1:])
    shown = help_of(module, capsys)
    for flag in (word for word in arguments if word.startswith("--")):
        assert re.search(rf"{flag}\b", shown), f"{module} has no {flag}"
    if module.endswith("cnn14_transfer") and arguments:
        assert "FILE" in shown or "checkpoint" in shown


def test_every_setting_of_the_right_column_exists():
    """The keys are those of the recipe that the page speaks of."""
    text = (tiny.ROOT / "conf.yaml").read_text(encoding="utf-8")
    recipe = yaml.safe_load(text) | tiny.uncommented(text, "# experiment: clotho")
    run = parse_run(recipe, "conf.yaml").model_dump(mode="json")
    table = DOC.split("## Settings")[1].split("## ")[0]
    keys = {
        key
        for line in table.splitlines()
        for key in re.findall(
            r"`((?:data|model|training|ray)\.\w+(?:\.\w+)*)", line.split("|")[-2] if "|" in line else ""
        )
    }
    assert len(keys) >= 10
    for key in keys:
        value_at(run, key)
