"""The page of a classifier: systems, classes, pictures, and its errors with players."""

import numpy as np

from tests.pages import needs_browser, opened, read, targets
from utils.metric_utils.classification.counts import ClassCounts
from utils.metric_utils.intervals import Interval
from utils.report_utils import SystemScores, WrongRecording, class_rows, classification_page

COUNTS = ClassCounts.of(np.array([[3, 1, 0], [0, 0, 0], [0, 2, 2]]))
ERRORS = [
    WrongRecording("<b>first", "channel A", None, "dog", "cat", 0.997, 0.002),
    WrongRecording("second", "", None, "cat", "dog", 0.5, 0.25),
]


def page_of(folder, errors=ERRORS):
    (folder / "a.wav").write_bytes(b"sound")
    (folder / "confusion.png").write_bytes(b"png")
    systems = {
        "cnn10": SystemScores({"accuracy": 0.625, "ece": 0.1}, {"accuracy": Interval(0.5, 0.75)}),
        "majority": SystemScores({"accuracy": 0.5}, {}),
    }
    files = [folder / "a.wav", folder / "gone.wav"]
    shown = [error._replace(file=file) for error, file in zip(errors, files, strict=False)]
    classes = class_rows(["cat", "none", "dog"], COUNTS)
    pictures = {"Confusion matrix": folder / "confusion.png"}
    page = classification_page("Classes", "cnn10 of evaluation", systems, classes, pictures, shown)
    page.write(folder / "page.html")
    return read(folder / "page.html")


def test_rows_of_classes_by_hand():
    rows = class_rows(["cat", "none", "dog"], COUNTS)
    assert rows[0] == ["cat", 1.0, 0.75, 6 / 7, 4]
    assert rows[1] == ["none", 0.0, None, None, 0]  # no recordings, and predicted three times
    assert rows[2] == ["dog", 1.0, 0.5, 2 / 3, 4]


def test_systems_stand_beside_each_other(tmp_path):
    rows = page_of(tmp_path).section("Systems").rows()
    assert [cell.text for cell in rows[0]] == ["cnn10", "0.625 [0.500, 0.750]", "0.100"]
    assert [cell.text for cell in rows[1]] == ["majority", "0.500", ""]


def test_errors_have_players_and_what_was_heard(tmp_path):
    page = page_of(tmp_path)
    players = page.section("Most confident errors").all("div", "player")
    assert "predicted: cat (above 99 %)right: dog (below 1 %)" in players[0].text.replace("\n", "")
    assert "<b>first" in players[0].text
    assert "channel A" in players[0].text
    assert "predicted: dog (50 %)" in players[1].text
    assert f"no such file: {tmp_path / 'gone.wav'}" in players[1].text
    assert page.section("Pictures").one("img").attributes["alt"] == "Confusion matrix"
    assert all(target.is_file() for target in targets(tmp_path / "page.html"))


def test_a_system_without_errors_says_so(tmp_path):
    section = page_of(tmp_path, errors=[]).section("Most confident errors")
    assert "Every recording is classified rightly." in section.text
    assert not section.all("audio")


@needs_browser
def test_it_opens_and_a_class_is_found_by_its_f1(tmp_path):
    page_of(tmp_path)
    script = "document.querySelectorAll('section')[2].querySelectorAll('th button')[3].click();"
    found = opened(tmp_path / "page.html", script)
    assert [row[0].text for row in found.dom.section("Classes").rows()] == ["cat", "dog", "none"]
    assert not [line for line in found.console if "Uncaught" in line]
