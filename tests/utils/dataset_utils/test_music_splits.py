"""Splits by artist: no artist in two of them, shares kept, genres spread."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from utils.data_utils.spec import SplitsSpec
from utils.dataset_utils.music import RawMusic, RawTrack, main_artist, several_names, with_one_spelling
from utils.dataset_utils.music_splits import split_by_artist, split_of_names, spread

SHARES = {"train": 0.8, "val": 0.1, "eval": 0.1}


def members(artists, genres, seed=0):
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, 8, artists)
    return [(f"artist {n}", f"genre {n % genres}") for n, size in enumerate(sizes) for _ in range(size)]


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_every_split_has_its_share_of_every_genre(seed):
    tracks = members(600, 6)
    of_key = spread(tracks, SHARES, seed)
    for genre in {genre for _, genre in tracks}:
        counts = Counter(of_key[key] for key, its in tracks if its == genre)
        for split, share in SHARES.items():
            # at worst an artist of seven tracks too many or too few at either end of a genre
            assert abs(counts[split] - share * counts.total()) <= 14


def test_shares_hold_where_genres_have_one_artist():
    of_key = spread([(f"artist {n}", f"genre {n}") for n in range(100)], SHARES, 0)
    assert Counter(of_key.values()) == {"train": 80, "val": 10, "eval": 10}


def test_another_seed_shares_out_otherwise_and_the_order_of_tracks_does_not_matter():
    tracks = members(60, 3)
    assert spread(tracks, SHARES, 0) == spread(tracks[::-1], SHARES, 0)
    assert spread(tracks, SHARES, 0) != spread(tracks, SHARES, 1)


def raw(folder, rows):
    tracks = []
    for number, (artist, genre, content) in enumerate(rows):
        file = folder / f"{number}.mp3"
        file.write_bytes(content)
        tracks.append(RawTrack(file, str(number), artist=artist, genre=genre))
    return RawMusic(tracks, [], [])


def test_artists_and_equal_files_stay_together(tmp_path):
    rows = [(f"artist {n % 20}", "x", f"sound {n}".encode()) for n in range(60)]
    rows += [("", "x", f"sound {n}".encode()) for n in range(60, 70)] * 2
    made = split_by_artist(raw(tmp_path, rows), SplitsSpec(), (0.6, 0.2, 0.2), 0)
    splits_of = {}
    for split, found in made.items():
        for track in found.tracks:
            splits_of.setdefault(track.artist or track.file.read_bytes(), set()).add(split)
    assert {len(splits) for splits in splits_of.values()} == {1}
    assert len(splits_of) == 30
    assert {split: len(found.tracks) for split, found in made.items()} == pytest.approx(
        {"development": 48, "validation": 16, "evaluation": 16}, abs=3
    )


def test_splits_by_other_names():
    names = ["train", "Training", "VAL", "test", "mine", ""]
    tracks = [RawTrack(Path(f"/r/{n}.mp3"), str(n), split=name) for n, name in enumerate(names)]
    splits = SplitsSpec(train="mine", val="validation", eval="last")
    made = split_of_names(RawMusic(tracks, [], []), splits, Path("/r"))
    assert {split: [t.track_id for t in found.tracks] for split, found in made.items()} == {
        **{"mine": ["0", "1", "4"], "validation": ["2"], "last": ["3"]}
    }
    assert [row[1:] for row in made["mine"].refused] == [
        ("5.mp3", "its split is '', expected one of mine, validation, last")
    ]


def test_names_that_differ_in_case_are_one():
    names = ["The Band", "the band", "The Band", "Other"]
    tracks = [RawTrack(Path("x"), str(n), artist=name, genres=(name,)) for n, name in enumerate(names)]
    assert [track.artist for track in with_one_spelling(tracks)] == ["The Band", "The Band", "The Band", "Other"]
    assert with_one_spelling(tracks)[1].genres == ("The Band",)
    assert several_names("Rock | Indie;; Rock ") == ("Rock", "Indie")


def test_the_main_artist_of_several():
    names = ["A;B", "A feat. B", "a ft B; C", "A (featuring B)", "Featuring", "Swift feature", " ", "feat. B"]
    assert [main_artist(name) for name in names] == ["A", "A", "a", "A", "Featuring", "Swift feature", "", "feat. B"]
