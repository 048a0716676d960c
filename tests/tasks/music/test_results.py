"""What is measured of recommendations, on eight tracks whose neighbours are known by hand.

Tracks 0 to 3 are Rock, 4 to 7 Jazz; each of four artists has one of each: 0 and 4, 1 and 5, 2 and 6, 3 and 7.
"""

import json
from dataclasses import replace

import numpy as np
import pytest

from tasks.music.results import (
    LEVEL,
    RecommendationResults,
    Settings,
    better_baseline,
    differences_of,
    effects_of,
    known_tracks,
    main_metric,
    main_value,
    measure_one,
)
from tasks.music.systems import BASELINES, MFCC_RAW, MFCC_STANDARDISED, RANDOM, SystemVectors, control_vectors
from utils.artefact_utils import Track
from utils.cli_utils import UserError
from utils.metric_utils.recommendation.spaces import EmbeddingSpace
from utils.metric_utils.recommendation.system import measure_system

CHOSEN = "trial_00000/FrameAutoencoder"
FILTERS = ["none", "artist", "album", "version"]
CORNERS = np.array([[1, 0], [0, 1], [-1, 0], [0, -1]], np.float32)  # training tracks of mean 0


def track(number, genre="", artist=""):
    album = "Best of" if number in (0, 1, 4) else ""
    return Track(f"f{number}", str(number), "test", f"{number}.mp3", f"t{number}", artist, album, genre, (), 1.0)


TRACKS = [track(n, "Rock" if n < 4 else "Jazz", f"artist {n % 4}") for n in range(8)]
KNOWN = known_tracks(TRACKS)


def circle(degrees):
    angles = np.radians(degrees)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


# Genres are far apart: of the five nearest tracks of each, the first three are of its genre, and none of its artist.
BY_GENRE = circle([0, 10, 20, 30, 180, 190, 200, 210])
# Artists are far apart: the nearest track is of its artist, and of the four after it two are of its genre.
BY_ARTIST = circle([0, 90, 180, 270, 1, 91, 181, 271])


def vectors(name, embeddings, training=CORNERS):
    return SystemVectors(name, training, [f"f{n}" for n in range(len(embeddings))], embeddings)


def measured(known=KNOWN, **embeddings):
    """Results of `mfcc`, `mfcc_standardised` and `chosen`."""
    named = {CHOSEN if name == "chosen" else name: found for name, found in embeddings.items()}
    return {name: measure_one(vectors(name, found), known, Settings()) for name, found in named.items()}


def test_metrics_of_one_system_under_each_filter():
    result = measure_one(vectors("x", BY_ARTIST), KNOWN, Settings())
    found = result.measures.metrics()
    assert list(found) == FILTERS
    expected = {"genre_precision@1": 0, "genre_precision@5": 0.4, "artist_precision@1": 1, "artist_precision@5": 0.2}
    assert {key: found["none"][key] for key in expected} == pytest.approx(expected)
    assert found["none"]["artist_mAP"] == 1
    assert "artist_mAP" not in found["artist"]
    assert found["version"] == found["none"]
    # under the artist filter 0 finds 7 first (89 degrees), 1 and 3 (90), 5 (91): again two of its genre in five
    assert found["artist"]["genre_precision@5"] == pytest.approx(0.4)
    for metric, value in found["none"].items():
        assert result.intervals["none"][metric].low <= value <= result.intervals["none"][metric].high
    np.testing.assert_allclose(result.embeddings, BY_ARTIST, atol=1e-6)


def test_an_album_and_a_near_duplicate_are_filtered():
    result = measure_one(vectors("x", BY_ARTIST), known_tracks(TRACKS, np.array([[1, 5]])), Settings())
    lists = {name: found.neighbours.rows[:, 0].tolist() for name, found in result.measures.filters.items()}
    assert (lists["none"][0], lists["album"][0], lists["version"][0]) == (4, 7, 4)
    # of the other artist's album of that name nothing is left out
    assert (lists["none"][1], lists["album"][1], lists["version"][1]) == (5, 5, 4)


def test_settings_change_the_space_and_say_their_name():
    assert [str(Settings()), str(Settings("whitened", True))] == ["cosine", "whitened, local scaling"]
    assert (Settings().rescaling, Settings(None, True).rescaling) == ("none", "local_scaling")
    stretched = vectors("x", BY_GENRE * [1, 5], CORNERS * [1, 5])
    plain, standardised = (measure_one(stretched, KNOWN, Settings(scaling)) for scaling in (None, "standardised"))
    np.testing.assert_allclose(standardised.embeddings, BY_GENRE, atol=1e-6)
    assert np.abs(plain.embeddings - BY_GENRE).max() > 0.1


