"""metadata_eval.csv: queries with several relevant clips; nothing in it is executed."""

import pytest

from utils.artefact_utils import RelevanceList, read_relevance
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
