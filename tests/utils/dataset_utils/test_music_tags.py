"""What tags and names of folders say of a file, in the layouts that collections have."""

import mutagen
import pytest
import soundfile
from mutagen.id3 import TCON, TPE1

from tests.preprocessing.music_corpus import RATE_HZ, tone
from utils.dataset_utils.music_tags import read_tagged


def write(root, *names):
    for number, name in enumerate(names):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(root / name, tone(number, 0.05), RATE_HZ)


def described(root):
    found = read_tagged(root, 1)
    return [track[2:6] for track in found.tracks], found.understood


@pytest.mark.parametrize("folder", ["", "genres_original/", "Data/genres_original/"])
def test_folders_that_all_files_share_say_nothing(tmp_path, folder):
    write(tmp_path, f"{folder}blues/blues.00000.wav", f"{folder}jazz/jazz.00000.wav")
    (tmp_path / "images_original" / "blues").mkdir(parents=True)
    tracks, lines = described(tmp_path)
    assert tracks == [("blues.00000", "", "", "blues"), ("jazz.00000", "", "", "jazz")]
    shared = [f"all files are in {tmp_path / folder}: only the names of folders below it say something of them"]
    assert lines[1:] == (shared if folder else []) + [
        "2 files without tags: genre after the names of their folders, such as 'blues'"
    ]


def test_one_album_says_nothing_of_its_files(tmp_path):
    write(tmp_path, "A/first/1.wav", "A/first/2.wav")
    assert described(tmp_path)[0] == [("1", "", "", ""), ("2", "", "", "")]


def test_places_of_tracks_are_no_part_of_titles(tmp_path):
    names = ["01 One.wav", "2. Two.wav", "03 - 03.wav", "1-04_Four (live).wav"]
    write(tmp_path, *(f"A/first/{name}" for name in names), "B/x/99 Red.wav", "B/x/Blue.wav", "B/y/1979 C.wav")
    write(tmp_path, "C/z/1.wav", "C/z/2.wav")
    titles = [track[0] for track in described(tmp_path)[0]]
    assert titles == ["One", "03", "Four (live)", "Two", "99 Red", "Blue", "1979 C", "1", "2"]


def test_the_artist_is_the_first_without_guests_and_numbers_of_genres_have_names(tmp_path):
    artists = {"a.flac": ["The Band", "Guest"], "b.flac": ["The Band feat. Guest"], "c.flac": ["Daft Featurette"]}
    write(tmp_path, *artists, "d.wav")
    for name, artist in artists.items():
        file = mutagen.File(tmp_path / name, easy=True)
        file["artist"] = artist
        file.save()
    file = mutagen.File(tmp_path / "d.wav")
    file.add_tags()
    file.tags.add(TPE1(text=["The Band (ft. Guest)"]))
    file.tags.add(TCON(text="(17)"))
    file.save()
    assert [track[1] for track in described(tmp_path)[0]] == ["The Band", "The Band", "Daft Featurette", "The Band"]
    assert described(tmp_path)[0][3][3] == "Rock"


def test_folders_of_splits(tmp_path):
    write(tmp_path, "x/train/jazz/1.wav", "x/Validation/jazz/2.wav", "x/test/A/first/3.wav")
    found = read_tagged(tmp_path, 1)
    assert [track[2:] for track in found.tracks] == [
        ("2", "", "", "jazz", ("jazz",), "Validation"),
        ("3", "A", "first", "", (), "test"),
        ("1", "", "", "jazz", ("jazz",), "train"),
    ]
    assert found.understood[-1] == "splits: after the folders Validation, test, train"


def test_an_artist_called_test_is_no_split(tmp_path):
    write(tmp_path, "Test/first/1.wav", "Other/second/2.wav")
    assert [track[3:5] for track in read_tagged(tmp_path, 1).tracks] == [("Other", "second"), ("Test", "first")]
