import json

import numpy as np
import pytest

from tests.utils.metric_utils.recommendation.slow import cosines, measures_by_definition, random_tracks
from utils.metric_utils.graded import ndcg_at_k
from utils.metric_utils.ranking import tie_order
from utils.metric_utils.recommendation.labels import RelevantRanks, label_measures
from utils.metric_utils.recommendation.spaces import EmbeddingSpace
from utils.metric_utils.recommendation.system import measure_system, paired, ranked_blocks
from utils.metric_utils.recommendation.tracks import FILTERS, Tracks
from utils.metric_utils.retrieval import average_precision_at_k
from utils.metric_utils.scores import MatrixScores

ANGLES = np.deg2rad([0.0, 10, 25, 45, 70])


def five_tracks():
    """Tracks on a circle: the nearer the angle, the more similar. Rows 0 and 1 are two versions by artist a."""
    return np.stack([np.cos(ANGLES), np.sin(ANGLES)], axis=1), Tracks.of(
        genre=["rock", "rock", "jazz", "rock", ""],
        artist=["a", "a", "b", "c", "c"],
        album=["x", "y", "x", "z", "z"],
        title=["Song", "Song (Live)", "Song", "Other", "Last"],
    )


def random_system(seed, number=60, dim=6):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((number, dim)).astype(np.float32), random_tracks(rng, number)


def test_values_by_hand():
    found = measure_system(*five_tracks()).metrics()
    # genre, of rows 0, 1, 3 (row 2 is the only jazz, row 4 has none); orders: 1 2 3 4; 0 2 3 4; 2 4 1 0
    assert found["none"]["genre_precision@1"] == pytest.approx(2 / 3)
    assert found["none"]["genre_precision@5"] == pytest.approx(2 / 5)
    assert found["none"]["genre_mAP"] == pytest.approx(((1 + 2 / 3) / 2 * 2 + (1 / 3 + 2 / 4) / 2) / 3)
    top = (1 + 1 / 2) / (1 + 1 / np.log2(3))
    last = (1 / 2 + 1 / np.log2(5)) / (1 + 1 / np.log2(3))
    assert found["none"]["genre_nDCG@10"] == pytest.approx((2 * top + last) / 3)
    # artist, of rows 0, 1, 3, 4: ranks 1, 1, 2, 1
    assert found["none"]["artist_precision@1"] == pytest.approx(3 / 4)
    assert found["none"]["artist_mAP"] == pytest.approx(3.5 / 4)
    # without the artist's other tracks: orders 2 3 4; 2 3 4; 2 1 0
    assert found["artist"]["genre_precision@1"] == 0
    assert found["artist"]["genre_mAP"] == pytest.approx((1 / 2 + 1 / 2 + (1 / 2 + 2 / 3) / 2) / 3)
    assert "artist_mAP" not in found["artist"]
    # a live version of the same artist goes, the same title of artist b remains
    assert found["version"]["genre_precision@1"] == 0
    assert found["version"]["artist_precision@1"] == pytest.approx(1 / 2)
    # album z goes; album x is two albums of two artists
    assert found["album"]["artist_precision@1"] == 1


def test_what_is_no_query_is_counted():
    filters = measure_system(*five_tracks()).filters
    assert filters["none"].counts() == {
        "genre_queries": 3,
        "genre_unknown": 1,
        "genre_without_relevant": 1,
        "artist_queries": 4,
        "artist_unknown": 0,
        "artist_without_relevant": 1,
    }
    assert filters["artist"].counts()["artist_queries"] == 0
    assert filters["artist"].counts()["artist_without_relevant"] == 5
    assert filters["none"].labels["genre"].queries.tolist() == [0, 1, 3]


