"""The tables of docs/scaling.md are those that the script computes, and the script computes what a hand does."""

import pytest

from benchmarks import scaling_table
from benchmarks.scaling_constants import CONSTANTS
from benchmarks.scaling_table import (
    TABLES,
    efficiency,
    gathered_bytes,
    gradients_s,
    log_mel_bytes,
    markdown,
    number,
    step_s,
    waiting_s,
    with_tables,
)
from tests import tiny
from tests.docs.tables import page


def test_the_page_holds_the_tables_of_the_script():
    text = page("scaling.md")
    for name in TABLES:
        assert text.count(f"<!-- table {name} -->") == 1
    assert with_tables(text) == text, "python -m benchmarks.scaling_table --write"


def test_the_readme_links_the_page():
    assert "(docs/scaling.md)" in (tiny.ROOT / "README.md").read_text(encoding="utf-8")


def test_every_constant_has_a_source():
    assert all(one.value > 0 and one.unit and one.source for one in CONSTANTS.values())


def test_tables_are_put_behind_their_marks(monkeypatch, tmp_path, capsys):
    monkeypatch.setitem(TABLES, "limits", lambda: [["a", "b"], ["1", "2"]])
    wanted = "# Page\n\n<!-- table limits -->\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\nThe rest.\n"
    assert with_tables("# Page\n\n<!-- table limits -->\n\n| old |\n|---|\n| 3 |\n\nThe rest.\n") == wanted
    assert with_tables("# Page\n\n<!-- table limits -->\n\nThe rest.\n") == wanted
    monkeypatch.setattr(scaling_table, "PAGE", tmp_path / "page.md")
    scaling_table.PAGE.write_text("# Page\n\n<!-- table limits -->\n\nThe rest.\n", encoding="utf-8")
    scaling_table.main(["--write"])
    assert scaling_table.PAGE.read_text(encoding="utf-8") == wanted
    scaling_table.main([])
    assert markdown(TABLES["communication"]()) in capsys.readouterr().out


@pytest.mark.parametrize(
    ("quantity", "text"),
    [(0, "0"), (6_424_200, "6 420 000"), (1.5, "1.5"), (0.0598, "0.0598"), (99.96, "100"), (211.3, "211"), (2, "2")],
)
def test_numbers_have_three_digits(quantity, text):
    assert number(quantity) == text


def test_sizes_by_hand():
    assert log_mel_bytes() == 10 * 50 * 64 * 2 + 242
    assert step_s() == pytest.approx(32 * 10 / (598 * 22.5))
    assert gathered_bytes(256) == 8192 * 2 * 384 * 4


def test_communication_by_hand():
    assert efficiency(1, "fast network") == 1.0
    # 8 GPUs of a machine: a ring sends 7/8 of the 322 MB twice, at 300 GB/s
    assert gradients_s(8, "fast network") == pytest.approx(2 * 7 / 8 * 0.32184 / 300)
    # 32 machines: and 31/32 twice, through 8 cards of 40 GB/s or one of 10
    ring = gradients_s(8, "fast network")
    assert gradients_s(256, "fast network") == pytest.approx(ring + 2 * 31 / 32 * 0.32184 / 320)
    assert gradients_s(256, "plain network") == pytest.approx(ring + 2 * 31 / 32 * 0.32184 / 10)
    # hidden behind two thirds of the step, but for 26 collectives of 3 x 20 us and the gathered embeddings
    gathered = 2 * 7 / 8 * 256 * 2 * 384 * 4 / 300e9
    assert waiting_s(8, "fast network") == pytest.approx(26 * 60e-6 + gathered)
