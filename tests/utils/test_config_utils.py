"""YAML -> Spec: every bad key at once, by its path in the file."""

from typing import Annotated, Literal

import pytest
from pydantic import Field

from utils.cli_utils import ConfigError
from utils.config_utils import Spec, UserPath, override, parse, read_yaml, to_mapping


class CatSpec(Spec):
    name: Literal["Cat"]
    lives: int = Field(9, gt=0)


class DogSpec(Spec):
    name: Literal["Dog"]
    barks: bool = True


class HouseSpec(Spec):
    rooms: int = Field(gt=0)
    pet: Annotated[CatSpec | DogSpec, Field(discriminator="name")]
    cellar: UserPath | None = None


def house(**changes):
    return {"rooms": 3, "pet": {"name": "Cat"}} | changes


def test_the_tag_of_a_union_is_not_part_of_the_path():
    with pytest.raises(
        ConfigError, match=r"^conf.yaml: 1 bad key\n  pet\.lives: Input should be greater than 0 \(got 0\)$"
    ):
        parse(house(pet={"name": "Cat", "lives": 0}), HouseSpec, "conf.yaml")


def test_all_bad_keys_are_reported_at_once():
    with pytest.raises(ConfigError) as error:
        parse({"rooms": -1, "pet": {"name": "Dog", "barsk": True}, "roof": 1}, HouseSpec, "conf.yaml")
    assert str(error.value).splitlines() == [
        "conf.yaml: 3 bad keys",
        "  rooms: Input should be greater than 0 (got -1)",
        "  pet.barsk: unknown key; did you mean 'barks'?",
        "  roof: unknown key; did you mean 'rooms'?",
    ]


def test_an_unknown_name_lists_the_choices():
    with pytest.raises(ConfigError, match=r"pet\.name: unknown name 'Bird'; choices: 'Cat', 'Dog'"):
        parse(house(pet={"name": "Bird"}), HouseSpec, "conf.yaml")


def test_a_missing_key_and_a_missing_name():
    with pytest.raises(ConfigError, match=r"rooms: missing"):
        parse({"pet": {"name": "Cat"}}, HouseSpec, "conf.yaml")
    with pytest.raises(ConfigError, match=r"pet: has no 'name'"):
        parse(house(pet={"lives": 3}), HouseSpec, "conf.yaml")


def test_values_round_trip_and_home_is_expanded(monkeypatch):
    monkeypatch.setenv("HOME", "/home/someone")
    spec = parse(house(cellar="~/cellar"), HouseSpec, "conf.yaml")
    assert str(spec.cellar) == "/home/someone/cellar"
    assert parse(to_mapping(spec), HouseSpec, "params.json") == spec


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
    ],
)
def test_bad_overrides(setting, message):
    with pytest.raises(ConfigError, match=message):
        override(house(), [setting])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: 2\na: 3\n", r"line 3: key 'a' stands twice"),
        ("a: [1\n", "not valid YAML"),
        ("- 1\n- 2\n", "found list, expected keys and values"),
        ("", "found NoneType"),
        ("a: !!python/object/apply:os.system ['true']\n", "not valid YAML"),
    ],
)
def test_bad_files(tmp_path, text, message):
    path = tmp_path / "conf.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        read_yaml(path)


def test_a_missing_file(tmp_path):
    with pytest.raises(ConfigError, match=r"none.yaml: no such file"):
        read_yaml(tmp_path / "none.yaml")


def test_exponents_without_a_dot_are_numbers():
    class Rate(Spec):
        lr: float

    assert parse(override({}, ["lr=1e-3"]), Rate, "--set").lr == 1e-3


def test_values_that_yaml_itself_cannot_build(tmp_path):
    with pytest.raises(ConfigError, match=r"--set rooms=2023-99-99: the value is not YAML"):
        override(house(), ["rooms=2023-99-99"])
    (tmp_path / "conf.yaml").write_text("made: 2023-99-99\n")
    with pytest.raises(ConfigError, match=r"conf\.yaml: not valid YAML: month must be in 1\.\.12"):
        read_yaml(tmp_path / "conf.yaml")
    (tmp_path / "conf.yaml").write_bytes(b"made: \xff\n")
    with pytest.raises(ConfigError, match=r"conf\.yaml: not valid YAML"):
        read_yaml(tmp_path / "conf.yaml")
