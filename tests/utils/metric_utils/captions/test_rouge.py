import pytest
from rouge_score.rouge_scorer import RougeScorer

from tests.utils.metric_utils.captions.random_captions import random_captions
from utils.metric_utils.captions.rouge import rouge_l


def of_clips(hypotheses, references):
    return rouge_l(hypotheses, references).values[:, 0].tolist()


def test_by_hand():
    # Longest common subsequence: "the dog loudly", 3 words of 4 and of 5: F1 = 2 * 3 / (4 + 5).
    assert of_clips(["the dog sings loudly"], [["the old dog barks loudly"]]) == [pytest.approx(6 / 9)]
    # The order matters: of "barks dog a" only one word at a time is in the order of "a dog barks".
    assert of_clips(["barks dog a"], [["a dog barks"]]) == [pytest.approx(2 / 6)]


def test_the_best_reference_counts():
    assert of_clips(["a dog barks"], [["rain", "a dog barks", "a dog"]]) == [1]
    assert of_clips(["a dog barks"], [["rain", "a dog"]]) == [pytest.approx(4 / 5)]


def test_the_metric_is_the_mean_over_clips():
    assert rouge_l(["a dog", "wind", ""], [["a dog"], ["rain"], ["rain"]]).value == pytest.approx(1 / 3)


def test_agrees_with_rouge_score_and_its_own_tokens():
    hypotheses, references = random_captions(30)
    scorer = RougeScorer(["rougeL"])
    expected = [
        max(scorer.score(reference, hypothesis)["rougeL"].fmeasure for reference in of_clip)
        for hypothesis, of_clip in zip(hypotheses, references, strict=True)
    ]
    assert of_clips(hypotheses, references) == pytest.approx(expected, rel=1e-12)
    assert of_clips(hypotheses[::-1], references[::-1]) == pytest.approx(expected[::-1], rel=1e-12)


def test_text_that_is_not_latin_counts():
    assert of_clips(["собака лает", "कुत्ता"], [["Собака лает!"], ["बिल्ली"]]) == [1, 0]
