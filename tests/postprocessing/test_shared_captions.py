"""Captions that several clips have word for word: the ceiling that they set is said once, the page shows them once."""

import csv
import json

import pytest

from postprocessing import compare, error_analysis, xmodal_retrieval, xmodal_scores
from tests.pages import read
from tests.postprocessing.commands import run
from utils.artefact_utils import read_text_table, write_text_table

PAGE = "evaluation_error_analysis.html"
LINE = (
    "3 of 8 captions are also, word for word, those of another clip; at most R@1 0.7500, R@5 1.0000, R@10 1.0000, "
    "mAP@10 0.8542, mAP@16 0.8542 can be reached, text to audio"
)
CEILING = 5 / 8 + (1 + 1 / 2 + 1 / 3) / 8  # of mAP@10: five of eight first, the three in one order


@pytest.fixture
def scored(trained, capsys):
    """Eight captions of four clips; three clips have one in common, with another blank at its end."""
    path = trained / "features" / "evaluation_text.csv"
    captions = read_text_table(path, "")
    for row, text in ((0, "a dog barks"), (2, "a dog barks "), (4, "a dog barks")):
        captions[row] = captions[row]._replace(raw_text=text)
    write_text_table(path, captions)
    assert len({captions[row].fid for row in (0, 2, 4)}) == 3
    run(xmodal_scores.main, capsys, trained)
    return trained


def test_the_ceiling_is_said_once_and_is_in_the_json(scored, capsys):
    result = run(xmodal_retrieval.main, capsys, scored)
    assert result.out.count(LINE) == 1
    report = json.loads((scored / "runs" / "tiny" / "evaluation_retrieval_metrics.json").read_text())
    assert report["ceiling"]["captions"] == 3
    found = report["ceiling"]["text_to_audio"]
    assert found == pytest.approx({"R@1": 6 / 8, "R@5": 1, "R@10": 1, "mAP@10": CEILING, "mAP@16": CEILING})
    for key, value in found.items():
        assert report["text_to_audio"][key] <= value


def test_the_page_says_it_once_and_shows_the_query_once(scored, capsys):
    result = run(error_analysis.main, capsys, scored)
    page = read(scored / "runs" / "tiny" / PAGE)
    assert page.text.count(LINE) == 1
    assert LINE not in result.out  # of the page alone: the terminal has it from the evaluation
    for section, shown in (("Hardest queries", 6), ("Easiest queries", 6)):
        cards = page.section(section).all("article", "card")
        titles = [card.one("h3").text.strip() for card in cards]
        assert len(titles) == len(set(titles)) == shown
        (card,) = [card for card in cards if card.one("h3").text.strip() == "a dog barks"]
        assert "; 2 other clips have this caption, word for word" in card.text
        lines = [node.all("p", "quiet")[0].text for node in card.all("div", "player")]
        assert sum(line.startswith("sought, ") for line in lines) == 1
        assert sum(line.startswith("has this caption too, ") for line in lines) == 2


def test_lists_of_relevant_clips_set_no_such_ceiling(scored, capsys):
    with (scored / "corpus" / "metadata_eval.csv").open("w", newline="") as stream:
        rows = [["a dog barks", "['evaluation 0.wav', 'evaluation 1.wav']"]]
        csv.writer(stream).writerows([["query", "audio_filenames"], *rows])
    result = run(xmodal_retrieval.main, capsys, scored, "--protocol", "dcase2025")
    assert result.code == 0
    assert "word for word" not in result.out
    report = json.loads((scored / "runs" / "tiny" / "evaluation_retrieval_metrics_dcase2025.json").read_text())
    assert "ceiling" not in report


def test_a_comparison_shows_such_a_query_once(capsys):
    rows = [("a dog barks", "0.wav", 4, 1, 0.75), ("a dog barks ", "1.wav", 3, 1, 0.6667), ("rain", "2.wav", 2, 1, 0.5)]
    compare._print_changes(["one", "two"], rows)
    printed = capsys.readouterr().out
    assert printed.count("a dog barks") == 1
    assert "3 queries better in two" in printed
    assert "rain" in printed
