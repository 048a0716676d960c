"""docs/from_the_dcase_2023_baseline.md says nothing that does not exist."""

import re

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
