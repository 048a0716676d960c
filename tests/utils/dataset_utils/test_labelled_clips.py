"""Tables of clips and labels: both layouts, filters, and what is odd about a table."""

import numpy as np
import pytest

from utils.cli_utils import UserError
from utils.dataset_utils.labelled_clips import read_labelled_clips

ESC = """filename,fold,target,category,esc10,src_file,take
1-1-A-10.wav,1,10,rain,True,1,A
1-1-B-10.wav,1,10,rain,True,1,B
2-2-A-0.wav,2,0,dog,True,2,A
2-3-A-5.wav,2,5,cat,False,3,A
"""


def table(folder, text, name="labels.csv"):
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def error_of(path, **where):
    with pytest.raises(UserError) as caught:
        read_labelled_clips(path, where)
    return str(caught.value)


def test_esc_is_in_the_order_of_its_targets(tmp_path):
    clips = read_labelled_clips(table(tmp_path, ESC))
    assert clips.names == ("1-1-A-10.wav", "1-1-B-10.wav", "2-2-A-0.wav", "2-3-A-5.wav")
    assert clips.labels == ("dog", "cat", "rain")
    assert clips.truth().argmax(1).tolist() == [2, 2, 0, 1]
    assert clips.clusters().tolist() == [0, 0, 1, 2]
    assert clips.notes == ()


def test_a_plain_table_has_several_labels_and_the_order_of_the_alphabet(tmp_path):
    path = table(tmp_path, '\ufefffile_name,label\nb.wav,rain; dog\nsub/a.wav,cat\n"c, d.wav",dog;;dog\n')
    clips = read_labelled_clips(path)
    assert clips.names == ("b.wav", "sub/a.wav", "c, d.wav")
    assert clips.labels == ("cat", "dog", "rain")
    assert clips.truth().astype(int).tolist() == [[0, 1, 1], [1, 0, 0], [0, 1, 0]]
    assert len(set(clips.clusters())) == 3


def test_a_category_of_esc_is_never_split(tmp_path):
    assert read_labelled_clips(table(tmp_path, "filename,category\na.wav,x;y\n")).labels == ("x;y",)


@pytest.mark.parametrize(
    ("where", "rows"),
    [
        ({"esc10": {"true"}}, [0, 1, 2]),
        ({"fold": {"2"}}, [2, 3]),
        ({"fold": {"1", " 2 "}, "category": {"RAIN", "cat"}}, [0, 1, 3]),
    ],
)
def test_filters(tmp_path, where, rows):
    path = table(tmp_path, ESC)
    everything = read_labelled_clips(path)
    chosen = read_labelled_clips(path, where)
    assert chosen.names == tuple(everything.names[row] for row in rows)
    assert set(chosen.labels) == {everything.label_sets[row][0] for row in rows}


def test_some_clips_and_all_labels(tmp_path):
    clips = read_labelled_clips(table(tmp_path, ESC))
    taken = clips.take(np.array([False, True, True, False]))
    assert taken.names == ("1-1-B-10.wav", "2-2-A-0.wav")
    assert taken.label_sets == (("rain",), ("dog",))
    assert (taken.sources, taken.labels, len(taken)) == (("1", "2"), clips.labels, 2)
    assert clips.take(np.zeros(4, bool)).truth().shape == (0, 3)


def test_another_label_set(tmp_path):
    clips = read_labelled_clips(table(tmp_path, ESC))
    wider = clips.with_labels(["sea", "rain", "cat", "dog"], "classes.txt")
    assert wider.truth().argmax(1).tolist() == [1, 1, 3, 2]
    with pytest.raises(UserError, match=r"^classes\.txt: lacks dog, cat, which clips have; add what is missing$"):
        clips.with_labels(["rain"], "classes.txt")
    with pytest.raises(UserError, match=r"^classes\.txt: label 'dog' occurs twice; keep one$"):
        clips.with_labels(["dog", "cat", "rain", "dog"], "classes.txt")


def test_what_is_odd_is_told(tmp_path):
    path = table(tmp_path, "file_name,label,note\na.wav,x,1\nb.wav,y,2\na.wav,x,3\n,x,4\nc.wav\n")
    clips = read_labelled_clips(path)
    assert clips.names == ("a.wav", "b.wav")
    assert clips.notes == (
        "labels.csv: columns that are not used: note",
        "labels.csv: 1 rows repeat a clip with the same labels; each clip counts once",
        "labels.csv: 2 rows without a file name or a label are left out: lines 5, 6",
    )
    assert read_labelled_clips(path, {"note": {"1", "2"}}).notes == ()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty; expected a CSV with file names and labels"),
        ("name,kind\na,b\n", "found the columns name, kind, expected filename, category or file_name, label; correct"),
        ("file_name,label,label\na,b,c\n", "the column label occurs twice; rename one"),
        ("file_name,label\na.wav,x,y\n", "line 2: 3 fields, the header has 2; put a label with commas in quotes"),
        ("file_name,label\n,x\n", "no row with a file name and a label; add clips"),
        (
            "file_name,label\na.wav,x\nb.wav,x\na.wav,y\n",
            "line 4: 'a.wav' is y, line 2 says x; write several labels in one row, with ';' between them",
        ),
        ("filename,category\na.wav,x\na.wav,y\n", "line 3: 'a.wav' is y, line 2 says x; keep one"),
        (
            "filename,category,target\na.wav,x,1\nb.wav,x,2\n",
            "'b.wav' has label x and target 2, an earlier row x = 1, 2 = x; expected one target for each label",
        ),
        (
            "filename,category,target\na.wav,x,1\nb.wav,y,1\n",
            "'b.wav' has label y and target 1, an earlier row y = 1, 1 = x; expected one target for each label",
        ),
    ],
)
def test_tables_that_cannot_be_used(tmp_path, text, message):
    path = table(tmp_path, text)
    found = error_of(path)
    assert found.startswith(str(path))
    assert message in found


def test_filters_that_leave_nothing(tmp_path):
    path = table(tmp_path, ESC)
    assert error_of(path, folds={"1"}) == (
        f"{path}: has no column 'folds' to choose by, only filename, fold, target, category, esc10, src_file, take; "
        "name one"
    )
    assert error_of(path, fold={"9", "8"}) == f"{path}: no row has fold = 8 or 9; found 1, 2; choose one"
    many = table(tmp_path, "file_name,label\n" + "".join(f"{n}.wav,l{n}\n" for n in range(9)), "many.csv")
    assert "found l0, l1, l2, l3, l4 and 4 more; choose one" in error_of(many, label={"x"})


def test_files_that_are_no_table(tmp_path):
    assert "no such file" in error_of(tmp_path / "none.csv")
    (tmp_path / "latin.csv").write_bytes("file_name,label\né.wav,x\n".encode("latin-1"))
    assert "is not UTF-8, expected UTF-8; save it as UTF-8" in error_of(tmp_path / "latin.csv")
