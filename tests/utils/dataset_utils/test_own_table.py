"""Tables as people write them down: separators, headers, several captions, labels, groups."""

import pytest

from utils.cli_utils import UserError
from utils.dataset_utils.own_table import read_own_table


def read(tmp_path, text, group=None):
    path = tmp_path / "t.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_own_table(path, group, lambda name: name.startswith(("a", "b")))


def captions(table):
    return [(row.name, row.captions) for row in table.rows]


@pytest.mark.parametrize(
    ("header", "columns"),
    [
        ("file_name,caption", "'file_name', captions in 'caption'"),
        ("filename,text", "'filename', captions in 'text'"),
        ("File Name,Description", "'File Name', captions in 'Description'"),
        ("PATH,Sentence", "'PATH', captions in 'Sentence'"),
        ("file,caption_1", "'file', captions in 'caption_1'"),
        ("audio,label", "'audio', labels, which become captions, in 'label'"),
    ],
)
@pytest.mark.parametrize(("separator", "between"), [(",", "commas"), (";", "semicolons"), ("\t", "tabs")])
def test_headers_and_separators(tmp_path, header, columns, separator, between):
    table = read(tmp_path, f"\ufeff{header}\r\na.wav,A dog\r\nb.wav,Rain\r\n".replace(",", separator))
    assert captions(table) == [("a.wav", ["A dog"]), ("b.wav", ["Rain"])]
    assert table.refused == []
    assert table.understood == f"t.csv: {between} between the columns; files in {columns}"


def test_several_caption_columns_and_empty_cells(tmp_path):
    table = read(tmp_path, "id,file;caption 1;caption 2;caption 3\n".replace(",", ";") + "7;a;One;;Three\n8;b;;Two\n")
    assert captions(table) == [("a", ["One", "Three"]), ("b", ["Two"])]
    assert table.refused == []
    assert table.understood.endswith("captions in 'caption 1', 'caption 2', 'caption 3'; not used: id")


def test_several_rows_a_file_and_the_form_of_the_dcase_baseline(tmp_path):
    table = read(tmp_path, 'fname,raw_text,text\na.wav,"A dog, loud.",a dog loud\na.wav,Rain.,rain\n')
    assert [(row.name, row.captions, row.text) for row in table.rows] == [
        ("a.wav", ["A dog, loud."], "a dog loud"),
        ("a.wav", ["Rain."], "rain"),
    ]


def test_captions_come_before_labels_and_labels_are_spoken(tmp_path):
    both = read(tmp_path, "file,label,caption\na.wav,dog_bark,A dog\n")
    assert captions(both) == [("a.wav", ["A dog"])]
    assert both.understood.endswith("not used: label")
    labels = read(tmp_path, "file,labels\na.wav,dog_bark;rain\n")
    assert captions(labels) == [("a.wav", ["dog bark, rain"])]


def test_captions_that_break_the_rules(tmp_path):
    table = read(tmp_path, 'file;caption\na.wav;A dog; then rain\nb.wav;"quoted; whole"\nb.wav;"never closed\n')
    assert captions(table) == [
        ("a.wav", ["A dog; then rain"]),
        ("b.wav", ["quoted; whole"]),
        ("b.wav", ["never closed"]),
    ]
    assert "; semicolon within the caption: 1; unbalanced quote: 1" in table.understood


def test_what_has_no_place_is_refused_with_its_line(tmp_path):
    table = read(tmp_path, "file,caption_1,caption_2\na.wav,A dog, loud,rain\nb.wav,,\nb.wav,ok\nb.wav\n")
    assert captions(table) == [("b.wav", ["ok"])]
    assert [(r.name, r.reason) for r in table.refused] == [
        ("t.csv line 2", "4 fields, the header has 3; put captions with commas in quotes"),
        ("t.csv line 5", "1 fields, a row has 3"),
        ("t.csv line 3", "without a caption"),
    ]


def test_a_group_by_its_usual_name_or_by_the_one_given(tmp_path):
    text = "file,caption,src_file,place\na.wav,A,1,here\nb.wav,B,,there\n"
    assert [row.group for row in read(tmp_path, text).rows] == ["1", ""]
    assert [row.group for row in read(tmp_path, text, "place").rows] == ["here", "there"]
    with pytest.raises(UserError, match="has no column 'room' to group by, only file, caption, src_file, place"):
        read(tmp_path, text, "room")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id;duration\n1;2\n", "found the columns id, duration, expected one of file names \\(path, filepath, "),
        ("file,duration\n", "and one of captions \\(caption, caption_1, text, ..., or label, labels, "),
        ("", "found the columns , expected"),
        (b"\xff\xfef\x00", "is UTF-16, expected UTF-8"),
        (b"file,caption\na.wav,caf\xe9\n", "not a table in UTF-8 \\(line 2"),
        ("file,caption,caption\n", "the column caption occurs twice"),
    ],
)
def test_what_is_no_table_of_captions_is_one_line(tmp_path, text, message):
    with pytest.raises(UserError, match=message) as error:
        read(tmp_path, text)
    assert "\n" not in str(error.value)
