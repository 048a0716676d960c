"""The page of recommendations says of every track its place, score, genre, album and id, and what it shares."""

import numpy as np

from tasks.music.lists import Recommender
from tasks.music.pages import listening_page
from tasks.music.results import Settings, known_tracks
from tests.pages import read, targets
from utils.artefact_utils import Track


def track(number, genre, artist, album=""):
    path = f"music/{number} ä#.mp3"
    return Track(f"f{number}", f"{number}", "test", path, f"song {number}", artist, album, genre, (genre,), 3.0)


TRACKS = [track(7, "Rock", "A", "One"), track(8, "", "B", "Intro"), track(9, "Folk", "A")]


def page_of(folder, comparisons=None, filter_="none"):
    embeddings = {"autoencoder": np.array([[1, 0], [0.8, 0.6], [0.6, 0.8]], np.float32)}
    recommender = Recommender(TRACKS, known_tracks(TRACKS), folder / "data", embeddings, Settings(), 2, filter_)
    (folder / "data" / "music").mkdir(parents=True, exist_ok=True)
    for one in TRACKS:
        (folder / "data" / one.path).write_bytes(b"sound")
    found = recommender.similar_to([0]) if comparisons is None else comparisons(recommender)
    path = folder / "runs" / "demo" / "page.html"
    listening_page("Recommendations", recommender, found).write(path)
    return read(path), path


def test_each_track_is_described_in_words(tmp_path):
    page, _ = page_of(tmp_path)
    card = page.section("Lists").one("article", "card")
    assert "Rock · album One · track 7" in card.text
    first, second = (player.text for player in card.all("div", "player")[1:])
    assert "1. B - song 8" in first
    assert "0.800 · genre unknown · album Intro · track 8" in first
    assert "2. A - song 9" in second
    assert "0.600 · Folk · track 9 · same artist" in second
    assert [player.text for player in card.all("div", "good")] == [second]


def test_players_find_the_music_from_the_folder_of_the_page(tmp_path):
    page, path = page_of(tmp_path)
    sources = [audio.attributes["src"] for audio in page.section("Lists").all("audio")]
    assert sources[0] == "../../data/music/7%20%C3%A4%23.mp3"
    assert {target.resolve() for target in targets(path)} == {
        (tmp_path / "data" / one.path).resolve() for one in TRACKS
    }


def test_a_filter_and_points_of_seeds_are_said(tmp_path):
    page, _ = page_of(tmp_path, lambda recommender: [recommender.agreed([0, 1])], "artist")
    assert "autoencoder, 3 tracks, cosine, artist filter" in page.text
    assert "Rock · album One · track 7 + genre unknown · album Intro · track 8" in page.text
    page, _ = page_of(tmp_path, lambda recommender: [recommender.agreed([0, 1])])
    assert "points · Folk · track 9 · same artist" in page.text
    assert "filter" not in page.text