def test_controls_are_random_whatever_is_chosen():
    control = control_vectors([f"f{n}" for n in range(8)])[0]
    assert control.name == RANDOM
    plain, whitened = (measure_one(control, KNOWN, settings) for settings in (Settings(), Settings("whitened", True)))
    np.testing.assert_array_equal(plain.embeddings, whitened.embeddings)
    assert plain.measures.metrics() == whitened.measures.metrics()


def test_a_collapsed_autoencoder_is_refused_with_its_name():
    with pytest.raises(UserError, match=r"^trial_7/Wave: has collapsed, all 4 training tracks have the same embedding"):
        measure_one(vectors("trial_7/Wave", BY_GENRE, np.ones((4, 2), np.float32)), KNOWN, Settings())


def measures_of(systems):
    return {name: result.measures for name, result in systems.items()}


@pytest.mark.parametrize(("raw", "standardised"), [(BY_GENRE, BY_ARTIST), (BY_ARTIST, BY_GENRE)])
def test_the_better_baseline_is_that_of_the_first_metric_that_can_be_measured(raw, standardised):
    by_genre, by_artist = (MFCC_RAW, MFCC_STANDARDISED) if raw is BY_GENRE else (MFCC_STANDARDISED, MFCC_RAW)
    systems = measured(mfcc=raw, mfcc_standardised=standardised, chosen=BY_ARTIST)
    assert better_baseline(measures_of(systems)) == by_genre
    assert main_metric(systems[by_genre].measures) == "genre_precision@5"
    assert main_value(systems[by_genre].measures) == pytest.approx(0.6)
    without_genres = known_tracks([track._replace(genre="") for track in TRACKS])
    systems = measured(without_genres, mfcc=raw, mfcc_standardised=standardised, chosen=BY_ARTIST)
    assert better_baseline(measures_of(systems)) == by_artist
    assert main_metric(systems[by_artist].measures) == "artist_precision@5"
    assert main_value(systems[by_artist].measures) == pytest.approx(0.2)


def test_where_nothing_is_shared_the_first_baseline_is_as_good_as_any():
    unknown = known_tracks([track._replace(genre="", artist="") for track in TRACKS])
    systems = measured(unknown, mfcc=BY_ARTIST, mfcc_standardised=BY_GENRE, chosen=BY_GENRE)
    assert main_metric(systems[CHOSEN].measures) is None
    assert main_value(systems[CHOSEN].measures) == 0
    assert better_baseline(measures_of(systems)) == BASELINES[0]
    assert differences_of(systems, CHOSEN) == {name: {} for name in FILTERS}


def test_differences_are_above_0_where_the_autoencoder_is_better_than_the_better_baseline():
    better = differences_of(measured(mfcc=BY_ARTIST, mfcc_standardised=BY_ARTIST, chosen=BY_GENRE), CHOSEN)
    pair = better["none"]["genre_precision@5"]
    assert (pair.found.a, pair.found.b, pair.found.difference) == pytest.approx((0.4, 0.6, 0.2))
    assert tuple(pair.found.interval) == pytest.approx((0.2, 0.2))  # the same at every track
    assert pair.found.p_value < 0.05
    assert better["none"]["artist_precision@1"].found.difference == -1


@pytest.mark.parametrize("chosen", [BY_GENRE, BY_ARTIST])
def test_each_metric_has_its_own_better_baseline(chosen):
    found = differences_of(measured(mfcc=BY_GENRE, mfcc_standardised=BY_ARTIST, chosen=chosen), CHOSEN)["none"]
    genre, artist = found["genre_precision@1"], found["artist_precision@1"]
    assert (genre.baseline, artist.baseline) == (MFCC_RAW, MFCC_STANDARDISED)
    assert (genre.found.a, artist.found.a) == (1, 1)
    expected = (0, -1) if chosen is BY_GENRE else (-1, 0)
    assert (genre.found.difference, artist.found.difference) == expected
    assert [pair.found.p_value for pair in (genre, artist) if pair.found.difference == 0] == [1]


