"""Rows of foreign CSV files keep their lines; what is not UTF-8 is told."""

import os

import pytest

from utils.artefact_utils.csv_rows import (
    begins_with_mark,
    check_columns,
    file_name_in,
    loose_rows,
    not_utf8,
    number_in,
    numbers_in,
    own_rows,
    read_lines,
    strict_rows,
)
from utils.artefact_utils.tables import write_rows
from utils.cli_utils import ArtefactError


def write(tmp_path, content: bytes):
    path = tmp_path / "x.csv"
    path.write_bytes(content)
    return path


def test_a_row_has_the_line_on_which_it_begins(tmp_path):
    path = write(tmp_path, b'a,b\r\n\r\n"two\r\nlines",x\r\nlast,y')
    assert list(strict_rows(path)) == [(1, ["a", "b"]), (3, ["two\r\nlines", "x"]), (5, ["last", "y"])]


def test_a_byte_order_mark_is_no_part_of_the_first_cell(tmp_path):
    path = write(tmp_path, '\ufeff"a, b",c\n'.encode())
    assert list(strict_rows(path)) == [(1, ["a, b", "c"])]
    assert begins_with_mark(path)
    assert not begins_with_mark(write(tmp_path, b"a"))


def test_an_empty_file_has_no_rows(tmp_path):
    assert list(strict_rows(write(tmp_path, b""))) == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a,b\nc,caf\xe9\n", r"x\.csv, line 2: byte 0xe9 is not UTF-8, expected UTF-8; save it as UTF-8"),
        ("a,b\n".encode("utf-16"), r"x\.csv: is UTF-16, expected UTF-8; save it as UTF-8"),
        ("a,b\n".encode("utf-16-be"), r"x\.csv, line 1: byte 0x00 is no text, expected UTF-8; save it as UTF-8"),
        (b'a,"' + b"b" * 140_000, r"x\.csv: not a CSV table \(field larger .*\); close every quote"),
    ],
)
def test_what_is_no_utf8_csv_is_refused(tmp_path, content, message):
    with pytest.raises(ArtefactError, match=message):
        list(strict_rows(write(tmp_path, content)))


def test_columns_that_cannot_be_told_apart_or_are_too_many(tmp_path):
    check_columns(tmp_path, ["a", "b", "", ""])
    with pytest.raises(ArtefactError, match="the column a, b occurs twice; rename one"):
        check_columns(tmp_path, ["b", "a", "b", "a", "c"])
    with pytest.raises(ArtefactError, match="100000 columns, expected at most 1000; leave out the others"):
        check_columns(tmp_path, ["a"] * 100_000)


def test_a_pipe_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "x.csv")
    with pytest.raises(ArtefactError, match=r"x\.csv: is a pipe, a socket or a device, expected a file"):
        list(strict_rows(tmp_path / "x.csv"))
    with pytest.raises(ArtefactError, match=r"x\.csv: is a pipe, a socket or a device, expected a file"):
        read_lines(tmp_path / "x.csv")


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(ArtefactError, match=r"none\.csv: no such file; name a CSV file"):
        list(strict_rows(tmp_path / "none.csv"))
    with pytest.raises(ArtefactError, match=r"is a folder, expected a file; name a CSV file"):
        list(strict_rows(tmp_path))


def test_loose_rows_keep_bytes_that_are_not_utf8(tmp_path):
    ((_, cells),) = loose_rows(write(tmp_path, b"caf\xe9,b"))
    assert not_utf8(cells) == "byte 0xe9 is not UTF-8"
    assert not_utf8(["café", ""]) is None


def test_a_list_of_ids(tmp_path):
    # blanks and U+2028 belong to an id
    assert read_lines(write(tmp_path, "\ufeff a \r\nb\u2028c\r\n".encode())) == [" a ", "b\u2028c"]
    assert read_lines(write(tmp_path, b"one")) == ["one"]
    with pytest.raises(ArtefactError, match=r"x\.csv, line 2: is empty, expected an id"):
        read_lines(write(tmp_path, b"a\n\nb\n"))
    with pytest.raises(ArtefactError, match=r"x\.csv: not UTF-8 \(invalid continuation byte at byte 3\)"):
        read_lines(write(tmp_path, b"caf\xe9\n"))
    with pytest.raises(ArtefactError, match=r"none: no such file; give a list of ids, one a line"):
        read_lines(tmp_path / "none")


def test_numbers_of_cells_are_those_of_each_cell():
    assert number_in(" -1e3 ") == -1000
    assert [number_in(cell) for cell in ("1_0", "١", "x", "", "0x1")] == [None] * 5
    assert numbers_in(["1", "2.5"]).tolist() == [1, 2.5]
    assert [numbers_in(["1", cell]) for cell in ("1_0", "١", "x", "", "0x1")] == [None] * 5


@pytest.mark.parametrize("name", ["a/caf\udce9.wav", "dog.wav", "\\udder.mp3", "日.wav"])
def test_a_table_of_ours_gives_file_names_back(tmp_path, name):
    path = tmp_path / "x.csv"
    write_rows(path, ["fid", "path"], [["f", name]])
    path.read_text(encoding="utf-8")
    ((line, (fid, cell)),) = own_rows(path, ["fid", "path"], "MAKE")
    assert (line, fid, file_name_in(cell)) == (2, "f", name)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"x\.csv: found the columns none, expected fid, path; write it again: MAKE"),
        (b"path,fid\n", r"found the columns path, fid, expected fid, path"),
        (b"fid,path\na,b\nc\n", r"line 3: found 1 cells, expected 2; write it again: MAKE"),
    ],
)
def test_what_is_no_table_of_ours_is_refused(tmp_path, content, message):
    with pytest.raises(ArtefactError, match=message):
        own_rows(write(tmp_path, content), ["fid", "path"], "MAKE")
