"""Tables whose captions break the rules: every row comes out once, in its place, or is listed."""

import csv
import io

import pytest
from hypothesis import given, seed, settings
from hypothesis import strategies as st

from utils.cli_utils import UserError
from utils.dataset_utils import Rejected, TableForm, read_loose_table

TSV = TableForm("\t", ("id", "audio", "text"), lambda values: values["audio"].endswith(".wav") and bool(values["id"]))
CSV = TableForm(",", ("id", "start", "text"), lambda values: values["start"].isdecimal())


def read(folder, content, form=TSV):
    path = folder / "table"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_loose_table(path, form)


def texts(table):
    return [row.values["text"] for row in table.rows]


@pytest.mark.parametrize(
    ("field", "text", "repairs"),
    [
        ("A dog", "A dog", {}),
        (" A dog ", " A dog ", {}),
        ("A dog\tbarks\t loudly", "A dog barks loudly", {"tab within the caption": 1}),
        ("A dog\t\tbarks", "A dog barks", {"tab within the caption": 1}),
        ("A dog\t", "A dog", {"tabs at the end": 1}),
        ("A dog\t\t \t", "A dog", {"tabs at the end": 1}),
        ("A dog\tbarks\t\t", "A dog barks", {"tab within the caption": 1, "tabs at the end": 1}),
        ('"A dog, ""Rex"", barks"', 'A dog, "Rex", barks', {"caption in quotes": 1}),
        ('"A dog\tbarks"', "A dog barks", {"tab within the caption": 1, "caption in quotes": 1}),
        ('"Rex" barks at "Max"', '"Rex" barks at "Max"', {}),
        ('"A dog barks', "A dog barks", {"unbalanced quote": 1}),
        ('A dog barks"', "A dog barks", {"unbalanced quote": 1}),
        ('A 12" pipe rings', 'A 12" pipe rings', {"unbalanced quote": 1}),
        ('"', "", {"unbalanced quote": 1}),
        ("None", "None", {"caption such as None or NA": 1}),
        ("NA", "NA", {"caption such as None or NA": 1}),
        ("nan", "nan", {"caption such as None or NA": 1}),
        ("", "", {}),
        ("A\u2028dog\x0bbarks", "A\u2028dog\x0bbarks", {}),
    ],
)
def test_repairs_by_hand(tmp_path, field, text, repairs):
    table = read(tmp_path, f"id\taudio\ttext\n1\ta.wav\tbefore\n2\tb.wav\t{field}\n3\tc.wav\tafter\n")
    assert [tuple(row.values.values()) for row in table.rows] == [
        ("1", "a.wav", "before"),
        ("2", "b.wav", text),
        ("3", "c.wav", "after"),
    ]
    assert [row.line for row in table.rows] == [2, 3, 4]
    assert table.refused == []
    assert table.repairs == repairs


@pytest.mark.parametrize(
    ("header", "row", "text", "note"),
    [
        ("text\taudio\tid", "A dog\tbarks\ta.wav\t1", "A dog barks", None),
        ("text\taudio\tid", "A dog\ta.wav\t1\t\t", "A dog", None),
        ("text\taudio\tid", "A dog\tbarks\ta.wav\t1\t\t", "A dog barks", None),
        ("audio\ttext\tid", "a.wav\tA dog\tbarks\t1\t", "A dog barks", None),
        ("text\taudio\tid\tnote", "A dog\tbarks\ta.wav\t1\t", "A dog barks", ""),
        ("id\taudio\ttext\tnote", "1\ta.wav\tA dog\tbarks\tx", "A dog barks", "x"),
        ("id\tnote\taudio\ttext", "1\tx\ta.wav\tA dog\tbarks", "A dog barks", "x"),
        ("id\taudio\ttext\tnote", "1\ta.wav\tA dog", "A dog", ""),
        ('"id"\t"audio"\t"text"\t', '"1"\t"a.wav"\t"A dog"', "A dog", None),
    ],
)
def test_columns_in_any_order_among_others(tmp_path, header, row, text, note):
    (found,) = read(tmp_path, f"{header}\n{row}\n").rows
    assert (found.values["id"], found.values["audio"], found.values["text"]) == ("1", "a.wav", text)
    assert found.values.get("note") == note


def test_rows_that_are_too_short_are_listed_with_their_line(tmp_path):
    table = read(tmp_path, "id\taudio\ttext\n1\ta.wav\n\n\t\t\n2\tb.wav\tA dog\nlost words\n3\tc.wav\tRain")
    assert texts(table) == ["A dog", "Rain"]
    assert table.refused == [
        Rejected("caption", "table line 2", "2 fields, a row has 3"),
        Rejected("caption", "table line 6", "1 fields, a row has 3"),
    ]


