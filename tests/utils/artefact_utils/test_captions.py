"""Files of captions: this project's, and those that other systems publish."""

import csv
import json

import pytest

from utils.artefact_utils import CaptionRow, ForeignFileError, read_captions, write_captions
from utils.artefact_utils.captions import read_caption_file
from utils.cli_utils import ArtefactError

ROWS = [
    CaptionRow("a.wav", ["a dog barks", 'a "dog", loud'], "a dog barks"),
    CaptionRow("b.wav", ["it rains", "Regen fällt"], ""),
]


def table(path, header, rows):
    with path.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([header, *rows])
    return path


def test_rows_are_read_as_they_were_written(tmp_path):
    path = tmp_path / "evaluation_captions.csv"
    rows = [*ROWS, CaptionRow("c", ["one\ntwo", "[not a list"], "None"), CaptionRow("d", [], "line\r\nend, 雨 \\n")]
    write_captions(path, rows)
    assert path.read_text(encoding="utf-8").splitlines()[0] == "id,references,hypothesis"
    assert "fällt" in path.read_text(encoding="utf-8")
    assert read_captions(path) == rows
    write_captions(path, ROWS)  # replaced, since it is of this project
    assert read_captions(path) == ROWS


def test_a_nul_is_written_as_a_replacement_character(tmp_path):
    write_captions(tmp_path / "c.csv", [CaptionRow("a", ["x\0"], "y\0z")])
    assert read_captions(tmp_path / "c.csv")[0].hypothesis == "y\ufffdz"


def test_a_file_of_another_program_is_not_replaced(tmp_path):
    path = table(tmp_path / "c.csv", ["file_name", "caption_predicted"], [["a.wav", "a dog"]])
    before = path.read_bytes()
    with pytest.raises(ForeignFileError):
        write_captions(path, ROWS)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("header", "rows"),
    [
        (
            ["fname", "candidates", "mult_references"],
            [[row.id, row.hypothesis, json.dumps(row.references)] for row in ROWS],
        ),
        (["fname", "preds", "mrefs"], [[row.id, row.hypothesis, repr(row.references)] for row in ROWS]),
        (["File_Name", "reference", "prediction"], [[r.id, text, r.hypothesis] for r in ROWS for text in r.references]),
        (
            ["file_name", "caption_2", "caption_1", "caption_3", "caption_predicted"],
            [[row.id, row.references[1], row.references[0], "", row.hypothesis] for row in ROWS],
        ),
        (
            ["file_name", "caption_reference_01", "caption_reference_02", "caption_predicted"],
            [[row.id, *row.references, row.hypothesis] for row in ROWS],
        ),
    ],
)
def test_layouts_of_other_systems(tmp_path, header, rows):
    assert read_captions(table(tmp_path / "other.csv", header, rows)) == ROWS


def test_hypotheses_alone(tmp_path):
    submission = table(tmp_path / "s.csv", ["file_name", "caption_predicted"], [["a.wav", "a dog"], ["b.wav", ""]])
    expected = [CaptionRow("a.wav", [], "a dog"), CaptionRow("b.wav", [], "")]
    assert read_captions(submission) == expected
    coco = tmp_path / "results.json"
    coco.write_text('[{"image_id": 7, "caption": "a red circle"}, {"image_id": 8, "caption": ""}]', encoding="utf-8")
    assert read_captions(coco) == [CaptionRow("7", [], "a red circle"), CaptionRow("8", [], "")]
    coco.write_text('[{"id": "7", "references": ["x", "y"], "hypothesis": "None"}]', encoding="utf-8")
    assert read_captions(coco) == [CaptionRow("7", ["x", "y"], "None")]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.tsv", "file_name\tcaption_predicted\na.wav\ta dog, loud; near\n"),
        ("a.csv", 'file_name;caption_predicted\na.wav;"a dog, loud; near"\n'),
        ("a.csv", "file_name\tcaption_predicted\na.wav\ta dog, loud; near\n"),
        ("a.jsonl", '{"file_name": "a.wav", "caption": "a dog, loud; near"}\n\n'),
    ],
)
def test_other_separators(tmp_path, name, content):
    (tmp_path / name).write_text(content, encoding="utf-8")
    assert read_captions(tmp_path / name) == [CaptionRow("a.wav", [], "a dog, loud; near")]


