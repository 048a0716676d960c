import numpy as np
import pytest

from tests.utils.metric_utils.recommendation.slow import cosines, order_by_definition, random_tracks
from utils.metric_utils.recommendation.neighbours import agreed_tracks, nearest_tracks
from utils.metric_utils.recommendation.similarity import track_scores
from utils.metric_utils.recommendation.system import measure_system
from utils.metric_utils.recommendation.tracks import FILTERS, Exclusions, Tracks


@pytest.fixture(scope="module")
def system():
    rng = np.random.default_rng(0)
    return rng.standard_normal((70, 5)), random_tracks(rng, 70)


@pytest.mark.parametrize("name", FILTERS)
def test_lists_are_those_of_the_definition(system, name):
    embeddings, tracks = system
    # blocks of 16 queries, the smallest ones
    found = nearest_tracks(track_scores(embeddings, block_bytes=1), 8, tracks.exclusions(name))
    scores = cosines(embeddings)
    for query in range(70):
        expected = order_by_definition(scores, tracks, name, query)[:8]
        assert found.rows[query].tolist() == expected
        np.testing.assert_allclose(found.scores[query], scores[query, expected], atol=1e-6)


@pytest.mark.parametrize("name", FILTERS)
def test_the_measured_system_lists_the_same(system, name):
    embeddings, tracks = system
    listed = measure_system(embeddings, tracks).filters[name].neighbours
    found = nearest_tracks(track_scores(embeddings), 10, tracks.exclusions(name))
    np.testing.assert_array_equal(listed.rows, found.rows)
    np.testing.assert_array_equal(listed.scores, found.scores)


def test_lists_begin_behind_all_excluded_candidates():
    # all 29 (first artist) or 11 (second one) nearest tracks are by the query's artist
    angles = np.concatenate([np.linspace(0, 0.2, 30), np.linspace(1, 1.3, 12)])
    artist = ["a"] * 30 + ["b"] * 12
    embeddings = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    tracks = Tracks.of(genre=["g"] * 42, artist=artist, album=artist, title=[""] * 42)
    listed = measure_system(embeddings, tracks).filters["artist"].neighbours.rows
    assert listed[:30].tolist() == [list(range(30, 40))] * 30
    assert listed[30:].tolist() == [list(range(29, 19, -1))] * 12


def test_equal_scores_are_in_the_order_of_rows():
    found = nearest_tracks(track_scores(np.ones((6, 2))), 3, Exclusions(6))
    assert found.rows.tolist() == [[1, 2, 3], [0, 2, 3], [0, 1, 3], [0, 1, 2], [0, 1, 2], [0, 1, 2]]


def test_fewer_candidates_than_asked_for():
    exclusions = Exclusions(4, np.array([0, 0, 0, -1]), np.array([[0, 3]]))
    found = nearest_tracks(track_scores(np.eye(4)), 3, exclusions)
    assert found.rows.tolist() == [[-1, -1, -1], [3, -1, -1], [3, -1, -1], [1, 2, -1]]
    assert np.isnan(found.scores[0]).all()
    assert found.scores[3, :2].tolist() == [0, 0]
    assert np.isnan(found.scores[3, 2])


def test_other_tracks_ask_among_all():
    found = nearest_tracks(track_scores(np.eye(3), np.array([[0.1, 0.2, 0.9]])), 2)
    assert found.rows.tolist() == [[2, 1]]


def test_errors():
    scores = track_scores(np.eye(3))
    with pytest.raises(ValueError, match="k is 0; expected at least 1 neighbour"):
        nearest_tracks(scores, 0)
    with pytest.raises(ValueError, match=r"scores are \(3, 3\), exclusions are of 4 tracks"):
        nearest_tracks(scores, 1, Exclusions(4))


def test_agreement_by_hand():
    lists = np.array([[3, 1, 2], [1, 4, -1]])
    found = agreed_tracks(lists, number=5, k=3)
    assert found.rows.tolist() == [1, 3, 4]
    assert found.points == pytest.approx([1 / 62 + 1 / 61, 1 / 61, 1 / 62])  # 2 is in one list, third
    borda = agreed_tracks(lists, number=5, k=5, how="borda")
    assert borda.rows.tolist() == [1, 3, 4, 2]  # 4 tracks are in a list
    assert borda.points.tolist() == [2 + 3, 3, 2, 1]


def test_what_one_seed_excludes_is_excluded_for_all():
    lists = np.array([[3, 1, 2], [1, 4, 2]])
    excluded = np.array([False, True, False, False, False])
    assert agreed_tracks(lists, 5, 5, excluded=excluded).rows.tolist() == [2, 3, 4]


def test_one_list_is_itself():
    assert agreed_tracks(np.array([[4, 0, 2]]), 5, 3).rows.tolist() == [4, 0, 2]


@pytest.mark.parametrize(
    ("lists", "k", "how"), [([1, 2], 1, "borda"), ([[5]], 1, "borda"), ([[1]], 0, "borda"), ([[1]], 1, "mean")]
)
def test_bad_lists(lists, k, how):
    with pytest.raises(ValueError, match="expected"):
        agreed_tracks(np.array(lists), 5, k, how)
