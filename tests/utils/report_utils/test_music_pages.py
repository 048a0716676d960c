"""The page of recommendations: each list beside the others, with players; what matches is marked."""

from tests.pages import read, targets
from utils.report_utils import Note
from utils.report_utils.music_pages import PlayedList, PlayedQuery, PlayedTrack, recommendation_page


def page_of(folder, **more):
    for name in ("q.mp3", "a.mp3", "b.mp3"):
        (folder / name).write_bytes(b"sound")
    lists = {
        "autoencoder": PlayedList(
            "2 tracks, 1 of the same genre",
            [
                PlayedTrack("<A> - one", "Rock, 0.9", folder / "a.mp3", matches=True),
                PlayedTrack("B - two", "Folk, 0.8", folder / "b.mp3", matches=False),
            ],
        ),
        "mfcc": PlayedList("1 track", [PlayedTrack("C - gone", "Rock", folder / "gone.mp3", matches=False)]),
    }
    query = PlayedQuery("Q - query", "Rock", [folder / "q.mp3"], lists)
    recommendation_page("Recommendations", "of test", [query], **more).write(folder / "page.html")
    return read(folder / "page.html")


def test_each_system_has_a_column_of_players(tmp_path):
    page = page_of(tmp_path)
    card = page.section("Lists").one("article", "card")
    assert [title.text for title in card.all("h3")] == ["Q - query", "autoencoder", "mfcc"]
    assert len(card.all("audio")) == 3  # the query, and two tracks; the third file is gone
    assert len(card.all("div", "good")) == 1
    assert "<A> - one" in card.one("div", "good").text
    assert "2 tracks, 1 of the same genre" in card.text
    assert f"no such file: {tmp_path / 'gone.mp3'}" in card.text
    assert [section.one("h2").text for section in page.all("section")] == ["Lists"]
    assert all(target.is_file() for target in targets(tmp_path / "page.html"))


def test_metrics_and_pictures_have_sections(tmp_path):
    (tmp_path / "map.png").write_bytes(b"png")
    page = page_of(tmp_path, metrics=[Note("higher is better")], pictures={"a map": tmp_path / "map.png"})
    assert "higher is better" in page.section("Metrics").text
    assert page.section("Pictures").one("img").attributes["alt"] == "a map"
