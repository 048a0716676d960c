"""Captions that several clips have word for word: the ceiling that they set is said once, the page shows them once."""

import csv
import json
from types import SimpleNamespace

import numpy as np
import pytest

from postprocessing import compare, error_analysis, xmodal_retrieval, xmodal_scores
from postprocessing.error_analysis import page_of
from tasks.retrieval.errors import Errors
from tasks.retrieval.evaluation import evaluate_split
from tasks.retrieval.scores import ScoredSplit
from tests.pages import parsed, read
from tests.postprocessing.commands import run
from utils.artefact_utils import Caption, Clip, read_text_table, write_text_table
from utils.data_utils import Tables
from utils.metric_utils.protocols import PROTOCOLS

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


def test_a_caption_that_one_clip_has_twice_is_shown_once_and_sets_no_ceiling(tmp_path):
    clips = [Clip(f"f{n}", f"{n}.wav", f"{n}.wav", 1.0, 8000, 1, "") for n in range(2)]
    texts = [("a dog", 0), ("a dog", 0), ("rain", 1)]
    captions = [Caption(f"t{n}", f"f{c}", f"{c}.wav", text, text, "") for n, (text, c) in enumerate(texts)]
    scores = np.array([[0.9, 0.1], [0.9, 0.1], [0.8, 0.2]], np.float32)
    scored = ScoredSplit("one", "test", tmp_path / "s", tmp_path, captions, clips, Tables(clips, captions), scores)
    settings = SimpleNamespace(data=SimpleNamespace(root=tmp_path))
    evaluation = evaluate_split(scored, settings, PROTOCOLS["dcase2023"], top=2)
    assert evaluation.shared is None
    errors = Errors.of(scored, settings, evaluation, 2)
    assert errors.hardest(9).tolist() == [2, 0]
    assert errors.easiest(1).tolist() == [0]
    page = parsed(page_of(errors, 9, 9).html(tmp_path))
    assert "word for word" not in page.text


def test_a_comparison_shows_such_a_query_once(capsys):
    rows = [("a dog barks", "0.wav", 4, 1, 0.75), ("a dog barks ", "1.wav", 3, 1, 0.6667), ("rain", "2.wav", 2, 1, 0.5)]
    compare._print_changes(["one", "two"], rows)
    printed = capsys.readouterr().out
    assert printed.count("a dog barks") == 1
    assert "3 queries better in two" in printed
    assert "rain" in printed
