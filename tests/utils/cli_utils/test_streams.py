"""Terminals and logs of other encodings, and texts that would command them."""

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tqdm import tqdm

from utils.cli_utils import command
from utils.cli_utils.streams import EscapingStream, escaping_streams

ROOT = Path(__file__).parents[3]

SCRIPT = """
import sys
from utils.cli_utils import UserError, command
from utils.report_utils import print_table, progress_bar

@command
def main(argv=None):
    text = "caf\\u00e9 \\u2013 \\u65e5\\x1b[31m \\u202e \\udcff"
    print(text)
    print_table(text, ["clip", "\\u2013"], [[text, 0.5], ["short", 1.25]])
    with progress_bar(1, text, "clip") as bar:
        bar.update()
    raise UserError(text)

main()
"""


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "utf-8"])
def test_output_that_is_not_utf_8(tmp_path, encoding):
    (tmp_path / "script.py").write_text(SCRIPT)
    env = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONIOENCODING": encoding, "COLUMNS": "200"}
    done = subprocess.run(
        [sys.executable, "script.py"], cwd=tmp_path, env=env, capture_output=True, check=False, timeout=120
    )
    out, err = done.stdout.decode(encoding), done.stderr.decode(encoding)
    assert (done.returncode, "Traceback" in err) == (2, False)
    shown = {"ascii": "caf\\xe9 \\u2013 \\u65e5", "latin-1": "café \\u2013 \\u65e5", "cp1252": "café – \\u65e5"}
    line = shown.get(encoding, "café – 日") + "\\x1b[31m \\u202e \\udcff"
    assert out.splitlines()[0] == line
    assert out.count(line) == 3
    assert err.splitlines()[-1] == f"error: {line}"
    assert f"{line}: 100%" in err
    assert not any(c in out + err for c in "\x1b\u202e\udcff")
    rows = [text for text in out.splitlines() if "0.5" in text or "1.25" in text]
    if encoding != "utf-8":  # there a letter of two columns stands in the first row
        assert len({len(row) for row in rows}) == 1


def test_standard_streams_are_put_back(capsys):
    out, err = sys.stdout, sys.stderr

    @command
    def main(argv=None):
        assert isinstance(sys.stdout, EscapingStream)
        assert sys.stdout.encoding.lower() == "utf-8"
        print("\x1b[2J", file=sys.stderr)

    main([])
    assert (sys.stdout, sys.stderr) == (out, err)
    assert capsys.readouterr().err == "\\x1b[2J\n"


def test_bars_are_drawn_again_on_standard_error_alone():
    behind = io.StringIO()
    stream = EscapingStream(behind, bars=True)
    with tqdm(total=2, desc="outer\x1b[31m\r", file=stream, ascii=True) as outer:
        for _ in tqdm(range(2), desc="inner", file=stream, position=1):
            outer.update()
    drawn = behind.getvalue()
    assert "\x1b[A" in drawn  # from the inner bar to the outer one
    assert drawn.count("\r") > 3
    assert "\x1b[31m" not in drawn
    assert "outer\\x1b[31m\\r: 100%" in drawn
    assert stream.write("a\rb\x1b[A") == 6
    assert behind.getvalue().endswith("a\\rb\\x1b[A")
    plain = io.StringIO()
    EscapingStream(plain).write("\rmoved")
    assert plain.getvalue() == "\\rmoved"


def test_streams_that_were_closed_stay_closed(monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    with escaping_streams():
        print("nobody reads this")
        assert sys.stdout is None
