"""YAML -> Spec: every bad key at once, by its path in the file."""

from typing import Annotated, Literal

import pytest
from pydantic import Field

from utils.cli_utils import ConfigError
from utils.config_utils import Spec, UserPath, parse, to_mapping


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


def test_large_values_and_odd_keys_are_shown_short():
    with pytest.raises(ConfigError) as error:
        parse(house(pet={"name": "Cat", "lives": "9" * 1_000_000, "\x1b[31mred\n": 1, "k" * 5000: 1}), HouseSpec, "x")
    message = str(error.value)
    assert len(message) < 800
    assert "lives: Unable to parse input string as an integer" in message
    assert "pet.\\x1b[31mred\\n: unknown key" in message
    assert "(5000 characters): unknown key" in message
    assert "\x1b" not in message


def test_of_thousands_of_bad_keys_the_first_are_named():
    with pytest.raises(ConfigError) as error:
        parse(house(**{f"key{n}": n for n in range(20_000)}), HouseSpec, "x.yaml")
    lines = str(error.value).splitlines()
    assert (lines[0], lines[-1], len(lines)) == ("x.yaml: 20000 bad keys", "  and 19980 more", 22)
