from __future__ import annotations

import pytest

from utils.cli_utils import UserError
from utils.dataset_utils.flickr8k import LIST_FILES, list_key, picture_files, read_captions, read_lists, text_file

SPLITS = ["development", "validation", "evaluation"]


def captions_of(tmp_path, text, name="captions.txt"):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return read_captions(path)


def test_commas_and_quotes_of_captions_quoted_or_not(tmp_path):
    captions, refused = captions_of(
        tmp_path,
        "image,caption\n"
        "a.jpg,A child in a pink dress .\n"
        "a.jpg,A dog , a cat and a bird .\n"
        'a.jpg,"A dog , a cat ."\n'
        'a.jpg,"A man in a ""Pizza"" shirt , smiling ."\n'
        'b.jpg,A sign that says "stop" .\n'
        "b.jpg\n",
    )
    assert [(c.name, c.raw_text.strip(), c.source_id) for c in captions] == [
        ("a.jpg", "A child in a pink dress .", "a.jpg#0"),
        ("a.jpg", "A dog , a cat and a bird .", "a.jpg#1"),
        ("a.jpg", "A dog , a cat .", "a.jpg#2"),
        ("a.jpg", 'A man in a "Pizza" shirt , smiling .', "a.jpg#3"),
        ("b.jpg", 'A sign that says "stop" .', "b.jpg#0"),
    ]
    assert len(refused) == 1
    assert "line 7" in refused[0].name


def test_the_token_file_names_a_picture_that_does_not_exist(tmp_path):
    text = (
        "1000268201_693b08cb0e.jpg#0\tA child in a pink dress , climbing .\n"
        "2258277193_586949ec62.jpg.1#0\tpeople waiting for the subway\n"
        "no tab here\n"
        "\n"
    )
    captions, refused = captions_of(tmp_path, text, "Flickr8k.token.txt")
    assert [(c.name, c.raw_text, c.source_id) for c in captions] == [
        (
            "1000268201_693b08cb0e.jpg",
            "A child in a pink dress , climbing .",
            "1000268201_693b08cb0e.jpg#0",
        ),
        ("2258277193_586949ec62.jpg.1", "people waiting for the subway", "2258277193_586949ec62.jpg.1#0"),
    ]
    assert [(r.kind, r.name) for r in refused] == [("caption", "Flickr8k.token.txt line 3")]


def test_other_columns_and_other_encodings_are_refused(tmp_path):
    with pytest.raises(UserError, match=r"captions\.txt"):
        captions_of(tmp_path, "file,text\na.jpg,words\n")
    (tmp_path / "Flickr8k.token.txt").write_bytes(b"a.jpg#0\tcaf\xe9\n")
    with pytest.raises(UserError, match=r"Flickr8k\.token\.txt: is no text in UTF-8"):
        read_captions(tmp_path / "Flickr8k.token.txt")


def write_lists(folder, *texts):
    folder.mkdir(exist_ok=True)
    for name, text in zip(LIST_FILES, texts, strict=False):
        (folder / name).write_text(text)


def test_lists_name_pictures_with_or_without_suffix(tmp_path):
    assert read_lists(tmp_path, SPLITS) is None
    write_lists(tmp_path / "Flickr8k_text", "a.jpg\nb\n", "c.jpg\r\n", "d.jpg")
    assert read_lists(tmp_path, SPLITS) == {
        "a": "development",
        "b": "development",
        "c": "validation",
        "d": "evaluation",
    }
    assert list_key(" a.JPG ") == "a"
    assert list_key("2258277193_586949ec62.jpg.1") == "2258277193_586949ec62.jpg.1"


def test_a_missing_list_and_a_picture_in_two_are_refused(tmp_path):
    write_lists(tmp_path, "a.jpg\n", "b.jpg\n")
    with pytest.raises(UserError, match=r"devImages\.txt, but no Flickr_8k\.testImages\.txt; add it"):
        read_lists(tmp_path, SPLITS)
    write_lists(tmp_path, "a.jpg\n", "b.jpg\n", "a\n")
    with pytest.raises(UserError, match=r"testImages\.txt: a is in the list of 'development' too"):
        read_lists(tmp_path, SPLITS)


@pytest.mark.parametrize("name", ["Images", "images", "Flicker8k_Dataset", "Flickr8k_Dataset/Flicker8k_Dataset"])
def test_folders_of_pictures_as_archives_name_them(tmp_path, name):
    folder = tmp_path / name
    folder.mkdir(parents=True)
    for file in ("b.jpg", "a.PNG", ".hidden.jpg", "Thumbs.db"):
        (folder / file).touch()
    files, refused = picture_files(tmp_path)
    assert [file.name for file in files] == ["a.PNG", "b.jpg"]
    assert [r.name for r in refused] == ["Thumbs.db"]


def test_a_root_without_pictures_is_refused(tmp_path):
    (tmp_path / "Images").mkdir()
    with pytest.raises(
        UserError, match="found no folder of pictures, expected Images, images, Flicker8k_Dataset, or parq"
    ):
        picture_files(tmp_path)
    assert text_file(tmp_path, "captions.txt") is None