@pytest.mark.parametrize("seed", range(3))
def test_every_value_is_that_of_the_definition(seed):
    embeddings, tracks = random_system(seed)
    expected = measures_by_definition(cosines(embeddings.astype(np.float64)), tracks)
    found = measure_system(embeddings, tracks)
    for name in FILTERS:
        for label in ("genre", "artist"):
            of_label = found.filters[name].labels[label]
            for key, values in of_label.values.items() if len(of_label.queries) else ():
                value_of = expected[name].pop(f"{label}_{key}")
                assert list(value_of) == of_label.queries.tolist()
                np.testing.assert_allclose(values, list(value_of.values()), rtol=1e-12)
        assert not expected[name]


def test_metrics_are_those_of_retrieval():
    rng = np.random.default_rng(5)
    relevant = rng.random((7, 30)) < 0.4
    rank = np.tile(np.arange(1, 31, dtype=np.int32), (7, 1))
    query, column = np.nonzero(relevant)
    found = label_measures(
        [RelevantRanks.of(relevant[:3], rank[:3]), RelevantRanks.of(relevant[3:], rank[3:])], rank[0] < 8
    )
    np.testing.assert_allclose(found.values["mAP"], average_precision_at_k(column + 1, query, 7, 30))
    np.testing.assert_allclose(found.values["nDCG@10"], ndcg_at_k(column + 1, query, 7, 10))


def test_equal_scores_are_in_a_fixed_order():
    rng = np.random.default_rng(1)
    scores = rng.choice(np.array([-1e9, -1.5, -0.0, 0.0, 1e-30, 0.25, 7], np.float32), (20, 300))
    (_, _, order), *more = ranked_blocks(MatrixScores(scores))
    assert not more
    tied = tie_order(300)
    np.testing.assert_array_equal(order, tied[np.argsort(-scores[:, tied], axis=1, kind="stable")])


def test_embeddings_that_are_all_equal_are_at_chance():
    # a table sorted by genre: by row, every track of the first genre would have an AP of 1, those of the last one 0.3
    genre = np.repeat(["a", "b"], 200).tolist()
    tracks = Tracks.of(genre=genre, artist=[""] * 400, album=[""] * 400, title=[""] * 400)
    found = measure_system(np.ones((400, 3)), tracks).filters["none"]
    assert found.metrics()["genre_mAP"] == pytest.approx(found.chance()["genre_mAP"], rel=0.05)
    assert found.hubness.largest == 399
    assert found.neighbours.rows[0].tolist() == [row for row in tie_order(400) if row != 0][:10]


def test_the_order_of_the_tracks_does_not_matter():
    embeddings, tracks = random_system(7)
    order = np.random.default_rng(8).permutation(len(tracks))
    place = np.argsort(order)
    moved = Tracks(
        *(code[order] for code in (tracks.genre, tracks.artist, tracks.album, tracks.version)), place[tracks.similar]
    )
    a, b = measure_system(embeddings, tracks), measure_system(embeddings[order], moved)
    for name in FILTERS:
        assert b.metrics()[name] == pytest.approx(a.metrics()[name], rel=1e-9)
        assert b.filters[name].chance() == pytest.approx(a.filters[name].chance(), rel=1e-9)
        assert b.filters[name].hubness.skewness == pytest.approx(a.filters[name].hubness.skewness, rel=1e-9)
        np.testing.assert_array_equal(order[b.filters[name].neighbours.rows], a.filters[name].neighbours.rows[order])


def test_random_embeddings_reach_chance():
    rng = np.random.default_rng(9)
    tracks = random_tracks(rng, 600, genres=3, artists=60)
    systems = [measure_system(rng.standard_normal((600, 20)), tracks) for _ in range(4)]
    for name in FILTERS:
        chance = systems[0].filters[name].chance()
        assert 0.25 < chance["genre_precision@5"] < 0.4
        for key, value in chance.items():
            label, metric = key.split("_")
            drawn = np.concatenate([system.filters[name].labels[label].values[metric] for system in systems])
            assert abs(drawn.mean() - value) < 4 * drawn.std() / np.sqrt(len(drawn)), (name, key)


