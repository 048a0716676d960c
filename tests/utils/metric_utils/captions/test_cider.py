import math

import numpy as np
import pytest

from tests.utils.metric_utils.captions.cider_by_definition import cider_d_of_clip
from tests.utils.metric_utils.captions.random_captions import random_captions
from utils.metric_utils.captions.cider import cider_d


def of_clips(hypotheses, references, corpus=None):
    return cider_d(hypotheses, references, corpus).values[:, 0]


def test_unigrams_and_bigrams_by_hand():
    # Every n-gram is in one of two documents: all weights are log 2 and cancel. One word too few: exp(-1 / 72).
    found = of_clips(["a dog", "rain"], [["a dog barks"], ["rain"]])
    unigrams, bigrams = 2 / (math.sqrt(2) * math.sqrt(3)), 1 / math.sqrt(2)
    assert found[0] == pytest.approx(10 / 4 * (unigrams + bigrams) * math.exp(-1 / 72), rel=1e-12)
    assert found[1] == pytest.approx(10 / 4, rel=1e-12)  # identical, but with a single n


def test_a_repeated_word_is_clipped():
    # h = (2, 0), r = (1, 1): min(2, 1) * 1 / (2 * sqrt 2); without clipping it would be twice that.
    found = of_clips(["dog dog", "rain"], [["dog barks"], ["rain"]])
    assert found[0] == pytest.approx(10 / 4 / (2 * math.sqrt(2)), rel=1e-12)


def test_a_word_of_more_clips_weighs_less():
    # Three clips; "a" is in two of them, weight log 1.5; "dog" and "cat" in one, weight log 3.
    found = of_clips(["a", "a", "rain"], [["a dog"], ["a cat"], ["rain"]])
    common, rare = math.log(1.5), math.log(3)
    assert found[0] == pytest.approx(10 / 4 * common / math.hypot(common, rare) * math.exp(-1 / 72), rel=1e-12)


def test_a_word_counts_once_for_each_clip_however_many_references_have_it():
    found = of_clips(["a", "rain"], [["a dog", "a dog", "a"], ["rain"]])
    of_pair = 1 / math.sqrt(2) * math.exp(-1 / 72)
    assert found[0] == pytest.approx(10 / 4 * (2 * of_pair + 1) / 3, rel=1e-12)


def test_a_word_of_all_clips_is_worth_nothing():
    assert of_clips(["a", "a"], [["a dog"], ["a cat"]]).tolist() == [0, 0]
    assert of_clips(["a dog barks far away"], [["a dog barks far away"]]).tolist() == [0]  # a single clip


def test_identical_captions_of_four_words_have_the_maximum():
    captions = ["a dog barks loudly", "rain falls on a tin roof"]
    assert of_clips(captions, [[text] * 3 for text in captions]) == pytest.approx([10, 10], rel=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_agrees_with_the_definition_on_random_captions(seed):
    hypotheses, references = random_captions(12, seed)
    documents = [[text.split() for text in of_clip] for of_clip in references]
    expected = [
        cider_d_of_clip(h.split(), [r.split() for r in of_clip], documents)
        for h, of_clip in zip(hypotheses, references, strict=True)
    ]
    assert max(expected) > 0.5
    np.testing.assert_allclose(of_clips(hypotheses, references), expected, rtol=1e-10, atol=1e-12)


def test_agrees_with_the_definition_with_frequencies_of_another_corpus():
    hypotheses, references = random_captions(8, seed=3)
    _, corpus = random_captions(9, seed=4)
    documents = [[text.split() for text in of_clip] for of_clip in corpus]
    expected = [
        cider_d_of_clip(h.split(), [r.split() for r in of_clip], documents)
        for h, of_clip in zip(hypotheses, references, strict=True)
    ]
    np.testing.assert_allclose(of_clips(hypotheses, references, corpus), expected, rtol=1e-10, atol=1e-12)
    assert not np.allclose(of_clips(hypotheses, references), expected)


def test_the_order_of_clips_and_of_references_does_not_matter():
    hypotheses, references = random_captions(20, seed=5)
    turned = of_clips(hypotheses[::-1], [of_clip[::-1] for of_clip in references[::-1]])
    np.testing.assert_allclose(turned[::-1], of_clips(hypotheses, references), rtol=1e-12)


def test_an_empty_hypothesis_is_0_and_leaves_the_others_as_they_are():
    hypotheses, references = random_captions(6, seed=6)
    before = of_clips(hypotheses, references)
    after = of_clips(["...", *hypotheses[1:]], references)
    assert after[0] == 0
    np.testing.assert_allclose(after[1:], before[1:], rtol=1e-12)


def test_text_that_is_not_latin():
    found = of_clips(["कुत्ता ज़ोर से भौंकता है", "雨"], [["कुत्ता ज़ोर से भौंकता है।"], ["雨。"]])
    assert found == pytest.approx([10, 2.5], rel=1e-12)


def test_bad_captions():
    with pytest.raises(ValueError, match="the corpus of document frequencies is empty"):
        cider_d(["a"], [["a"]], [])
    with pytest.raises(ValueError, match="clip 1 has no references"):
        cider_d(["a", "b"], [["a"], []])
