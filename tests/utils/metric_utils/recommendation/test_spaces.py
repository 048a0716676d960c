import numpy as np
import pytest

from utils.metric_utils.recommendation.spaces import EmbeddingSpace


@pytest.fixture(scope="module")
def training():
    rng = np.random.default_rng(0)
    return rng.standard_normal((200, 5)) @ rng.standard_normal((5, 5)) * [1, 10, 100, 1, 1] + 50


def test_centred_by_hand():
    space = EmbeddingSpace.fit(np.array([[1.0, 1], [3, 1]]))
    np.testing.assert_allclose(
        space(np.array([[5.0, 1], [2, -2], [2, 1], [5, 5]])), [[1, 0], [0, -1], [0, 0], [0.6, 0.8]]
    )


def test_standardised_is_independent_of_units(training):
    test = training[:20]
    expected = EmbeddingSpace.fit(training, "standardised")(test)
    units = np.array([0.001, 7, 1, 60, 1000])
    np.testing.assert_allclose(EmbeddingSpace.fit(training * units, "standardised")(test * units), expected, atol=1e-6)


def test_whitened_is_independent_of_any_linear_map(training):
    # the cosine of whitened vectors is the same after any invertible map of the embeddings
    mixing = np.random.default_rng(1).standard_normal((5, 5))
    a = EmbeddingSpace.fit(training, "whitened", shrinkage=0)(training[:20])
    b = EmbeddingSpace.fit(training @ mixing, "whitened", shrinkage=0)(training[:20] @ mixing)
    np.testing.assert_allclose(b @ b.T, a @ a.T, atol=1e-4)


def test_whitened_dimensions_have_variance_1_and_no_correlation(training):
    space = EmbeddingSpace.fit(training, "whitened", shrinkage=0)
    white = (training - space.mean) @ space.matrix
    np.testing.assert_allclose(white.T @ white / len(white), np.eye(5), atol=1e-8)


def test_full_shrinkage_is_centred(training):
    expected = EmbeddingSpace.fit(training)(training)
    np.testing.assert_allclose(EmbeddingSpace.fit(training, "whitened", shrinkage=1)(training), expected, atol=1e-6)


@pytest.mark.parametrize("scaling", ["standardised", "whitened"])
def test_a_dimension_that_never_varies_changes_nothing(training, scaling):
    wider = np.concatenate([training, np.full((200, 1), 3.0)], axis=1)
    shrinkage = 0.0
    expected = EmbeddingSpace.fit(training, scaling, shrinkage)(training)
    found = EmbeddingSpace.fit(wider, scaling, shrinkage)(wider)
    np.testing.assert_allclose(found @ found.T, expected @ expected.T, atol=1e-5)


@pytest.mark.parametrize("scaling", ["centred", "standardised", "whitened"])
def test_embeddings_that_are_equal_but_for_rounding_become_0(scaling):
    equal = np.float32(0.1) + np.random.default_rng(3).choice(np.float32([0, 7e-9]), (20, 4))
    assert EmbeddingSpace.fit(equal, scaling)(equal).tolist() == [[0] * 4] * 20
    assert EmbeddingSpace.fit(np.zeros((3, 4)), scaling)(np.zeros((2, 4))).tolist() == [[0] * 4] * 2


def test_more_dimensions_than_tracks():
    few = np.random.default_rng(2).standard_normal((4, 30))
    assert np.isfinite(EmbeddingSpace.fit(few, "whitened")(few)).all()


def test_errors(training):
    with pytest.raises(ValueError, match="1 training tracks"):
        EmbeddingSpace.fit(training[:1])
    with pytest.raises(ValueError, match=r"shrinkage 1.5; expected .* 0 to 1"):
        EmbeddingSpace.fit(training, "whitened", shrinkage=1.5)
    with pytest.raises(ValueError, match=r"training are \(2,\)"):
        EmbeddingSpace.fit(np.ones(2))
    broken = training.copy()
    broken[7, 2] = np.nan
    with pytest.raises(ValueError, match="row 7 of embeddings holds a number that is not finite"):
        EmbeddingSpace.fit(training)(broken)
