"""The catalogue of tracks: what is written is read again, and a table that is none is refused in one line."""

import pytest

from utils.artefact_utils import ForeignFileError, Track, read_catalogue, write_catalogue
from utils.cli_utils import ArtefactError

TRACKS = [
    Track(
        "f1", "2", "training", "000/000002.mp3", 'Food, "live"', "A.W.O.L.", "A Way", "Hip-Hop", ("Hip-Hop", "Rap"), 30
    ),
    Track("f2", "3", "test", "000/000003.mp3", "Zwei\nZeilen", "Sigur Rós", "", "", (), 29.976),
]
HEADER = "fid,track_id,split,path,title,artist,album,genre,genres,duration_s\n"


def test_a_catalogue_is_read_as_it_was_written(tmp_path):
    path = tmp_path / "catalogue.csv"
    write_catalogue(path, TRACKS)
    assert read_catalogue(path, "MAKE") == TRACKS
    assert read_catalogue(path, "MAKE", "test") == TRACKS[1:]
    assert path.read_text(encoding="utf-8").startswith(HEADER + "f1,2,training,000/000002.mp3,")
    write_catalogue(path, TRACKS[:1])
    assert read_catalogue(path, "MAKE") == TRACKS[:1]


def test_a_file_name_that_is_not_utf8_leads_to_the_file(tmp_path):
    path = tmp_path / "catalogue.csv"
    write_catalogue(path, [TRACKS[0]._replace(path="caf\udce9/\\udder.mp3")])
    path.read_text(encoding="utf-8")
    assert read_catalogue(path, "MAKE")[0].path == "caf\udce9/\\udder.mp3"


@pytest.mark.parametrize(
    ("text", "split", "message"),
    [
        (None, None, r"catalogue\.csv: .*; write it: MAKE"),
        ("path,title\nx,y\n", None, r"found the columns path, title, expected fid, track_id, .*; write it again: MAKE"),
        ("", None, r"found the columns none, expected fid"),
        (HEADER + "f,1,test,p,t,a,b,g\n", None, r"line 2: found 8 cells, expected 10; write it again: MAKE"),
        (HEADER + "f,1,test,p,t,a,b,g,,long\n", None, r"line 2: found the duration 'long', expected seconds"),
        (HEADER + "f,1,test,p,t,a,b,g,,nan\n", None, r"found the duration 'nan', expected seconds"),
        (HEADER + "f,1,test,p,t,a,b,g,,1\ng,1,test,q,t,a,b,g,,1\n", None, r"track_id '1' occurs 2 times; write"),
        (HEADER + "f,1,test,p,t,a,b,g,,1\nf,2,test,q,t,a,b,g,,1\n", None, r"fid 'f' occurs 2 times; write"),
        (HEADER + "f,1,test,p,t,a,b,g,,1\n", "val", r"has no tracks of 'val', only of test; write it again: MAKE"),
        (HEADER, None, r"holds no tracks; write it again: MAKE"),
    ],
)
def test_a_table_that_is_no_catalogue_is_refused(tmp_path, text, split, message):
    path = tmp_path / "catalogue.csv"
    if text is not None:
        path.write_text(text, encoding="utf-8")
    with pytest.raises(ArtefactError, match=message):
        read_catalogue(path, "MAKE", split)


def test_a_table_of_another_program_is_not_replaced(tmp_path):
    path = tmp_path / "catalogue.csv"
    path.write_text("artist,title\na,b\n")
    with pytest.raises(ForeignFileError, match="is a file of another program"):
        write_catalogue(path, TRACKS)
    assert path.read_text() == "artist,title\na,b\n"
