"""labels.csv comes back as it was written; what is no such table is named."""

import pytest

from utils.artefact_utils import ForeignFileError
from utils.artefact_utils.labels import LABEL_COLUMNS, LabelledRecording, read_labels, write_labels
from utils.cli_utils import ArtefactError

ROWS = [
    LabelledRecording("f1", "x1", "train", "audio/x1.flac", "dog, big", "me", "https://x/1", 0.5, 2.25, 1.75),
    LabelledRecording("f2", "x2", "val", 'cat/"a"\udce9.wav', "cat", "", "", 0.0, None, 12.0),
]
HEADER = ",".join(LABEL_COLUMNS)


def test_rows_come_back(tmp_path):
    path = tmp_path / "labels.csv"
    write_labels(path, ROWS)
    assert read_labels(path, "make") == ROWS
    assert read_labels(path, "make", "val") == ROWS[1:]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "found the columns none, expected fid, source_id,"),
        ("fid,name\n", "found the columns fid, name, expected fid, source_id,"),
        (f"{HEADER}\n", "has no recordings of 'any split', only of none"),
        (f"{HEADER}\nf,x,train,a,dog,,,0,,1\n", None),
        (f"{HEADER}\nf,x,train,a,dog,,,0,1\n", "line 2: found 9 cells, expected 10"),
        (f"{HEADER}\nf,x,train,a,,,,0,,1\n", "line 2: is no row of a recording"),
        (f"{HEADER}\nf,x,train,a,dog,,,-1,,1\n", "line 2: is no row of a recording"),
        (f"{HEADER}\nf,x,train,a,dog,,,0,nan,1\n", "line 2: is no row of a recording"),
        (f"{HEADER}\nf,x,train,a,dog,,,0,soon,1\n", "line 2: is no row of a recording"),
        (f"{HEADER}\nf,x,train,a,dog,,,0,,\n", "line 2: is no row of a recording"),
        (f"{HEADER}\nf,x,train,a,dog,,,0,,1\nf,y,train,b,dog,,,0,,1\n", "fid 'f' occurs 2 times"),
        (f"{HEADER}\nf,x,train,a,dog,,,0,,1\ng,x,train,b,dog,,,0,,1\n", "source_id 'x' occurs 2 times"),
    ],
)
def test_what_is_no_table_of_labels_is_named(tmp_path, text, said):
    path = tmp_path / "labels.csv"
    path.write_text(text)
    if said is None:
        assert read_labels(path, "make")[0].end_s is None
        return
    with pytest.raises(ArtefactError) as error:
        read_labels(path, "make it")
    assert said in str(error.value)
    assert str(error.value).endswith("write it again: make it")


def test_a_split_without_recordings_and_no_file(tmp_path):
    path = tmp_path / "labels.csv"
    with pytest.raises(ArtefactError, match="no such file; write it: make it"):
        read_labels(path, "make it")
    write_labels(path, ROWS)
    with pytest.raises(ArtefactError, match="has no recordings of 'eval', only of train, val"):
        read_labels(path, "make it", "eval")


def test_a_table_of_another_program_is_not_replaced(tmp_path):
    path = tmp_path / "labels.csv"
    path.write_text("a,b\n")
    with pytest.raises(ForeignFileError):
        write_labels(path, ROWS)
