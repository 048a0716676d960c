"""Commands whose output goes to a terminal or log that is not UTF-8, with texts that would command it."""

import io
import sys

import pytest

from postprocessing import error_analysis, search, xmodal_retrieval, xmodal_scores
from utils.cli_utils import Command


def printed(monkeypatch, encoding: str, main: Command, *arguments: str) -> str:
    """What a command writes to a strict stream of this encoding."""
    out = io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors="strict")
    monkeypatch.setattr(sys, "stdout", out)
    main([*arguments])
    out.flush()
    return out.buffer.getvalue().decode(encoding)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252"])
def test_every_letter_is_shown_or_escaped(trained, monkeypatch, encoding):
    conf = ["--conf", str(trained / "conf.yaml")]
    for main in (xmodal_scores.main, xmodal_retrieval.main, error_analysis.main):
        assert "wrote " in printed(monkeypatch, encoding, main, *conf)
    query = "caf\u00e9 \u65e5 \x1b[2J\u202e"
    found = printed(monkeypatch, encoding, search.main, *conf, "--top", "1", query)
    shown = "caf\\xe9" if encoding == "ascii" else "caf\u00e9"
    assert f'"{shown} \\u65e5 \\x1b[2J\\u202e" in 4 clips' in found
    assert "\x1b" not in found
