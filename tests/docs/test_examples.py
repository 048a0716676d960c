"""Every command that README.md and docs/*.md show, and every link in them, leads to something that is there."""

import importlib.util
import re
import shlex

import pytest

from tests import tiny
from tests.docs.tables import anchor
from tests.docs.test_commands import options_of
from tests.docs.test_configuration import KEYS
from tests.test_start import CORPORA

PAGES = [tiny.ROOT / "README.md", *sorted((tiny.ROOT / "docs").glob("*.md"))]
# keys, sections, and the names of networks
SETTABLE = {".".join(key.path.split(".")[:n]) + name for key in KEYS for n in range(1, 5) for name in ("", ".name")}


def commands_of(page):
    """`python ...` of a page's blocks and lines, without the comment; continued lines are joined."""
    text = page.read_text(encoding="utf-8")
    blocks = "\n".join(re.findall(r"```bash\n(.*?)```", text, flags=re.S)).replace("\\\n", " ")
    lines = [line.strip() for line in blocks.splitlines()]
    inline = re.findall(r"`(python [^`]+)`", re.sub(r"```.*?```", "", text, flags=re.S))
    return [" ".join(line.split()) for line in [*lines, *inline] if line.startswith("python ")]


def settings_of(page):
    """The keys that a page sets with --set, wherever it does."""
    text = page.read_text(encoding="utf-8")
    return set(re.findall(r"--set\s+'?([\w.]+)=", text))


COMMANDS = sorted({(page.name, command) for page in PAGES for command in commands_of(page)})


@pytest.mark.parametrize(("name", "command"), COMMANDS, ids=lambda value: value)
def test_every_command_and_option_exists(name, command, monkeypatch):
    _, *words = shlex.split(command, comments=True)
    if words[0] in ("-m", "main.py"):
        module = words[1] if words[0] == "-m" else "main"
        if module in ("NAME", "pytest"):
            return
        module += ".__main__" * (f"{module}.__main__" in CORPORA)
        options = {word for word in words if re.match(r"--\w", word)}
        assert options <= options_of(module, monkeypatch).keys() if options else importlib.util.find_spec(module)
    elif words[0] != "-c":  # `python preprocessing/x.py` is how the baseline is called
        assert (tiny.ROOT / words[0]).is_file() or name == "from_the_dcase_2023_baseline.md"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_key_that_is_set_exists(page):
    unknown = {key for key in settings_of(page) if key not in SETTABLE and not key.startswith("search.")}
    made_up = {
        "key",
        "KEY",
        "model.audio_encoder.width",
    }  # of no run, and of the encoder that adding_an_encoder.md adds
    assert unknown <= made_up, f"{page.name} sets what is no key"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page):
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if re.match(r"\w+://", link):
            continue
        path, _, fragment = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), f"{page.name}: {link}"
        if fragment:
            titles = re.findall(r"^#+ (.*)$", target.read_text(encoding="utf-8"), flags=re.M)
            assert f"#{fragment}" in {anchor(title) for title in titles}, f"{page.name}: {link}"
