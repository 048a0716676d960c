from __future__ import annotations

from collections import Counter

import pytest

from preprocessing.synthetic_music.discography import DISCOGRAPHIES, plan_track
from preprocessing.synthetic_music.styles import GENRES, STEPS


@pytest.fixture(scope="module")
def plans():
    """Two rounds of all genres and discographies in test, and the first tracks of the other splits."""
    return {
        split: [plan_track(0, split, index) for index in range(count)] for split, count in ((0, 40), (1, 40), (2, 240))
    }


def test_a_plan_depends_on_seed_split_and_index_alone():
    assert plan_track(0, 0, 4).title == plan_track(0, 0, 4).title
    plans = [plan_track(seed, split, 4) for seed, split in ((0, 0), (1, 0), (0, 1), (0, 2))]
    assert len({(plan.title, plan.album_title, plan.song.tempo_bpm) for plan in plans}) == 4


def test_ids_are_unique_and_splits_share_no_artist(plans):
    every = [plan for those in plans.values() for plan in those]
    assert len({plan.track_id for plan in every}) == len(every)
    artists = [{plan.artist.artist_id for plan in those} for those in plans.values()]
    assert sum(map(len, artists)) == len(set().union(*artists))
    names = {(plan.artist.artist_id, plan.artist.name) for plan in every}
    assert len({name for _, name in names}) == len(names)
    albums = {(plan.album_id, plan.album_title, plan.artist.artist_id) for plan in every}
    assert len({number for number, _, _ in albums}) == len(albums)


def test_genres_share_the_tracks_evenly_and_have_every_discography(plans):
    counts = Counter(plan.artist.genre.name for plan in plans[2])
    assert counts == {genre.name: 40 for genre in GENRES}  # 240 tracks: 12 rounds of 20
    pairs = {
        (plan.artist.genre.name, len({p.album_id for p in plans[2] if p.artist == plan.artist})) for plan in plans[2]
    }
    assert {albums for genre, albums in pairs if genre == "Jazz"} == {len(d) for d in DISCOGRAPHIES}


def test_tracks_of_an_artist_are_on_the_albums_of_its_discography():
    # the third artist of the training split, after one of 5 tracks and one of 3
    plans = [plan_track(0, 0, index) for index in range(8, 14)]
    assert len({plan.artist.name for plan in plans}) == 1
    assert [plan.version for plan in plans] == ["original", "original", "original", "live", "live", "remaster"]
    assert [plan.number for plan in plans] == [1, 2, 1, 1, 2, 1]
    assert [plan.album_id % 10 for plan in plans] == [0, 0, 1, 2, 2, 3]
    first, second, third, live, other_live, remaster = plans
    for original, version in ((first, live), (third, other_live), (second, remaster)):
        assert version.title.startswith(original.title)
        assert version.title != original.title
        assert version.song.tempo_bpm == original.song.tempo_bpm
    assert live.performance != first.performance
    assert remaster.performance == second.performance
    assert remaster.recording != second.recording


def test_a_reissue_is_the_same_performance_under_another_title():
    original, reissue = plan_track(0, 0, 16), plan_track(0, 0, 17)
    assert reissue.version == "reissue"
    assert reissue.performance == original.performance
    assert not reissue.title.startswith(original.title)
    assert reissue.album_title != original.album_title


def test_some_songs_lie_between_two_genres(plans):
    crossovers = [plan for plan in plans[2] if len(plan.song.genres) == 2]
    assert 0.01 < len(crossovers) / len(plans[2]) < 0.15
    assert all(plan.song.genres[0] == plan.artist.genre != plan.song.genres[1] for plan in crossovers)


def test_some_titles_are_those_of_several_artists(plans):
    of_title = {}
    for plan in (p for those in plans.values() for p in those if p.version == "original"):
        of_title.setdefault(plan.title, set()).add(plan.artist.artist_id)
    assert max(map(len, of_title.values())) > 1


def test_patterns_are_bars():
    for genre in GENRES:
        assert {len(pattern) for pattern in (*genre.drums.values(), genre.bass, genre.lead)} == {STEPS}
