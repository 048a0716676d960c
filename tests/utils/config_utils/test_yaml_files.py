"""YAML by the core schema of 1.2, within bounds."""

import math

import pytest
import yaml

from utils.config_utils.yaml_files import parse_yaml


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001),
        ("1E5", 100_000.0),
        ("-1e-10", -1e-10),
        ("1.0e-3", 0.001),
        (".5", 0.5),
        ("5.", 5.0),
        ("+7", 7),
        ("010", 10),
        ("0o17", 15),
        ("0x1F", 31),
        ("true", True),
        ("FALSE", False),
        ("~", None),
        ("null", None),
        ("", None),
        ("-.inf", -math.inf),
        # texts, that YAML 1.1 reads as other things
        ("yes", "yes"),
        ("off", "off"),
        ("1:30", "1:30"),
        ("1_000", "1_000"),
        ("2023-99-99", "2023-99-99"),
        ("=", "="),
        ("1e", "1e"),
        ("'1e-3'", "1e-3"),
        ("!!str 5", "5"),
        ("!!float 5", 5.0),
    ],
)
def test_scalars(text, value):
    (found,) = parse_yaml(f"- {text}")
    assert found == value
    assert type(found) is type(value)


def test_what_the_dumper_writes_is_read_back():
    """Numbers of every size, and texts that are no numbers in either version."""
    value = {"lr": [1e-10, 1e22, 1.5, -0.0, 3], "name": "a: 'b'\n#", "on": [True, False, None], "é": {"x": []}}
    assert parse_yaml(yaml.safe_dump(value, allow_unicode=True)) == value


def test_anchors_and_merge_keys():
    assert parse_yaml("a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}\nc: *a\n") == {
        "a": {"x": 1, "y": 2},
        "b": {"x": 1, "y": 3},
        "c": {"x": 1, "y": 2},
    }


LAUGHS = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{new}: &{new} [{', '.join([f'*{old}'] * 9)}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (LAUGHS, "its aliases expand to more than 200000 values"),
        (LAUGHS.replace("[x, x, x, x, x, x, x, x, x]", "{x: 1}").replace("[", "{<<: [").replace("]", "]}"), "aliases"),
        ("a: &a [*a]", "line 1: an anchor that contains itself"),
        ("&a {x: {y: *a}}", "line 1: an anchor that contains itself"),
        ("[" * 2000, "nested more than 64 levels deep"),
        ("- " * 2000, "nested more than 64 levels deep"),
        ("[" * 70 + "]" * 70, "nested more than 64 levels deep"),
        ("a: 1" + "0" * 400, "line 1: a whole number of 401 digits, expected at most 20"),
        ("1: one", "line 1: found the key 1, expected text; put it in quotes"),
        ("a: {~: one}", "line 1: found the key ~, expected text"),
        ("[a, b]: one", "found the key a list or a mapping, expected text"),
        ("!!bool maybe", "line 1: found 'maybe', expected true or false"),
        ("!!float 1:30", "line 1: found '1:30', expected a number"),
        ("!!set {a}", "could not determine a constructor for the tag"),
        ("!!binary aGk=", "could not determine a constructor for the tag"),
        ("!!map [1]", "expected a mapping node, but found sequence"),
        ("!!int {a: 1}", "expected a scalar node, but found mapping"),
        ("<<: 5", "expected a mapping or list of mappings for merging"),
        ("a: 1\n---\nb: 2", "expected a single document"),
        ("*a", "found undefined alias"),
        ('"\\ud800"', "half of a surrogate pair"),
        ("a: 1\n" * 60_000, "more than 262144 bytes"),
    ],
)
def test_what_is_refused(text, message):
    with pytest.raises(ValueError, match=message) as error:
        parse_yaml(text)
    assert "\n" not in str(error.value)


def test_keys_are_compared_in_linear_time():
    """Comparing each with all before it takes 10^8 comparisons here."""
    keys = {f"k{number}": None for number in range(15_000)}
    assert parse_yaml("{" + ",".join(keys) + "}") == keys
