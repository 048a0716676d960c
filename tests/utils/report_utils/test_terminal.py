"""Tables on the terminal."""

import io

import pytest

from utils.report_utils import print_table


def test_cells_are_printed_as_they_are(capsys):
    print_table("[bold] title", ["clip", "score"], [["[dog] barks [/x].wav", 0.25], ["a\\[b", None]])
    lines = capsys.readouterr().out.splitlines()
    assert "[bold] title" in lines
    assert any("[dog] barks [/x].wav" in line and "0.25" in line for line in lines)
    assert any("a\\[b" in line and "None" in line for line in lines)


def test_numbers_are_right_aligned(capsys):
    print_table("t", ["name", "n"], [["a", 1], ["b", 1000]])
    out = capsys.readouterr().out
    assert out.index("   1 ") < out.index("1000")


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "utf-8"])
@pytest.mark.parametrize("texts", [1, 2])
def test_cells_wider_than_the_terminal_are_shown_in_its_encoding(monkeypatch, encoding, texts):
    output = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    monkeypatch.setattr("sys.stdout", output)
    monkeypatch.setenv("COLUMNS", "40")
    name = "evaluation_xmodal_scores_of_a_long_name.hdf5"
    print_table("title", ["", f"A: {name}", f"B: {name}"], [[name, name, "0.5"]], texts)
    output.flush()
    shown = output.buffer.getvalue().decode(encoding)
    assert "evaluatio" in shown
    assert ("…" in shown) == (encoding in ("cp1252", "utf-8"))