def test_effects_of_whitening_and_local_scaling():
    """100 times as large as the four copies of the genre, the artist decides; standardised, the genre does.

    Whitened, the four copies are one component, whose shrunken variance leaves the artist larger.
    """
    genre = np.array([1, 1, 1, 1, -1, -1, -1, -1], np.float32)
    embeddings = np.concatenate([100 * BY_ARTIST, np.tile(genre[:, None], 4)], axis=1)
    system = vectors(CHOSEN, embeddings, embeddings)
    found = effects_of([system, system._replace(name=MFCC_STANDARDISED, scaling="standardised")], KNOWN)
    scalings = {"cosine": "centred", "standardised": "standardised", "whitened": "whitened"}
    assert list(found[CHOSEN]) == [f"{name}{local}" for name in scalings for local in ("", ", local scaling")]
    assert list(found[MFCC_STANDARDISED]) == [name for name in found[CHOSEN] if not name.startswith("standardised")]
    values = {name: measures.metrics()["none"]["genre_precision@5"] for name, measures in found[CHOSEN].items()}
    expected = {"cosine": 0.4, "standardised": 0.6, "whitened": 0.4}
    assert {name: values[name] for name in expected} == pytest.approx(expected)
    for name, scaling in scalings.items():
        space = EmbeddingSpace.fit(embeddings, scaling)
        for local, rescaling in (("", "none"), (", local scaling", "local_scaling")):
            alone = measure_system(space(embeddings), KNOWN, rescaling)
            assert found[CHOSEN][name + local].metrics() == alone.metrics()
    # the standardised system's own scaling is its "cosine"
    assert found[MFCC_STANDARDISED]["cosine"].metrics() == found[CHOSEN]["standardised"].metrics()


@pytest.fixture
def results():
    systems = measured(mfcc=BY_GENRE, mfcc_standardised=BY_ARTIST, chosen=BY_ARTIST)
    return RecommendationResults(
        tracks=TRACKS,
        settings=Settings(),
        systems=systems,
        chosen=CHOSEN,
        baseline=better_baseline(measures_of(systems)),
        differences=differences_of(systems, CHOSEN),
        effects=effects_of([vectors(CHOSEN, BY_ARTIST)], KNOWN),
        controls={"softer_10db": {"tracks": 8, CHOSEN: 1.0, MFCC_RAW: None}},
    )


def test_the_file_of_results(results):
    found = json.loads(json.dumps(results.as_json({"split": "test"}), allow_nan=False))
    systems = [MFCC_RAW, MFCC_STANDARDISED, CHOSEN]
    assert list(found["systems"]) == list(found["intervals"]) == list(found["hubness"]) == systems
    for name in systems:
        assert list(found["systems"][name]) == list(found["intervals"][name]) == FILTERS
        assert list(found["systems"][name]["none"]) == list(found["intervals"][name]["none"])
    assert found["systems"][MFCC_RAW]["none"]["genre_precision@5"] == pytest.approx(0.6)
    assert {*found["intervals"][CHOSEN]["none"]["genre_mAP"]} == {"low", "high"}
    assert (found["chosen"], found["baseline"], found["tracks"], found["level"]) == (CHOSEN, MFCC_RAW, 8, LEVEL)
    assert found["controls"] == {"softer_10db": {"tracks": 8, CHOSEN: 1.0, MFCC_RAW: None}}
    assert found["queries"]["none"]["genre_queries"] == 8
    assert found["chance"]["none"]["genre_precision@1"] == pytest.approx(3 / 7)
    assert found["chance"]["none"]["artist_precision@1"] == pytest.approx(1 / 7)
    assert found["similarities"][CHOSEN]["same_artist"]["mean"] == pytest.approx(np.cos(np.radians(1)))
    assert found["similarities"][CHOSEN]["same_artist"]["pairs"] == 4
    difference = found["differences"]["none"]["genre_precision@1"]
    assert {key: difference[key] for key in ("baseline", "of_baseline", "of_chosen", "difference", "low", "high")} == {
        **{"baseline": MFCC_RAW, "of_baseline": 1, "of_chosen": 0},
        **{"difference": -1, "low": -1, "high": -1},
    }
    assert found["effects"][CHOSEN]["cosine"]["metrics"] == found["systems"][CHOSEN]["none"]
    assert found["effects"][CHOSEN]["cosine"]["hubness"] == found["hubness"][CHOSEN]["none"]
    assert found["settings"] == {"scaling": None, "local_scaling": False}
    assert found["made_from"] == {"split": "test"}


def test_without_altered_copies_there_are_no_controls(results):
    assert replace(results, controls={}).as_json({})["controls"] == {}
