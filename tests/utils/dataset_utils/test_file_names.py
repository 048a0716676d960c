"""The files that a table means: every spelling of a name is understood and counted, and none is guessed."""

import unicodedata
from pathlib import Path

import pytest

from utils.dataset_utils.file_names import FileNames, audio_below, describe_ways


def touch(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return FileNames(root, audio_below(root))


def found(root, names, of):
    result = names.find(of)
    return [f.relative_to(root).as_posix() if isinstance(f, Path) else f for f in result.files], dict(result.ways)


@pytest.mark.parametrize(
    ("name", "file", "way"),
    [
        ("dog/1.wav", "dog/1.wav", "as they are"),
        (" dog/1.wav ", "dog/1.wav", "as they are"),
        ("./dog/1.wav", "dog/1.wav", "as they are"),
        ("dog\\1.wav", "dog/1.wav", "as they are"),
        ("dog/1", "dog/1.wav", "without extension"),
        ("dog/1.mp3", "dog/1.wav", "with another extension"),
        ("DOG/1.WAV", "dog/1.wav", "in another case"),
        ("Dog/1", "dog/1.wav", "without extension in another case"),
        ("clips/dog/1.wav", "dog/1.wav", "without their first folder"),
        ("clips/dog/1", "dog/1.wav", "without their first folder, without extension"),
        ("/home/me/clips/dog/1.wav", "dog/1.wav", "without their first 3 folders"),
        ("3.wav", "cat/3.wav", "without their folders"),
        ("3", "cat/3.wav", "without their folders"),
        ("v1.2 take", "v1.2 take.flac", "without extension"),
        (unicodedata.normalize("NFD", "né.wav"), "né.wav", "as they are"),
    ],
)
def test_a_spelling_of_a_name(tmp_path, name, file, way):
    names = touch(tmp_path, "dog/1.wav", "dog/2.wav", "cat/2.wav", "cat/3.wav", "v1.2 take.flac", "né.wav")
    assert found(tmp_path, names, [name]) == ([file], {way: 1})


def test_a_path_below_the_folder_itself(tmp_path):
    names = touch(tmp_path, "dog/1.wav")
    assert found(tmp_path, names, [str(tmp_path / "dog" / "1.wav")]) == (["dog/1.wav"], {"as they are": 1})


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("2.wav", "without a clip: '2.wav': may be cat/2.wav or dog/2.wav; write which"),
        ("4.wav", "without a clip: '4.wav': no such file"),
        ("cat/1.wav", "without a clip: 'cat/1.wav': no such file"),  # dog/1.wav is another clip
        ("", "without a clip: '': no file is named"),
        ("dog", "without a clip: 'dog': no such file"),
    ],
)
def test_nothing_is_guessed(tmp_path, name, reason):
    names = touch(tmp_path, "dog/1.wav", "dog/2.wav", "cat/2.wav")
    assert found(tmp_path, names, ["dog/1.wav", name])[0] == ["dog/1.wav", reason]


def test_how_many_folders_are_left_out_is_decided_once(tmp_path):
    """a/b.wav is missing; b.wav is the file of another row."""
    names = touch(tmp_path, "x/1.wav", "x/2.wav", "b.wav")
    files, ways = found(tmp_path, names, ["up/x/1.wav", "up/x/2.wav", "up/a/b.wav"])
    assert files == ["x/1.wav", "x/2.wav", "without a clip: 'up/a/b.wav': no such file"]
    assert ways == {"without their first folder": 2}


def test_files_below_a_folder(tmp_path):
    touch(tmp_path, "b.WAV", "a/c.ogg", "a/notes.txt", ".hidden/d.wav", ".e.wav")
    (tmp_path / "a" / "circle").symlink_to(tmp_path)
    assert [p.relative_to(tmp_path).as_posix() for p in audio_below(tmp_path)] == ["a/c.ogg", "b.WAV"]


def test_ways_are_described_by_their_number(tmp_path):
    names = touch(tmp_path, "1.wav", "2.wav", "3.wav")
    assert describe_ways(names.find(["1", "2", "3.wav"]).ways) == "2 without extension, 1 as they are"


def test_absolute_paths_below_a_relative_root_that_is_a_link(tmp_path, monkeypatch):
    touch(tmp_path / "real", "a/1.wav", "2.wav", "b/a/1.wav")
    (tmp_path / "work").mkdir()
    (tmp_path / "link").symlink_to("real")
    monkeypatch.chdir(tmp_path / "work")
    root = Path("../link")
    names = FileNames(root, audio_below(root))
    of = [f"{tmp_path}/link/a/1.wav", f"{tmp_path}/real/b/a/1.wav", "2.wav"]
    assert found(root, names, of) == (["a/1.wav", "b/a/1.wav", "2.wav"], {"as they are": 3})


def test_a_file_elsewhere_is_said_to_be_elsewhere(tmp_path):
    names = touch(tmp_path / "music", "a.wav")
    touch(tmp_path, "b.wav")
    of = [f"{tmp_path}/b.wav", "../b.wav", f"{tmp_path}/c.wav", "/" + 300 * "d"]
    reasons = [file.rsplit("': ", 1)[1] for file in names.find(of).files]
    elsewhere = f"is not below {tmp_path / 'music'}"
    assert reasons == [elsewhere, elsewhere, "no such file", "no such file"]


def test_a_file_that_is_not_searched_for_is_not_said_to_be_missing(tmp_path):
    names = touch(tmp_path, "a.wav")
    for file in ("b/film.mov", ".c/d.wav"):
        (tmp_path / file).parent.mkdir()
        (tmp_path / file).touch()
    (tmp_path / "e").symlink_to(".c")
    of = ["b/film.mov", f"{tmp_path}/b/film.mov", ".c/d.wav", "e/d.wav"]
    reasons = [file.rsplit("': ", 1)[1] for file in names.find(of).files]
    assert all(reason.startswith("extension '.mov' is none of .aac, ") for reason in reasons[:2])
    assert reasons[2:] == 2 * ["is hidden, or behind a link to a folder, and those are not searched"]
