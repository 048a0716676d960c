"""docs/commands.md names every option of every script, with its default and choices, and no other."""

import argparse
import importlib
import re

import pytest

from tests import tiny
from tests.docs.tables import anchor, code, page, sections
from tests.test_start import SCRIPTS

PAGE = sections(page("commands.md"))
BY_ANCHOR = {anchor(section.title): section for section in PAGE}
GROUPS = ["#every-command", "#a-trained-run", "#a-cluster", "#scores-of-another-system"]


def name_of(script):
    return "main.py" if script == "main" else script.removesuffix(".__main__")


def parser_of(script, monkeypatch):
    """The parser of a script, complete, as it parses its command line."""
    found = []

    def parse(self, *args, **keys):
        found.append(self)
        raise SystemExit(0)

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", parse)
    with pytest.raises(SystemExit):
        importlib.import_module(script).main([])
    return found[0]


def options_of(script, monkeypatch):
    """`--name` or METAVAR -> argparse's action."""
    actions = parser_of(script, monkeypatch)._actions
    return {
        (action.option_strings[-1] if action.option_strings else str(action.metavar or action.dest).upper()): action
        for action in actions
        if not isinstance(action, argparse._HelpAction)
    }


def documented(script):
    """Option -> its row, of the script's own section and of the groups that the first table links."""
    (row,) = [row for row in PAGE[0].rows if code(row[0]) == [name_of(script)]]
    groups = [BY_ANCHOR[link] for link in re.findall(r"\((#[\w-]+)\)", row[2])]
    own = [section for section in PAGE if section.title == f"`{name_of(script)}`"]
    rows = [row for section in [*groups, *own] for row in section.rows]
    return {code(row[0])[0].split()[0]: row for row in rows}


def default_problem(option, action, cell):
    """What is wrong with the cell of a default; empty where it is right."""
    if option == "--workers":  # as many as the machine has
        return "" if cell == "all cores" else "expected: all cores"
    if action.required and action.nargs not in ("*", "?"):  # argparse calls a list that may be empty required
        return "" if cell == "required" else "expected: required"
    if action.default is False:
        return "" if cell == "off" else "expected: off"
    if action.default in (None, []):  # what happens then is said in words
        return "" if cell and cell != "required" else "expected what happens without it"
    return "" if code(cell) == [str(action.default)] else f"expected: `{action.default}`"


@pytest.mark.parametrize("script", SCRIPTS)
def test_every_option_is_documented(script, monkeypatch):
    wanted, found = options_of(script, monkeypatch), documented(script)
    assert found.keys() == wanted.keys(), f"docs/commands.md and --help of {name_of(script)}"
    for option, action in wanted.items():
        _, default, meaning = found[option]
        assert default_problem(option, action, default) == "", f"{name_of(script)} {option}: default is '{default}'"
        missing = {str(choice) for choice in action.choices or ()} - {*code(meaning), *code(default)}
        assert not missing, f"{name_of(script)} {option}: its choices {missing} are not named"
        assert len(meaning.split()) >= 2 or action.choices, f"{name_of(script)} {option}: has no explanation"


def test_no_section_is_of_a_script_that_is_not_there():
    own = {section.title.strip("`") for section in PAGE[1:] if anchor(section.title) not in GROUPS}
    assert own <= {name_of(script) for script in SCRIPTS}
    assert {code(row[0])[0] for row in PAGE[0].rows} == {name_of(script) for script in SCRIPTS}


def test_the_readme_points_here():
    readme = (tiny.ROOT / "README.md").read_text(encoding="utf-8")
    assert {"docs/commands.md", "docs/configuration.md"} <= set(re.findall(r"\((docs/[\w./]+)\)", readme))


@pytest.mark.parametrize(
    ("default", "cell", "right"),
    [(5, "`5`", True), (5, "`6`", False), (5, "five", False), (False, "off", True), (False, "on", False),
     (None, "the best", True), (None, "", False), (None, "required", False), ("zscore", "`zscore`", True)],
)  # fmt: skip
def test_a_wrong_default_is_found(default, cell, right):
    parser = argparse.ArgumentParser()
    action = parser.add_argument("--top", default=default, action="store_true" if default is False else "store")
    assert (default_problem("--top", action, cell) == "") is right
