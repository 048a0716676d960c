"""Lists of similar tracks: whose neighbours they are, what a filter leaves out, and which queries are shown."""

from pathlib import Path

import numpy as np
import pytest

from tasks.music.lists import Recommender, default_queries, playlist_entry, rows_of
from tasks.music.results import Settings, known_tracks
from utils.artefact_utils import Track
from utils.cli_utils import UserError


def track(number, genre="Rock", artist="", split="test"):
    return Track(f"f{number}", f"{number:03d}", split, f"{number}.mp3", f"t{number}", artist, "", genre, (), 1.5)


def recommender(angles, artists, **changes):
    """Tracks on a circle, at angles in degrees."""
    tracks = [track(n, artist=artist) for n, artist in enumerate(artists)]
    points = np.radians(angles)
    embeddings = np.stack([np.cos(points), np.sin(points)], axis=1).astype(np.float32)
    settings = {"settings": Settings(), "length": 2, "filter": "none"} | changes
    return Recommender(tracks, known_tracks(tracks), Path("/music"), {"system": embeddings}, **settings)


def rows(found):
    return [int(item.track.track_id) for item in found.lists["system"]]


def test_the_nearest_tracks_come_first_with_their_cosine():
    (found,) = recommender([0, 60, 10, 30], ["a", "b", "a", "b"]).similar_to([0])
    assert rows(found) == [2, 3]
    assert found.lists["system"][0].score == pytest.approx(np.cos(np.radians(10)))
    assert [item.same_artist for item in found.lists["system"]] == [True, False]
    assert found.counted("system") == "2 tracks, 2 of the same genre, 1 of the same artist"
    assert found.files == [Path("/music/0.mp3")]


def test_a_filter_leaves_out_the_query_s_artist():
    (found,) = recommender([0, 60, 10, 30], ["a", "b", "a", "b"], filter="artist").similar_to([0])
    assert rows(found) == [3, 1]
    (found,) = recommender([0, 1, 2], ["a", "a", "a"], filter="artist").similar_to([0])
    assert rows(found) == []


def test_seeds_agree_by_ranks_not_by_the_mean_of_their_directions():
    # track 4 lies between the seeds; track 2, beside the first of them, is far from their mean direction
    found = recommender([0, 90, 5, 40, 45], [""] * 5, length=3).agreed([0, 1])
    assert rows(found) == [2, 4, 3]  # of equal points the smaller row comes first
    ranks = [(1, 3), (3, 1), (2, 2)]  # in the lists of 0 and of 1
    points = [item.score for item in found.lists["system"]]
    assert points == pytest.approx([1 / (60 + a) + 1 / (60 + b) for a, b in ranks])


def test_the_list_of_a_single_seed_has_its_cosines():
    system = recommender([0, 60, 90, 5], ["a", "b", "c", "a"], length=2)
    found = system.agreed([0])
    assert rows(found) == [3, 1]
    assert [item.score for item in found.lists["system"]] == pytest.approx(np.cos(np.radians([5, 60])), abs=1e-6)


def test_seeds_are_never_listed_nor_what_the_filter_excludes_for_any():
    found = recommender([0, 10, 20, 30], ["a", "b", "a", "c"], filter="artist").agreed([0, 1])
    assert rows(found) == [3]


def test_a_file_may_find_every_track():
    system = recommender([0, 60, 10], ["a", "b", "a"], length=5)
    found = system.similar_to_file(Path("my.mp3"), {"system": np.array([1, 0], np.float32)})
    assert rows(found) == [0, 2, 1]
    assert found.counted("system") == "3 tracks"


def test_one_query_of_each_genre_and_more_where_there_are_few():
    many = [track(n, genre=f"g{n % 12:02d}") for n in range(48)]
    assert [many[row].genre for row in default_queries(many)] == [f"g{n:02d}" for n in range(10)]
    two = [track(n, genre="ab"[n % 2]) for n in range(20)]
    assert [two[row].genre for row in default_queries(two)] == ["a", "b"] * 3
    assert len(set(default_queries(two))) == 6
    assert [two[row].genre for row in default_queries(two, ["b"])] == ["b"] * 5
    none = [track(n, genre="") for n in range(3)]
    assert sorted(default_queries(none)) == [0, 1, 2]
    with pytest.raises(UserError, match=r"--genre 'Folk': no track of the split has it; choices: a, b"):
        default_queries(two, ["Folk"])
    with pytest.raises(UserError, match="choices: none: no track has a genre"):
        default_queries(none, ["Folk"])


def test_ids_are_found_with_and_without_leading_zeros():
    tracks = [track(2), track(14), track(140)]
    elsewhere = [*tracks, track(3, split="training")]
    assert rows_of(["014", "2", "140", "14"], "--query", tracks, elsewhere) == [1, 0, 2]
    with pytest.raises(UserError, match=r"--query '3': the track is of split 'training'.*add --split training"):
        rows_of(["3"], "--query", tracks, elsewhere)
    with pytest.raises(
        UserError, match=r"--query '5': the catalogue has no such track id; 'test' has 3, such as 002, 014"
    ):
        rows_of(["2", "5"], "--query", tracks, elsewhere)
    with pytest.raises(UserError, match="a system has no embedding of this track"):
        rows_of(["4"], "--query", tracks, [*elsewhere, track(4)])


def test_a_playlist_names_artist_and_title():
    assert playlist_entry(track(7, artist="A"), Path("/music")) == (Path("/music/7.mp3"), "A - t7", 1.5)
    assert playlist_entry(track(7)._replace(title=""), Path("/music")).title == "007"
