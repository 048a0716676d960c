"""The keys of other choices do not count, those of none do, and null is a default where it is no value."""

from typing import Annotated, Literal

from pydantic import Field

from utils.config_utils import Spec, keys_of_chosen


class A(Spec):
    name: Literal["A"]
    width: int = 1
    depth: int | None = None


class B(Spec):
    name: Literal["B"]
    rate: float | None = 0.5
    depth: int = 2


AB = Annotated[A | B, Field(discriminator="name")]


def test_keys_of_the_chosen_one():
    given = {"name": "B", "width": 3, "rate": None, "depth": None, "typo": 1}
    assert keys_of_chosen(given, AB) == {"name": "B", "rate": None, "typo": 1}
    assert keys_of_chosen(given | {"name": "A"}, AB) == {"name": "A", "width": 3, "depth": None, "typo": 1}


def test_what_names_no_choice_is_left_to_be_refused():
    for given in ({"name": "C", "width": 3}, {"width": 3}, "A", None):
        assert keys_of_chosen(given, AB) == given
