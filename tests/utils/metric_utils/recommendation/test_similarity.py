import itertools

import numpy as np
import pytest
from scipy.stats import norm

from tests.utils.metric_utils.recommendation.slow import cosines, random_tracks
from utils.metric_utils.recommendation.controls import found_originals
from utils.metric_utils.recommendation.hubness import hubness
from utils.metric_utils.recommendation.neighbours import nearest_tracks
from utils.metric_utils.recommendation.similarity import pair_similarities, track_scores
from utils.metric_utils.recommendation.tracks import Exclusions


def matrix(scores):
    return np.concatenate([block.copy() for _, block in scores.blocks()])


@pytest.fixture(scope="module")
def embeddings():
    return np.random.default_rng(0).standard_normal((40, 6))


def test_local_scaling_is_that_of_the_definition(embeddings):
    distance = 1 - cosines(embeddings)
    scale = np.sort(distance, axis=1)[:, 10]  # column 0 is the track itself
    expected = -(distance**2) / np.outer(scale, scale)
    found = matrix(track_scores(embeddings, rescaling="local_scaling", block_bytes=1))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-9)


def test_mutual_proximity_is_that_of_the_definition(embeddings):
    cosine = cosines(embeddings)
    others = cosine[~np.eye(40, dtype=bool)].reshape(40, 39)
    mean, deviation = others.mean(axis=1), others.std(axis=1)
    expected = norm.logcdf((cosine - mean[:, None]) / deviation[:, None]) + norm.logcdf((cosine - mean) / deviation)
    found = matrix(track_scores(embeddings, rescaling="mutual_proximity", block_bytes=1))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("rescaling", ["local_scaling", "mutual_proximity"])
def test_other_tracks_are_rescaled_by_all_tracks(embeddings, rescaling):
    found = matrix(track_scores(embeddings, embeddings[:3] + 1, rescaling))
    assert found.shape == (3, 40)
    unit = cosines(np.concatenate([embeddings[:3] + 1, embeddings]))[:3, 3:]
    if rescaling == "local_scaling":
        distance, among = 1 - unit, 1 - cosines(embeddings)
        scale = np.sort(distance, axis=1)[:, 9]
        expected = -(distance**2) / np.outer(scale, np.sort(among, axis=1)[:, 10])
    else:
        others = cosines(embeddings)[~np.eye(40, dtype=bool)].reshape(40, 39)
        own = (unit - unit.mean(axis=1)[:, None]) / unit.std(axis=1)[:, None]
        expected = norm.logcdf(own) + norm.logcdf((unit - others.mean(axis=1)) / others.std(axis=1))
    np.testing.assert_allclose(found, expected, rtol=1e-4)


@pytest.mark.parametrize("rescaling", ["local_scaling", "mutual_proximity"])
def test_rescaling_reduces_hubs(rescaling):
    # Not centred, so that tracks near the mean are hubs.
    vectors = np.random.default_rng(1).standard_normal((400, 60)) + 0.3
    vectors *= np.random.default_rng(2).lognormal(0, 0.5, 60)

    def skewness(how):
        rows = nearest_tracks(track_scores(vectors, rescaling=how), 10, Exclusions(400)).rows
        return hubness(rows, 400).skewness

    assert skewness("none") > 1
    assert skewness(rescaling) < 0.6 * skewness("none")


def test_rescaling_errors():
    with pytest.raises(ValueError, match="rescaling is 'hubs'; choices: none, local_scaling, mutual_proximity"):
        track_scores(np.eye(4), rescaling="hubs")
    with pytest.raises(ValueError, match="2 tracks; expected at least 3 for local_scaling"):
        track_scores(np.eye(2), rescaling="local_scaling")


def test_equal_tracks_are_rescaled_to_finite_scores():
    for rescaling in ("local_scaling", "mutual_proximity"):
        assert np.isfinite(matrix(track_scores(np.ones((12, 3)), rescaling=rescaling))).all()
        assert np.isfinite(matrix(track_scores(np.zeros((12, 3)), rescaling=rescaling))).all()


def test_pair_similarities_are_means_over_the_pairs(embeddings):
    tracks = random_tracks(np.random.default_rng(3), 40)
    cosine = cosines(embeddings)
    expected = {"same_genre": [], "same_artist": [], "different": []}
    for i, j in itertools.combinations(range(40), 2):
        genre, artist = ((code[i], code[j]) for code in (tracks.genre, tracks.artist))
        if min(genre) >= 0 and genre[0] == genre[1]:
            expected["same_genre"].append(cosine[i, j])
        if min(artist) >= 0 and artist[0] == artist[1]:
            expected["same_artist"].append(cosine[i, j])
        if min(genre + artist) >= 0 and genre[0] != genre[1] and artist[0] != artist[1]:
            expected["different"].append(cosine[i, j])
    found = pair_similarities(embeddings, tracks.genre, tracks.artist)
    assert found.keys() == expected.keys()
    for kind, values in expected.items():
        assert found[kind].pairs == len(values)
        assert found[kind].mean == pytest.approx(np.mean(values), abs=1e-12)


def test_no_pair_has_no_mean():
    found = pair_similarities(np.eye(3), np.array([0, 1, -1]), np.array([-1, -1, -1]))
    assert [value.pairs for value in found.values()] == [0, 0, 0]
    assert all(np.isnan(value.mean) for value in found.values())


def test_hubness_by_hand():
    found = hubness(np.array([[1, 2], [2, 0], [1, -1], [1, 2]]), number=4)  # occurrences 1, 3, 3, 0
    assert (found.never_recommended, found.largest, found.largest_track) == (0.25, 3, 1)
    apart = np.array([1, 3, 3, 0]) - 1.75
    assert found.skewness == pytest.approx((apart**3).mean() / (apart**2).mean() ** 1.5)


def test_even_lists_have_no_hub():
    found = hubness(np.array([[1], [2], [0]]), number=3)
    assert (found.skewness, found.never_recommended, found.largest) == (0, 0, 1)
    with pytest.raises(ValueError, match="no tracks"):
        hubness(np.empty((0, 1), np.int64), 0)


def test_a_copy_finds_its_original(embeddings):
    copies = embeddings * 0.1
    assert found_originals(copies, embeddings).tolist() == [1] * 40
    copies[[3, 4]] = copies[[4, 3]]
    assert np.flatnonzero(found_originals(copies, embeddings) == 0).tolist() == [3, 4]
    assert found_originals(np.ones((40, 2)), np.ones((40, 2))).sum() == 1  # chance


def test_some_copies_search_all_originals(embeddings):
    own = np.array([7, 30, 2])
    assert found_originals(embeddings[own] * 3, embeddings, own=own).tolist() == [1, 1, 1]
    assert found_originals(embeddings[own] * 3, embeddings, own=own[::-1].copy()).tolist() == [0, 1, 0]
    assert found_originals(embeddings[own], embeddings, "mutual_proximity", own).tolist() == [1, 1, 1]


def test_a_copy_has_one_original(embeddings):
    with pytest.raises(ValueError, match="3 copies of 40 originals; expected one original of each copy"):
        found_originals(embeddings[:3], embeddings)
    with pytest.raises(ValueError, match="3 copies of 2 originals"):
        found_originals(embeddings[:3], embeddings, own=np.array([0, 1]))
    with pytest.raises(ValueError, match=r"item_index\[1\] is 40; expected 0 to 39"):
        found_originals(embeddings[:2], embeddings, own=np.array([0, 40]))
