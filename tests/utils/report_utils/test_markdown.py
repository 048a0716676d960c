from utils.report_utils import markdown_table


def test_a_bar_or_a_line_break_ends_no_cell():
    assert markdown_table(["a", "b|c"], [["x\ny", 1.5], ["|", ""]]) == (
        "| a | b\\|c |\n| --- | ---: |\n| x y | 1.5 |\n| \\| |  |\n"
    )
