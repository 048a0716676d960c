"""BERTScore and sentence similarity, with networks of a few lines whose values are worked out by hand."""

import numpy as np
import pytest

from utils.metric_utils.captions.embeddings import EmbedOnce, bert_score, sentence_similarity, shuffled_references

REFERENCES = [["a dog"], ["rain", "wet rain"]]


def match(hypotheses, references):
    """1 for a reference itself, 0.6 for any other text; never asked about an empty hypothesis."""
    assert all(hypotheses)
    return np.array([1.0 if h in r else 0.6 for h, r in zip(hypotheses, references, strict=True)])


def embed(texts):
    """A dog is at a right angle to rain, 'wet rain' in between; the lengths do not count."""
    vectors = {"a dog": (2, 0), "rain": (0, 1), "wet rain": (3, 3), "": (1, 1)}
    return np.array([vectors[text] for text in texts], np.float32)


def test_bert_score_raw_and_rescaled():
    floor = shuffled_references(REFERENCES, match)
    assert floor == pytest.approx(0.6)
    found = bert_score(["a dog", "a dog"], REFERENCES, match, floor)
    assert found["BERTScore"].value == pytest.approx(0.8)
    assert found["BERTScore_rescaled"].value == pytest.approx(0.5)  # one perfect, one as good as a shuffled one
    empty = bert_score(["", "rain"], REFERENCES, match, floor)
    assert empty["BERTScore"].values[:, 0].tolist() == [0, 1]
    assert empty["BERTScore_rescaled"].value == pytest.approx((-1.5 + 1) / 2)


def test_nothing_is_rescaled_where_nothing_can_be_above_the_floor():
    assert shuffled_references([["rain"]], match) == 0
    floor = shuffled_references([["rain"], ["rain"]], match)
    assert floor == 1
    assert list(bert_score(["rain", "x"], [["rain"], ["rain"]], match, floor)) == ["BERTScore"]
    assert list(bert_score(["rain", "x"], [["rain"], ["rain"]], match, 0.9901)) == ["BERTScore"]


def test_a_text_is_embedded_once():
    computed = []
    once = EmbedOnce(lambda texts: computed.extend(texts) or embed(texts))
    assert once(["rain", "a dog", "rain"]).tolist() == embed(["rain", "a dog", "rain"]).tolist()
    assert once(["wet rain", "rain"]).tolist() == embed(["wet rain", "rain"]).tolist()
    assert once(["a dog"]).tolist() == [[2, 0]]
    assert computed == ["rain", "a dog", "wet rain"]


def test_sentence_similarity_is_the_mean_over_references():
    found = sentence_similarity(["a dog", "rain"], REFERENCES, embed)
    assert found.values[:, 0] == pytest.approx([1, (1 + np.sqrt(0.5)) / 2])
    assert sentence_similarity(["", "a dog"], REFERENCES, embed).values[:, 0] == pytest.approx([0, np.sqrt(0.5) / 2])
