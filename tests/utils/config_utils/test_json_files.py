"""JSON is read as JSON: strictly, within bounds."""

import json
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from utils.config_utils import parse_json, read_json

plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@settings(max_examples=30, deadline=None)
@given(plain)
def test_what_was_written_is_read(value):
    assert parse_json(json.dumps(value)) == value
    assert parse_json(json.dumps(value, ensure_ascii=False, indent=2)) == value


def test_numbers_with_an_exponent_are_numbers():
    assert parse_json('{"offset": 1e-10, "lr": 1E3, "text": "1e-10"}') == {
        "offset": 1e-10,
        "lr": 1000.0,
        "text": "1e-10",
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "Expecting value"),
        ("a: 1", "Expecting value"),
        ('{"a": 1, "b": 2, "a": 1}', "key 'a' occurs twice; keep one"),
        ('{"a": {"b": 1, "b": 1}}', "key 'b' occurs twice"),
        ("NaN", "NaN is no JSON number"),
        ("[-Infinity]", "-Infinity is no JSON number"),
        ("1e400", "1e400 is larger than any float"),
        ("1" + "0" * 400, "a whole number of 401 digits, expected at most 20"),
        ("-" + "9" * 5000, "a whole number of 5000 digits"),
        ("[" * 100_000, "nested more than 64 levels deep"),
        ('{"a":' * 100_000, "nested more than 64 levels deep"),
        ("[" * 65 + "]" * 65, "nested more than 64 levels deep"),
        ('["\\ud800"]', "half of a surrogate pair"),
        ('{"\\udfff": 1}', "half of a surrogate pair"),
    ],
)
def test_what_is_refused(text, message):
    with pytest.raises(ValueError, match=message):
        parse_json(text)


def test_numbers_that_are_not_finite_where_they_are_expected():
    found = parse_json('{"loss": NaN, "best": -Infinity, "x": 1e400}', allow_nan=True)
    assert found["loss"] != found["loss"]
    assert (found["best"], found["x"]) == (float("-inf"), float("inf"))


def test_files(tmp_path):
    path = tmp_path / "x.json"
    with pytest.raises(FileNotFoundError):
        read_json(path)
    path.write_bytes(b'\xef\xbb\xbf{"a": 1}')
    assert read_json(path) == {"a": 1}
    path.write_bytes('{"a": "é"}'.encode("latin-1"))
    with pytest.raises(ValueError, match="not UTF-8: byte 0xe9 at position 7"):
        read_json(path)
    with path.open("wb") as stream:
        stream.truncate(17 * 2**20)
    with pytest.raises(ValueError, match="has 17825792 bytes, expected at most 16777216"):
        read_json(path)
    os.mkfifo(tmp_path / "pipe.json")
    with pytest.raises(ValueError, match="is a pipe or a device, expected a file"):
        read_json(tmp_path / "pipe.json")
