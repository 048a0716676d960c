"""Values change in the text of a YAML; its comments and the other values stay."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.tiny import ROOT
from utils.cli_utils import ConfigError
from utils.config_utils import override, parse_yaml, set_key, with_values, without_outer_comments

TEXT = """\
name: demo                # of the run
data:
  root: a                 # only read
  splits: {train: x, val: y}  # folders
# of the loop
loop:                     # settings
  epochs: 5
  nested:                 # deep
    list:
      - 1
      - 2                 # two
    last: null
empty: {}
"""


@pytest.mark.parametrize(
    ("key", "value", "line"),
    [
        ("name", "mine", "name: mine                # of the run"),
        ("name", "a name", "name: a name              # of the run"),
        ("data.root", "/a/rather/long/path/to/clips", "  root: /a/rather/long/path/to/clips  # only read"),
        ("data.root", "1e3", '  root: "1e3"             # only read'),
        ("data.splits.val", "z", "  splits: {train: x, val: z}  # folders"),
        ("data.splits.eval", "z", "  splits: {train: x, val: y, eval: z}  # folders"),
        ("data.more", {"a": [0.5, None]}, "  more: {a: [0.5, null]}"),
        ("loop.epochs", 60, "  epochs: 60"),
        ("loop.nested", {}, "  nested: {}              # deep"),
        ("loop.nested.list", [3], "    list: [3]"),
        ("loop", {}, "loop: {}                  # settings"),
        ("empty.a.b", True, "empty: {a: {b: true}}"),
        ("new.key", "no", 'new: {key: "no"}'),
    ],
)
def test_one_value_changes_and_comments_stay(key, value, line):
    text = with_values(TEXT, {key: value})
    expected = parse_yaml(TEXT)
    set_key(expected, key, value)
    assert parse_yaml(text) == expected
    assert line in text.splitlines()
    removed = set(TEXT.splitlines()) - set(text.splitlines())
    assert {line for line in removed if line.startswith("#")} == set()


def test_outer_comments_go_and_inner_ones_stay():
    text = without_outer_comments(f"# first\n\n{TEXT}\n# --- another recipe\n# a: 1\n")
    assert text == TEXT


def test_every_value_of_conf_yaml_can_be_changed():
    text = without_outer_comments((ROOT / "conf.yaml").read_text(encoding="utf-8"))
    assert text.startswith("task: ")
    keys = [
        f"{a}.{b}" for a, inner in parse_yaml(text).items() if isinstance(inner, dict) for b in inner if "." not in b
    ]
    assert len(keys) > 30
    changed = with_values(text, dict.fromkeys(keys, 7))
    assert parse_yaml(changed) == override(parse_yaml(text), [f"{key}=7" for key in keys])
    assert {line for line in text.splitlines() if line.startswith("#")} <= set(changed.splitlines())


TEXTS = st.text(st.characters(max_codepoint=0xFFFF, exclude_categories=["Cs"]), max_size=9)
PLAIN = st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats(allow_nan=False, allow_infinity=False)


@settings(max_examples=50, deadline=None)
@given(
    st.recursive(
        PLAIN | TEXTS,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
        max_leaves=6,
    )
)
def test_what_is_written_is_read_again(value):
    text = with_values(TEXT, {"data.root": value})
    assert parse_yaml(text)["data"] == parse_yaml(TEXT)["data"] | {"root": value}


def test_a_key_within_a_plain_value_is_refused():
    with pytest.raises(ConfigError, match="name: holds a plain value, not a section"):
        with_values(TEXT, {"name.first": 1})
