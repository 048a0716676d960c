"""Near-duplicate recordings: their pairs, and tables that are none."""

import pytest

from utils.artefact_utils import write_rows
from utils.artefact_utils.similar_tracks import read_similar_tracks
from utils.cli_utils import ArtefactError
from utils.data_utils.products import SIMILAR_COLUMNS


def test_rows_of_one_number_are_a_pair(tmp_path):
    rows = [["1", "test", "a.mp3", "a"], ["2", "test", "c.mp3", "c"], ["1", "training", "b.mp3", "b"]]
    rows += [["2", "test", "d.mp3", "d"], ["2", "test", "e.mp3", "e"]]
    write_rows(tmp_path / "similar.csv", SIMILAR_COLUMNS, rows)
    pairs = read_similar_tracks(tmp_path / "similar.csv", "MAKE")
    assert pairs == [("a", "b"), ("c", "d"), ("c", "e"), ("d", "e")]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, r"similar\.csv: .*; write it: MAKE"),
        ("", r"similar\.csv: found the columns none, expected pair, split, path, fid"),
        ("pair,fid\n1,a\n", r"found the columns pair, fid, expected .*; write it again: MAKE"),
        ("pair,split,path,fid\n1,test\n", r"line 2: found 2 cells, expected 4; write it again: MAKE"),
    ],
)
def test_another_table_is_refused(text, message, tmp_path):
    if text is not None:
        (tmp_path / "similar.csv").write_text(text)
    with pytest.raises(ArtefactError, match=message):
        read_similar_tracks(tmp_path / "similar.csv", "MAKE")
