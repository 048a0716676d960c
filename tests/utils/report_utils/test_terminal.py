"""Tables on the terminal."""

from utils.report_utils import print_table


def test_cells_are_printed_as_they_are(capsys):
    print_table("[bold] title", ["clip", "score"], [["[dog] barks [/x].wav", 0.25], ["a\\[b", None]])
    lines = capsys.readouterr().out.splitlines()
    assert "[bold] title" in lines
    assert any("[dog] barks [/x].wav" in line and "0.25" in line for line in lines)
    assert any("a\\[b" in line and "None" in line for line in lines)


def test_numbers_stand_to_the_right(capsys):
    print_table("t", ["name", "n"], [["a", 1], ["b", 1000]])
    out = capsys.readouterr().out
    assert out.index("   1 ") < out.index("1000")
