"""Any folder of music: with a table, or with tags, or with nothing but the names of its folders."""

import io

import mutagen
import pytest
import soundfile
from mutagen.id3 import TALB, TCON, TPE1
from mutagen.ogg import OggPage

from tests.preprocessing.music_corpus import RATE_HZ, Corpus, tone
from tests.utils.audio_utils.encoding import encode, mp3
from utils.dataset_utils.music_tags import read_tagged


@pytest.fixture
def corpus(tmp_path, monkeypatch):
    return Corpus(tmp_path, monkeypatch)


def write_files(corpus, names):
    for number, name in enumerate(names):
        corpus.write_wav(name, number)


def write_table(corpus, text):
    path = corpus.folder / "mine.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return str(path)


def test_a_table_with_splits(corpus, capsys):
    write_files(corpus, ["a/1.wav", "a/2.wav", "b.wav", "c.wav", "d.wav", "e.wav"])
    table = write_table(
        corpus,
        "File Name;Genre;ARTIST;Track_Title;Split;Mood\n"
        '"a/1";Rock|Indie;The Band;One;train;x\n'
        "a/2.wav;rock;the band;;dev;x\n"
        "b.wav;;Solo;Three;Validation\n"
        "c.wav;Jazz;;Four;test;x\n"
        "d.wav;Jazz;Duo;Five;later;x\n"
        "c.wav;Jazz;;Four;test;x\n"
        "gone.wav;Jazz;Duo;Six;train;x\n"
        "a;b;c;d;e;f;g\n",
    )
    assert corpus.run(table=table) == 0
    found = [(t.split, t.path, t.title, t.artist, t.genre, t.genres) for t in corpus.tracks()]
    assert found == [
        ("training", "a/1.wav", "One", "The Band", "Rock", ("Rock", "Indie")),
        ("training", "a/2.wav", "2", "The Band", "Rock", ("Rock",)),
        ("validation", "b.wav", "Three", "Solo", "", ()),
        ("test", "c.wav", "Four", "", "Jazz", ("Jazz",)),
    ]
    assert corpus.rejected() == {
        "mine.csv line 9": "7 fields, the header has 6; put names with delimiters in quotes",
        "mine.csv line 8": "without a clip: 'gone.wav': no such file",
        "mine.csv line 7": "'c.wav' is in line 5 too, which counts",
        "e.wav": "in no row of the table",
        "d.wav": "its split is 'later', expected one of training, validation, test",
    }
    printed = capsys.readouterr().out
    assert "semicolons between the columns; path in 'File Name', title in 'Track_Title', artist in 'ARTIST'" in printed
    assert "not used: Mood" in printed


def test_two_tracks_with_one_id(corpus):
    write_files(corpus, ["1.wav", "2.wav", "3.wav", "4.wav"])
    rows = ["7,1.wav,train", "7,2.wav,train", "8,3.wav,val", "9,4.wav,test"]
    table = write_table(corpus, "\n".join(["track_id,path,split", *rows]))
    assert corpus.run(table=table) == 0
    assert [(track.track_id, track.path) for track in corpus.tracks()] == [
        ("7", "1.wav"),
        ("8", "3.wav"),
        ("9", "4.wav"),
    ]
    assert corpus.rejected() == {"mine.csv line 3": "'7' is in line 2 too, which counts"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("title,artist\nx,y\n", "found the columns title, artist, expected one of files .path, filepath"),
        ("path,path\na.wav,b.wav\n", "the column path occurs twice"),
        ("path,artist\nz.wav,y\n", "no row has a file below .*the first is 'a.wav'.*line 2: without a clip: 'z.wav'"),
        ("path,artist\na.wav,Björk\n".encode("latin-1"), "line 2: byte 0xf6 is not UTF-8"),
        ("path,artist\na.wav,Björk\n".encode("utf-16"), "is UTF-16, expected UTF-8"),
        ("path|artist\na.wav|y\n", "expected one of files .*, with commas, semicolons or tabs between them"),
        (
            "path,split\na.wav,test\n",
            "split 'training' of .* is empty: no track with a file belongs to it; name it for",
        ),
        ("path,artist\na.wav,y\n", "none of the 1 tracks of 1 artists falls to 'validation'; add music of other"),
    ],
)
def test_a_table_that_is_none_is_refused_in_one_line(corpus, capsys, text, message):
    write_files(corpus, ["a.wav"])
    with pytest.raises(AssertionError, match=message):
        raise AssertionError(corpus.refusal(capsys, table=write_table(corpus, text)))


