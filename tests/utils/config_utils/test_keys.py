"""Settings of files, and the dotted keys that change them."""

import os

import pytest

from utils.cli_utils import ConfigError
from utils.config_utils import override, read_settings, settings_between, value_at


def house(**changes):
    return {"rooms": 3, "pet": {"name": "Cat"}} | changes


def test_override_sets_dotted_keys_and_leaves_the_original_alone():
    mapping = house()
    changed = override(mapping, ["pet.lives=7", "rooms=5", "cellar=null"])
    assert changed == {"rooms": 5, "pet": {"name": "Cat", "lives": 7}, "cellar": None}
    assert mapping == house()


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("rooms", "expected key=value"),
        ("=3", "expected key=value"),
        ("rooms.kitchen=1", "'rooms' holds the value 3, not a section"),
        ("rooms=[1", "the value is not YAML"),
        ("pet.name={cat} says 'hi'", r"""a text needs quotes of its own: 'pet\.name="\{cat\} says '"'"'hi'"'"'"'"""),
    ],
)
def test_bad_overrides(setting, message):
    with pytest.raises(ConfigError, match=message):
        override(house(), [setting])


def test_the_settings_that_turn_one_mapping_into_another():
    given = {"a": 1, "b": {"c": 2, "d": None}, "e": {"name": "x", "k": 1}, "f": 0.5}
    wanted = {"a": 1, "b": {"c": 3, "d": None}, "e": {"name": "y {input}", "m": 1e-05}, "f": 0.25}
    words = settings_between(given, wanted)
    assert words[0::2] == ["--set"] * 3
    assert words[1::2] == ["b.c=3", 'e={"name": "y {input}", "m": 1e-05}', "f=0.25"]
    assert override(given, words[1::2]) == wanted
    assert settings_between(wanted, wanted) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: 2\na: 3\n", r"line 3: key 'a' occurs twice"),
        ("a: [1\n", "not valid YAML"),
        ("- 1\n- 2\n", "found list, expected keys and values"),
        ("", "found NoneType"),
        ("!!int ''", "line 1: found '', expected a whole number"),
        ("a: !!timestamp 2023-99-99", "could not determine a constructor for the tag"),
        ("a: \0", "not valid YAML: unacceptable character #x0000"),
        ("a: !!python/object/apply:os.system ['true']\n", "not valid YAML"),
    ],
)
def test_bad_files(tmp_path, text, message):
    path = tmp_path / "conf.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        read_settings(path)


def test_a_missing_file(tmp_path):
    with pytest.raises(ConfigError, match=r"none.yaml: no such file"):
        read_settings(tmp_path / "none.yaml")


def test_the_suffix_of_a_file_selects_its_reader(tmp_path):
    (tmp_path / "params.json").write_text('{"offset": 1e-10, "on": "1e-3"}')
    assert read_settings(tmp_path / "params.json") == {"offset": 1e-10, "on": "1e-3"}
    (tmp_path / "params.json").write_text("offset: 1e-10")
    with pytest.raises(ConfigError, match=r"params\.json: not valid JSON: Expecting value: line 1 column 1"):
        read_settings(tmp_path / "params.json")
    (tmp_path / "conf.yaml").write_text("offset: 1e-10")
    assert read_settings(tmp_path / "conf.yaml") == {"offset": 1e-10}


def test_what_is_no_plain_file_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.yaml")
    with pytest.raises(ConfigError, match=r"pipe\.yaml: not valid YAML: is a pipe or a device, expected a file"):
        read_settings(tmp_path / "pipe.yaml")
    with pytest.raises(ConfigError, match=r"is a folder, expected a file"):
        read_settings(tmp_path)
    with pytest.raises(ConfigError, match=r"/dev/zero: not valid YAML: is a pipe or a device"):
        read_settings(type(tmp_path)("/dev/zero"))


def test_large_files_and_other_encodings(tmp_path):
    path = tmp_path / "conf.yaml"
    path.write_text("".join(f"key{n}: {n}\n" for n in range(100_000)))
    with pytest.raises(ConfigError, match=r"conf\.yaml: not valid YAML: has 1577780 bytes, expected at most 262144"):
        read_settings(path)
    path.write_bytes(b"made: \xff\n")
    with pytest.raises(ConfigError, match=r"conf\.yaml: not valid YAML: not UTF-8: byte 0xff at position 6"):
        read_settings(path)
    path.write_text("\ufeffmade: 1\n", encoding="utf-8")
    assert read_settings(path) == {"made": 1}


def test_settings_are_shown_short_where_they_are_wrong():
    with pytest.raises(ConfigError, match=r"^--set rooms=\[{194}\.\.\. \(2006 characters\): the value is not YAML"):
        override(house(), ["rooms=" + "[" * 2000])
    with pytest.raises(ConfigError, match=r"rooms=!!int '': the value is not YAML: line 1: found '', expected a whole"):
        override(house(), ["rooms=!!int ''"])
    with pytest.raises(ConfigError, match=r"unknown key; it has 101 levels"):
        override(house(), ["a" + ".a" * 100 + "=1"])


def test_the_value_of_a_dotted_key():
    assert value_at(house(), "pet.name") == "Cat"
    for key in ("pet.age", "roof.colour", "rooms.kitchen", "pet.name.first"):
        with pytest.raises(ConfigError, match=rf"{key}: unknown key"):
            value_at(house(), key)
    with pytest.raises(ConfigError, match=r"pet\.name: unknown key; there is no 'name' in that section"):
        value_at(house(pet=None), "pet.name")