def test_a_caption_goes_on_while_its_quote_is_open(tmp_path):
    rows = ['1\ta.wav\t"A dog', "", 'barks"', '2\tb.wav\t"Rain', "falls", "3\tc.wav\tWind", '4\td.wav\t"Bell', "", ""]
    table = read(tmp_path, "\n".join(["id\taudio\ttext", *rows]))
    assert texts(table) == ["A dog barks", "Rain falls", "Wind", "Bell"]
    assert [row.line for row in table.rows] == [2, 5, 7, 8]
    assert table.repairs == {"caption over several lines": 2, "caption in quotes": 1, "unbalanced quote": 2}


def test_byte_order_mark_and_windows_line_ends(tmp_path):
    table = read(tmp_path, b"\xef\xbb\xbfid\taudio\ttext\r\n1\ta.wav\tA dog\r\n2\tb.wav\tRain\r\n")
    assert texts(table) == ["A dog", "Rain"]
    assert not table.repairs


def test_a_csv_that_keeps_the_rules_is_read_as_csv_reads_it(tmp_path):
    content = 'id,note,start,text\r\n1,"a, b",30,"Rain, then ""Rex"""\r\n2,c,60,"A 12"" pipe"\r\n3,d,0,None\r\n'
    table = read(tmp_path, content, CSV)
    assert [row.values for row in table.rows] == list(csv.DictReader(io.StringIO(content)))
    assert table.repairs == {"caption such as None or NA": 1}


@pytest.mark.parametrize(
    ("lines", "expected", "repairs"),
    [
        (["1,30,A dog, then rain"], ["A dog, then rain"], {"comma within the caption": 1}),
        (["1,30,A dog,,"], ["A dog"], {"commas at the end": 1}),
        (['1,30,"A dog', "2,60,Rain"], ["A dog", "Rain"], {"unbalanced quote": 1}),
        (['1,30,"A dog', "3,4", "2,60,Rain"], ["A dog", "Rain"], {"unbalanced quote": 1}),
        (['1,30,"A dog, loud,', 'barks"', "2,60,Rain"], ["A dog, loud, barks", "Rain"], {}),
        (
            ['1,30,A dog", loud', "2,60,Rain"],
            ['A dog", loud', "Rain"],
            {"unbalanced quote": 1, "comma within the caption": 1},
        ),
    ],
)
def test_a_csv_that_breaks_them_is_repaired(tmp_path, lines, expected, repairs):
    table = read(tmp_path, "\n".join(["id,start,text", *lines]), CSV)
    assert texts(table) == expected
    assert table.repairs == repairs
    assert [r.reason for r in table.refused] == ["2 fields, a row has 3"] * ("3,4" in lines)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "column id, audio, text is missing: found the columns , expected id, audio, text with tabs between them"),
        (b"id\taudio\tcaption\n", "column text is missing: found the columns id, audio, caption, expected id, audio"),
        (b"id,audio,text\n", "column id, audio, text is missing: found the columns id,audio,text, expected"),
        (b"id\taudio\ttext\ttext\n", "the column text occurs twice; rename one"),
        (b"id\taudio\ttext\n1\ta.wav\t\xff\n", "not a table in UTF-8 (line 2: invalid start byte); save it as UTF-8"),
    ],
)
def test_what_is_no_such_table_is_refused(tmp_path, content, message):
    with pytest.raises(UserError) as caught:
        read(tmp_path, content)
    assert str(caught.value).startswith(f"{tmp_path / 'table'}: {message}")
    assert "\n" not in str(caught.value)


FAULTS = st.text('ab é鐘,.\t\t"\r\u2028', max_size=12) | st.sampled_from(["None", "NA", '"a ""b"""', 'a"\t"b', "\t\t"])


@seed(0)
@settings(max_examples=100, deadline=None, derandomize=True, database=None)
@given(captions=st.lists(FAULTS, min_size=1, max_size=8), order=st.permutations(["id", "audio", "text"]))
def test_no_row_is_lost_and_no_neighbour_changes(tmp_path_factory, captions, order):
    rows = [{"id": str(n), "audio": f"{n}.wav", "text": text} for n, text in enumerate(captions)]
    guard = {"id": "guard", "audio": "guard.wav", "text": "A plain caption"}
    lines = ["\t".join(row[column] for column in order) for row in [guard, *[r for row in rows for r in (row, guard)]]]
    table = read(tmp_path_factory.getbasetemp(), "\n".join(["\t".join(order), *lines]))
    assert table.refused == []
    found = [row.values for row in table.rows]
    assert found[::2] == [guard] * (len(rows) + 1)
    assert [(row["id"], row["audio"]) for row in found[1::2]] == [(row["id"], row["audio"]) for row in rows]
    for row, given_text in zip(found[1::2], captions, strict=True):  # only blanks and quotes may differ
        assert "".join(row["text"].replace('"', "").split()) == "".join(given_text.replace('"', "").split())