def test_chance_is_the_mean_over_all_orders():
    # 1 relevant of 3 candidates: each of its ranks 1, 2, 3 is equally likely
    tracks = Tracks.of(genre=["a", "a", "b", "c"], artist=[""] * 4, album=[""] * 4, title=[""] * 4)
    chance = measure_system(np.eye(4), tracks).filters["none"].chance()
    expected = {"precision@1": 1 / 3, "precision@5": 1 / 5, "precision@10": 1 / 10}
    expected |= {"mAP": (1 + 1 / 2 + 1 / 3) / 3, "nDCG@10": (1 + 1 / np.log2(3) + 1 / 2) / 3}
    assert chance == pytest.approx({f"genre_{key}": value for key, value in expected.items()})


def test_a_perfect_system_has_1():
    genre = np.repeat(["a", "b", "c"], 11)
    vectors = np.eye(3)[np.repeat([0, 1, 2], 11)]
    tracks = Tracks.of(genre=genre.tolist(), artist=[""] * 33, album=[""] * 33, title=[""] * 33)
    found = measure_system(vectors, tracks).metrics()
    for name in FILTERS:
        assert found[name] == pytest.approx(dict.fromkeys(found[name], 1.0))
        assert "genre_mAP" in found[name]
        assert "artist_mAP" not in found[name]


def test_intervals_hold_the_value_and_a_seed_gives_the_same():
    system = measure_system(*random_system(3))
    intervals = system.intervals(resamples=300, seed=1)
    for name, metrics in system.metrics().items():
        assert intervals[name].keys() == metrics.keys()
        assert all(intervals[name][key].low <= value <= intervals[name][key].high for key, value in metrics.items())
    assert system.intervals(resamples=300, seed=1) == intervals
    assert system.intervals(resamples=300, seed=2) != intervals


def test_differences_are_paired():
    embeddings, tracks = random_system(4)
    a, b = measure_system(embeddings, tracks), measure_system(embeddings[:, :2], tracks)
    found = paired(a, b, resamples=200)
    value = found["album"]["genre_mAP"]
    assert value.difference == pytest.approx(b.metrics()["album"]["genre_mAP"] - a.metrics()["album"]["genre_mAP"])
    assert value.interval.low <= value.difference <= value.interval.high
    same = paired(a, a, resamples=200)["none"]["genre_precision@5"]
    assert (same.difference, same.interval, same.p_value) == (0, (0, 0), 1)


def test_systems_of_different_tracks_are_not_compared():
    a, b = measure_system(*random_system(0)), measure_system(*random_system(1))
    with pytest.raises(ValueError, match="different queries of genre under filter none"):
        paired(a, b, resamples=10)


def test_every_number_is_json():
    found = json.loads(json.dumps(measure_system(*five_tracks()).as_json(), allow_nan=False))
    assert found["metrics"]["none"]["artist_precision@1"] == 0.75
    assert found["counts"]["none"]["genre_queries"] == 3
    assert set(found["hubness"]) == set(found["chance"]) == set(FILTERS)
    assert found["similarities"]["same_artist"]["pairs"] == 2


@pytest.mark.parametrize("rescaling", ["local_scaling", "mutual_proximity"])
def test_rescaled_systems_are_measured(rescaling):
    embeddings, tracks = random_system(6)
    space = EmbeddingSpace.fit(embeddings, "whitened")
    found = measure_system(space(embeddings), tracks, rescaling)
    assert found.metrics()["none"] != measure_system(space(embeddings), tracks).metrics()["none"]
    assert np.isfinite(found.filters["none"].neighbours.scores).all()


def test_two_tracks_are_the_least():
    one = Tracks.of(genre=["a"], artist=["b"], album=["c"], title=["d"])
    with pytest.raises(ValueError, match="1 embeddings of 1 tracks; expected one each of at least 2 tracks"):
        measure_system(np.ones((1, 2)), one)
    with pytest.raises(ValueError, match="3 embeddings of 1 tracks"):
        measure_system(np.ones((3, 2)), one)
