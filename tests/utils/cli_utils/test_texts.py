"""Texts from files, as messages and command lines show them."""

import subprocess

import pytest

from utils.cli_utils import printable, shell_join, short_repr, shortened, showable

HOSTILE = [
    "\x1b[2J\x1b[31mred",  # CSI
    "\x1b]0;title\x07",  # OSC
    "\x9b31m",  # CSI in one character
    "\u202egnp.exe",  # written from right to left
    "\u2066a\u2069",
    "a\rb",
    "a\x08b",
    "a\u2028b",
    "a\x00b",
    "\udcff.wav",  # the byte 0xff of a file name
]


@pytest.mark.parametrize("text", HOSTILE)
def test_what_would_command_a_terminal_is_escaped(text):
    for shown in (printable(text), showable(text, "utf-8"), showable(text, None)):
        assert shown.isprintable()
        shown.encode("utf-8")
        assert shown.encode("latin-1", "backslashreplace").decode("unicode_escape") == text


@pytest.mark.parametrize("text", ["a dog barks", "café", "日本語", "👩‍👩‍👧", "a\u00a0b", "C:\\dir"])
def test_ordinary_texts_stay(text):
    assert printable(text) == text
    assert showable(text, "utf-8") == text


def test_lines_and_tabs_stay_in_what_is_printed_and_not_in_one_text():
    assert showable("a\n\tb", "utf-8") == "a\n\tb"
    assert printable("a\n\tb") == "a\\n\\tb"


@pytest.mark.parametrize(
    ("encoding", "shown"),
    [("ascii", "caf\\xe9 \\u2013 \\u65e5"), ("latin-1", "café \\u2013 \\u65e5"), ("cp1252", "café – \\u65e5")],
)
def test_what_an_encoding_cannot_hold_is_escaped(encoding, shown):
    assert showable("café – 日", encoding) == shown


@pytest.mark.parametrize(
    "argument", [*HOSTILE[:7], HOSTILE[7], "\udcff.wav", "it's \\ \n", "a b", "", "$HOME", "é\n日"]
)
def test_a_pasted_command_has_the_very_arguments(argument):
    line = shell_join(["printf", "%s|", argument.replace("\x00", ""), "end"])
    assert line.isprintable()
    done = subprocess.run(["bash", "-c", line], capture_output=True, check=True)
    assert done.stdout.decode("utf-8", "surrogateescape") == f"{argument}|end|"


def test_ordinary_arguments_are_quoted_as_usual():
    assert shell_join(["a", "b c", "é", "it's"]) == "a 'b c' 'é' 'it'\"'\"'s'"


def test_large_values_are_shown_short():
    assert shortened("x" * 300, 10) == "xxxxxxxxxx... (300 characters)"
    assert shortened("x" * 10, 10) == "x" * 10
    assert short_repr({"a": 1, "b": [1.5, "x", None]}) == "{'a': 1, 'b': [1.5, 'x', None]}"
    for large in ("x" * 10**6, list(range(10**5)), {n: n for n in range(10**4)}, [[[[[[1]]]]]], b"x" * 10**6):
        assert len(short_repr(large)) < 200
