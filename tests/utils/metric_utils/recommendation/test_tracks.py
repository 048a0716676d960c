import numpy as np
import pytest

from tests.utils.metric_utils.recommendation.slow import excluded, random_tracks
from utils.metric_utils.recommendation.tracks import FILTERS, Tracks


def tracks_of(**given):
    number = len(next(iter(given.values())))
    return Tracks.of(**{key: [""] * number for key in ("genre", "artist", "album", "title")} | given)


def test_codes_are_equal_where_the_thing_is():
    tracks = tracks_of(artist=["The Cats", " the  CATS", "Dogs", ""], album=["Live", "Live", "Live", "Live"])
    assert tracks.artist.tolist() == [0, 0, 1, -1]
    assert tracks.album.tolist() == [0, 0, 1, 2]


def test_a_version_has_the_same_artist():
    tracks = tracks_of(artist=["a", "A", "b", "", ""], title=["Song", "Song (Live)", "Song", "Song", "Song"])
    assert tracks.version.tolist() == [0, 0, 1, -1, -1]


def test_unknown_is_never_excluded():
    tracks = tracks_of(artist=["", "", "a"], album=["", "", ""], title=["", "", ""])
    for name in FILTERS:
        np.testing.assert_array_equal(tracks.exclusions(name).mask(0, 3), np.eye(3, dtype=bool))


def test_near_duplicates_are_versions_in_both_directions():
    tracks = tracks_of(title=["a", "b", "c"], similar=np.array([[2, 0]]))
    assert tracks.exclusions("version").mask(0, 3).tolist() == [[1, 0, 1], [0, 1, 0], [1, 0, 1]]
    assert tracks.exclusions("album").mask(0, 3).tolist() == np.eye(3, dtype=bool).tolist()


@pytest.mark.parametrize("name", FILTERS)
def test_a_filter_excludes_exactly_those(name):
    tracks = random_tracks(np.random.default_rng(1), 50)
    expected = [[excluded(tracks, name, q, c) for c in range(50)] for q in range(50)]
    exclusions = tracks.exclusions(name)
    np.testing.assert_array_equal(exclusions.mask(0, 50), expected)
    np.testing.assert_array_equal(exclusions.mask(32, 48), expected[32:48])
    np.testing.assert_array_equal(exclusions.mask(48, 64), expected[48:])


def test_errors():
    with pytest.raises(ValueError, match="1 genres, 2 artists, 1 albums, 1 titles; expected one of each"):
        Tracks.of(genre=[""], artist=["", ""], album=[""], title=[""])
    with pytest.raises(ValueError, match="similar holds rows 0 to 2; expected 0 to 1"):
        tracks_of(title=["a", "b"], similar=np.array([[0, 2]]))
    with pytest.raises(ValueError, match=r"similar is int64 \(3,\); expected integers \(P, 2\)"):
        tracks_of(title=["a", "b"], similar=np.array([0, 1, 1]))
    with pytest.raises(ValueError, match="filter is 'label'; choices: none, artist, album, version"):
        tracks_of(title=["a", "b"]).exclusions("label")
