"""metadata_eval.csv: queries with several relevant clips; nothing in it is executed."""

import pytest

from utils.artefact_utils.retrieval import RelevanceList, read_relevance
from utils.cli_utils import ArtefactError


def read(tmp_path, text):
    path = tmp_path / "metadata_eval.csv"
    path.write_text(text, encoding="utf-8")
    return read_relevance(path)


def test_lists_in_the_order_of_the_file(tmp_path):
    found = read(
        tmp_path,
        'query,audio_filenames\n"A dog, barking.","[\'b.wav\', ""it\'s.wav""]"\nRain,[\'a.wav\']\n',
    )
    assert found == [
        RelevanceList("A dog, barking.", ("b.wav", "it's.wav"), (1.0, 1.0)),
        RelevanceList("Rain", ("a.wav",), (1.0,)),
    ]


def test_graded_relevance_in_a_column_of_its_own(tmp_path):
    found = read(tmp_path, "relevances,query,other,audio_filenames\n\"[3, 0.5]\",Rain,x,\"['a.wav', 'b.wav']\"\n")
    assert found == [RelevanceList("Rain", ("a.wav", "b.wav"), (3.0, 0.5))]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("Rain,a.wav", "line 2: audio_filenames is 'a.wav', expected a Python list such as ['a.wav', 'b.wav']"),
        ("Rain,\"('a.wav',)\"", "expected a Python list"),
        ("Rain,\"__import__('os').getcwd()\"", "expected a Python list"),
        (f"Rain,{'[' * 300}", "[...', expected a Python list"),
        ("Rain,[]", "line 2: audio_filenames is empty, expected at least one file; remove the line"),
        ("Rain,[3]", "line 2: audio_filenames holds 3, expected file names"),
        ("Rain,[' ']", "line 2: audio_filenames holds ' ', expected file names"),
        ("Rain,\"['a.wav', 'b.wav', 'a.wav']\"", "line 2: audio_filenames names 'a.wav' twice; remove one"),
        (" ,['a.wav']", "line 2: query is empty, expected a text"),
        ("Rain, falling,['a.wav']", "line 2: 3 cells, expected 2; quote cells that hold a comma"),
        ("", "holds no queries, only a header; add queries"),
    ],
)
def test_a_broken_row_is_refused_with_its_line(tmp_path, row, message):
    with pytest.raises(ArtefactError) as error:
        read(tmp_path, f"query,audio_filenames\n{row}\n")
    assert message in str(error.value)
    assert "metadata_eval.csv" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("gains", "message"),
    [
        ("[1]", "line 2: relevances holds 1 numbers for 2 files; give one a file"),
        ('"[1, 0]"', "line 2: relevances holds 0, expected numbers above 0"),
        ('"[1, -2.5]"', "relevances holds -2.5, expected numbers above 0"),
        ('"[1, 1e999]"', "relevances holds inf, expected numbers above 0"),
        ('"[1, True]"', "relevances holds True, expected numbers above 0"),
        ("\"[1, '2']\"", "relevances holds '2', expected numbers above 0"),
        ("high", "line 2: relevances is 'high', expected a Python list such as [1.0, 0.5]"),
    ],
)
def test_gains_that_do_not_fit_are_refused(tmp_path, gains, message):
    with pytest.raises(ArtefactError) as error:
        read(tmp_path, f"query,audio_filenames,relevances\nRain,\"['a.wav', 'b.wav']\",{gains}\n")
    assert message in str(error.value)


def test_a_missing_column_is_named(tmp_path):
    with pytest.raises(ArtefactError, match=r"line 1: column audio_filenames is missing, found query, files; add it"):
        read(tmp_path, "query,files\n")
    with pytest.raises(ArtefactError, match=r"line 1: column query, audio_filenames is missing, found nothing"):
        read(tmp_path, "")


RATINGS = "tid,fid,fid_group,rating\nt1,f1,C15,96\nt1,f2,TP,71.5\nt2,f1,TN,0\nt1,f3,TN,0\n"


def test_ratings_of_pairs(tmp_path):
    assert read(tmp_path, RATINGS) == [
        RelevanceList("t1", ("f1", "f2"), (96.0, 71.5)),
        RelevanceList("t2", (), ()),
    ]


def test_ratings_named_by_the_tables_that_are_published_with_them(tmp_path):
    for name, text in (
        ("relevance_data/evaluation_relevances.csv", RATINGS),
        ("text_data/evaluation_text.csv", 'split,tid,fid,text,tokens\nx,t1,f1,"A dog, barking. ",[]\n'),
        ("audio_metadata/evaluation_audio_metadata.csv", "split,fid,file_name\nx,f1,a.wav\nx,f2,b.wav\n"),
    ):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text(text)
    path = tmp_path / "relevance_data" / "evaluation_relevances.csv"
    assert read_relevance(path)[0] == RelevanceList("A dog, barking. ", ("a.wav", "b.wav"), (96.0, 71.5))
    other = tmp_path / "other_text.csv"
    other.write_text("tid,fid,fname,raw_text,text\nt1,f2,c.wav,A Dog!,a dog\n")
    assert read_relevance(path, [other])[0] == RelevanceList("A Dog!", ("f1", "c.wav"), (96.0, 71.5))
    other.write_text("tid,fid\nt1,f2\n")
    with pytest.raises(ArtefactError, match="found no tid beside raw_text or text and no fid beside fname or file_nam"):
        read_relevance(path, [other])


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("t1,f1,x,high", "line 2: rating is 'high', expected a number of 0 or more"),
        ("t1,f1,x,-1", "line 2: rating is '-1', expected"),
        ("t1,f1,x,nan", "line 2: rating is 'nan', expected"),
        (f"t1,f1,x,{'9' * 5000}", "...', expected a number of 0 or more".replace("'", "", 1)),
        ("t1,f1,x,1\nt1,f1,x,2", "line 3: clip f1 is rated twice for t1; remove one"),
        (" ,f1,x,1", "line 2: tid or fid is empty"),
        ("t1,f1,1", "line 2: 3 cells, expected 4"),
        ("", "holds no queries, only a header"),
    ],
)
def test_a_broken_rating_is_refused_with_its_line(tmp_path, row, message):
    with pytest.raises(ArtefactError) as error:
        read(tmp_path, f"tid,fid,fid_group,rating\n{row}\n")
    assert message in str(error.value)
    assert len(str(error.value)) < 400


def test_numbers_beyond_floats_and_long_lists_end_in_one_line(tmp_path):
    for gain in ("9" * 400, "1e999", "[" * 50 + "]" * 50):
        with pytest.raises(ArtefactError, match=r"relevances holds .*, expected numbers above 0"):
            read(tmp_path, f"query,audio_filenames,relevances\nRain,['a.wav'],[{gain}]\n")
    names = [f"{n}" for n in range(15_000)]
    with pytest.raises(ArtefactError, match="audio_filenames names '7' twice"):
        read(tmp_path, f'query,audio_filenames\nRain,"{[*names, "7"]}"\n')