def test_tags_of_every_container(corpus, capsys):
    (corpus.root / "x").mkdir()
    mp3(corpus.root / "x" / "a.mp3", tone(0), RATE_HZ)
    corpus.write_wav("x/b.wav", 1)
    corpus.write_wav("x/c.flac", 2)
    corpus.write_wav("x/d.ogg", 3)
    encode(corpus.root / "x" / "e.m4a", tone(4), RATE_HZ, container="ipod", codec="aac")
    for name in ("a.mp3", "c.flac", "d.ogg", "e.m4a"):
        file = mutagen.File(corpus.root / "x" / name, easy=True)
        if file.tags is None:
            file.add_tags()
        file.tags["artist"], file.tags["album"], file.tags["genre"] = f"Artist {name}", "Album", ["Jazz", "Bebop"]
        file.tags["title"] = "Tune (live)"
        file.save()
    file = mutagen.File(corpus.root / "x" / "b.wav")
    file.add_tags()
    for frame in (TPE1(text="Artist b.wav"), TALB(text="Album"), TCON(text=["Jazz", "Bebop"])):
        file.tags.add(frame)
    file.save()
    assert corpus.run(shares=[0.4, 0.3, 0.3]) == 0
    tracks = sorted(corpus.tracks(), key=lambda track: track.path)
    assert [track.artist for track in tracks] == [f"Artist {track.path[2:]}" for track in tracks]
    assert {(track.album, track.genre, track.genres) for track in tracks} == {("Album", "Jazz", ("Jazz", "Bebop"))}
    assert [track.title for track in tracks] == ["Tune (live)", "b", *["Tune (live)"] * 3]
    assert "5 of 5 files have tags of artist, album or genre" in capsys.readouterr().out


def test_damaged_tags_stop_nothing(tmp_path):
    soundfile.write(tmp_path / "a.ogg", tone(0), RATE_HZ)
    content = (tmp_path / "a.ogg").read_bytes()
    stream = io.BytesIO(content)
    first, second = OggPage(stream), OggPage(stream)
    second.packets[0] = second.packets[0][:-1]  # the comments without the bit that ends them
    (tmp_path / "a.ogg").write_bytes(first.write() + second.write() + stream.read())
    with pytest.raises(IndexError):
        mutagen.File(tmp_path / "a.ogg")
    (tmp_path / "b.mp3").write_bytes(b"ID3\x03\0\0\0\0\0\x20TPE1" + b"\xff" * 40)
    tracks = read_tagged(tmp_path, 1).tracks
    assert [track[2:7] for track in tracks] == [("a", "", "", "", ()), ("b", "", "", "", ())]


def test_folders_describe_files_without_tags(corpus, capsys):
    albums = [f"{artist}/{album}/{n}.wav" for artist in "ABCDEF" for album in ("first", "second") for n in range(2)]
    write_files(corpus, [*albums, "blues/x.wav", "jazz/y.wav", "z.wav"])
    (corpus.root / "A" / "cover.jpg").write_bytes(b"no sound")
    (corpus.root / "broken.mp3").write_bytes(b"ID3" + bytes(50))
    assert corpus.run(shares=[0.5, 0.25, 0.25]) == 0
    tracks = {track.path: track for track in corpus.tracks()}
    assert tracks["B/second/1.wav"][4:9] == ("1", "B", "second", "", ())
    assert tracks["blues/x.wav"][4:9] == ("x", "", "", "blues", ("blues",))
    assert tracks["z.wav"][4:9] == ("z", "", "", "", ())
    artists = {split: {track.artist for track in corpus.tracks(split)} for split in ("training", "validation", "test")}
    assert sum(map(len, ({*names} - {""} for names in artists.values()))) == 6  # no artist is in two splits
    assert [name for split in artists for name in corpus.rejected(split)] == ["broken.mp3"]
    printed = capsys.readouterr().out
    assert "24 files without tags: artist and album after the names of their folders" in printed
    assert "2 files without tags: genre after the names of their folders" in printed
    before = corpus.tracks()
    assert corpus.run(shares=[0.5, 0.25, 0.25]) == 0
    assert corpus.tracks() == before


@pytest.mark.parametrize(
    ("names", "keys", "message"),
    [
        (["readme.txt"], {}, "no audio files in this folder or below it; name the folder of the music"),
        (["readme.txt"], {"table": "x.csv"}, "no audio files in this folder or below it; name the folder of the music"),
        ([f"{n}.wav" for n in range(2)], {}, "none of the 2 tracks of 2 artists falls to 'validation'"),
        (["1.wav"], {"splits": {"val": "x", "eval": "x"}}, "data.splits: expected three different splits, found dev"),
    ],
)
def test_a_folder_that_makes_no_run_is_refused_in_one_line(corpus, capsys, names, keys, message):
    for number, name in enumerate(names):
        corpus.write_wav(name, number) if name.endswith(".wav") else (corpus.root / name).write_text("x")
    assert message in corpus.refusal(capsys, **keys)