def test_a_caption_beside_a_prediction_is_a_reference(tmp_path):
    path = table(tmp_path / "a.csv", ["caption", "prediction", "fname"], [["x", "p", "a"], ["y", "p", "a"]])
    assert read_captions(path) == [CaptionRow("a", ["x", "y"], "p")]


def test_of_several_columns_of_ids_the_best_rated_is_read(tmp_path):
    path = table(tmp_path / "a.csv", ["id", "file_name", "preds"], [["0", "a.wav", "x"], ["1", "b.wav", "y"]])
    found = read_caption_file(path, rate=lambda names: (sum(name.endswith(".wav") for name in names),))
    assert found == ([CaptionRow("a.wav", [], "x"), CaptionRow("b.wav", [], "y")], "file_name")
    assert read_caption_file(path, rate=lambda names: (0,)).id_column == "id"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", r"line 1: not JSON"),
        ("[1]", r"line 1: expected an object"),
        ('{"id": "a", "caption": "x"}\n{"id": "b"}', r"object 2: has other keys than object 1, id, caption"),
        ("\n", r"holds no captions"),
    ],
)
def test_bad_lines_of_json(tmp_path, content, message):
    path = tmp_path / "bad.jsonl"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(ArtefactError, match=rf"bad\.jsonl.*{message}"):
        read_captions(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", r"holds no captions; name a file of captions"),
        ("id,references,hypothesis\n", r"holds no captions"),
        (
            "name,caption_predicted\na,b\n",
            r"no column names the clip: found name, caption_predicted, expected",
        ),
        ("file_name,caption_1\na,b\n", r"no column names its predicted caption: found file_name, caption_1"),
        ("id,preds\na,x\nb,y\na,z\n", r"line 4: 'a' has two hypotheses, 'x' and 'z'; keep one"),
        ("id,preds\na,nan\n", r"line 2: preds is 'nan', where a text is missing; write the caption"),
        ("id,preds\na,None\n", r"preds is 'None'"),
        ("id,preds,refs\na,x,NaN\n", r"refs is 'NaN'"),
        ("id,preds\n,x\n", r"line 2: id is empty"),
        ("id,preds\na,x, y\n", r"line 2: 3 cells, the header has 2; put captions with commas in quotes"),
        ('id,preds,refs\na,x,"[1, 2]"\n', r"refs is \[1, 2\], expected a list of texts"),
        ("id,preds,refs\na,x,[a b\n", r"line 2: refs begins as a list but is none: '\[a b'; write a JSON list"),
        ('id,preds,refs\na,x,"[__import__(""os"").getcwd()]"\n', r"refs begins as a list but is none"),
    ],
)
def test_bad_tables(tmp_path, content, message):
    path = tmp_path / "bad.csv"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(ArtefactError, match=rf"bad\.csv.*{message}") as error:
        read_captions(path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[]", r"holds no captions"),
        ("{", r"not JSON"),
        ('{"a": "x"}', r"expected a list of objects"),
        ('[{"image_id": 1, "caption": null}]', r"row 1: caption is None, where a text is missing"),
        ('[{"image_id": 1, "caption": NaN}]', r"row 1: caption is nan, expected a text"),
        ('[{"image_id": 1, "caption": "a"}, {"image_id": 2}]', r"row 2: has other keys than row 1, image_id, caption"),
    ],
)
def test_bad_json(tmp_path, content, message):
    path = tmp_path / "bad.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(ArtefactError, match=rf"bad\.json.*{message}"):
        read_captions(path)


def test_there_is_no_file(tmp_path):
    with pytest.raises(ArtefactError, match=r"c\.csv: no such file; write it: COMMAND"):
        read_captions(tmp_path / "c.csv", "write it: COMMAND")
    with pytest.raises(ArtefactError, match=r"is a folder"):
        read_captions(tmp_path)
