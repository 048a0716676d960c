import math

import numpy as np
import pytest
import sacrebleu

from tests.utils.metric_utils.captions.random_captions import random_captions
from utils.metric_utils.captions.bleu import bleu
from utils.metric_utils.captions.statistics import metric_intervals


def values(hypotheses, references):
    return {key: metric.value for key, metric in bleu(hypotheses, references).items()}


def test_clipped_precisions_by_hand():
    # 4 words as in the reference; "the" counts twice at most; of the bigrams only "the the" is none of the reference's.
    found = values(["the the the cat"], [["the cat the dog"]])
    assert found["BLEU-1"] == pytest.approx(3 / 4)
    assert found["BLEU-2"] == pytest.approx(math.sqrt(3 / 4 * 1 / 3))
    assert found["BLEU-3"] == found["BLEU-4"] == 0


def test_brevity_by_hand():
    # Both words are right, but the references have 4 and 5; the closest has 4: exp(1 - 4 / 2).
    found = values(["a dog"], [["a dog barks loudly", "a dog barks very loudly"]])
    assert found["BLEU-1"] == found["BLEU-2"] == pytest.approx(math.exp(-1))
    assert found["BLEU-3"] == 0


def test_the_shorter_of_two_references_as_close():
    # 3 words between references of 2 and 4: the shorter counts, so that there is no penalty.
    assert values(["a dog barks"], [["a dog barks loudly", "a dog"]])["BLEU-1"] == pytest.approx(1)


def test_counts_are_added_before_they_are_divided():
    # 1 of 1 and 1 of 3 words: 2 / 4, not the mean 2 / 3.
    assert values(["rain", "a a dog"], [["rain"], ["cat cat dog"]])["BLEU-1"] == pytest.approx(0.5)


def test_identical_captions_have_the_maximum():
    captions = ["a dog barks loudly", "rain falls on a tin roof"]
    assert values(captions, [[text] for text in captions]) == pytest.approx(
        dict.fromkeys(bleu(captions, [["a"]] * 2), 1)
    )


@pytest.mark.parametrize("seed", range(3))
def test_agrees_with_sacrebleu_for_unequal_numbers_of_references(seed):
    hypotheses, references = random_captions(40, seed)
    hypotheses += ["a dog barks loudly", "rain falls far away"]  # four words in a row that a reference has
    references += [["the dog hums", "and then a dog barks loudly"], ["rain falls far away and sings"]]
    most = max(len(of_clip) for of_clip in references)
    streams = [[of_clip[i] if i < len(of_clip) else None for of_clip in references] for i in range(most)]
    found = values(hypotheses, references)
    assert 0 < found["BLEU-4"] < found["BLEU-1"] < 1
    for n in (1, 2, 3, 4):
        scorer = sacrebleu.BLEU(tokenize="none", smooth_method="none", max_ngram_order=n)
        assert found[f"BLEU-{n}"] == pytest.approx(scorer.corpus_score(hypotheses, streams).score / 100, rel=1e-9)


def test_the_interval_is_that_of_bleu_of_drawn_clips():
    hypotheses, references = random_captions(30, seed=4)
    metric = bleu(hypotheses, references)["BLEU-2"]
    rng = np.random.default_rng(0)
    drawn = rng.integers(0, 30, (3, 30))
    weights = np.stack([np.bincount(row, minlength=30) for row in drawn])
    expected = [values([hypotheses[i] for i in row], [references[i] for i in row])["BLEU-2"] for row in drawn]
    assert metric.combine(weights @ metric.values) == pytest.approx(expected, rel=1e-12)
    low, high = metric_intervals({"BLEU-2": metric})["BLEU-2"]
    assert low < metric.value < high


def test_order_case_and_punctuation_do_not_matter():
    hypotheses, references = random_captions(20, seed=5)
    shouted = [f"{text.upper()}." for text in hypotheses]
    assert values(shouted[::-1], references[::-1]) == pytest.approx(values(hypotheses, references), rel=1e-12)


def test_empty_hypotheses():
    references = [["a dog barks loudly"], ["rain falls on a roof"]]
    assert set(values(["", "..."], references).values()) == {0}
    # 4 words of 4 + 5 in the references
    assert values(["a dog barks loudly", ""], references)["BLEU-4"] == pytest.approx(math.exp(1 - 9 / 4))


def test_text_that_is_not_latin():
    assert values(["собака громко лает ночью"], [["Собака громко лает ночью!"]])["BLEU-4"] == pytest.approx(1)
