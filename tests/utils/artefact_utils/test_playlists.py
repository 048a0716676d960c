"""Playlists: what a player reads, and that no other file is replaced."""

from pathlib import Path

import pytest

from utils.artefact_utils import ForeignFileError
from utils.artefact_utils.playlists import PlaylistEntry, write_playlist


def test_a_playlist_names_each_file_with_its_length_and_title(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    entries = [
        PlaylistEntry(Path("000/2.mp3"), "Sigur Rós - two\nlines", 29.6),
        PlaylistEntry(Path("/b.mp3"), "b", 0.2),
    ]
    write_playlist(tmp_path / "mix.m3u8", entries)
    assert (tmp_path / "mix.m3u8").read_text(encoding="utf-8").splitlines() == [
        "#EXTM3U",
        "#EXTINF:30,Sigur Rós - two lines",
        str(tmp_path / "000" / "2.mp3"),
        "#EXTINF:0,b",
        "/b.mp3",
    ]
    write_playlist(tmp_path / "mix.m3u8", [])
    assert (tmp_path / "mix.m3u8").read_text() == "#EXTM3U\n"


def test_a_name_that_is_not_utf_8_is_written_as_it_is(tmp_path):
    path = Path(b"/music/caf\xe9.mp3".decode("utf-8", "surrogateescape"))
    write_playlist(tmp_path / "mix.m3u8", [PlaylistEntry(path, "a", 1.0)])
    assert b"/music/caf\xe9.mp3\n" in (tmp_path / "mix.m3u8").read_bytes()


def test_a_file_that_is_no_playlist_is_not_replaced(tmp_path):
    (tmp_path / "song.mp3").write_bytes(b"ID3 sound")
    with pytest.raises(ForeignFileError, match=r"song\.mp3: is a file of another program"):
        write_playlist(tmp_path / "song.mp3", [])
    assert (tmp_path / "song.mp3").read_bytes() == b"ID3 sound"
