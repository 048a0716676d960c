"""docs/configuration.md names every key of every system's YAML, with its default, choices and bounds, and no other."""

import re
import types
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin

import pytest
import yaml
from annotated_types import Ge, Gt, Le, Lt
from pydantic import Field, TypeAdapter
from pydantic.fields import FieldInfo

from tasks.runs import SYSTEMS as RUNS
from tests.docs.tables import code, page, sections
from utils.config_utils import Spec

REQUIRED = "required"
_WIDEST_BOUND = 2**53  # of a seed: nobody reaches it, and no row names it


class Key(NamedTuple):
    """A key of the YAML, and of which network or preset (`name:`) it is."""

    path: str
    tag: str | None


class Row(NamedTuple):
    """What the page says of a key."""

    default: str
    choices: str
    meaning: str


def parts_of(annotation: Any) -> list[Any]:
    """The members of unions and annotations, and what lists, tuples and dicts hold."""
    if get_origin(annotation) in (Annotated, Union, types.UnionType, list, tuple, dict):
        return [part for one in get_args(annotation) for part in parts_of(one)]
    if isinstance(annotation, FieldInfo):  # inside of Annotated
        return list(annotation.metadata)
    return [annotation]


def sections_of(annotation: Any) -> list[type[Spec]]:
    return [part for part in parts_of(annotation) if isinstance(part, type) and issubclass(part, Spec)]


def literals_of(annotation: Any) -> list[str]:
    return [str(value) for part in parts_of(annotation) if get_origin(part) is Literal for value in get_args(part)]


def keys_of(spec: type[Spec], path: str = "") -> dict[Key, list[FieldInfo]]:
    """The keys of a Spec and of the Specs in it; `name` says which Spec it is, and is no key of its own."""
    named = literals_of(spec.model_fields["name"].annotation) if "name" in spec.model_fields else []
    tags = named or [None]
    found: dict[Key, list[FieldInfo]] = {}
    for name, field in spec.model_fields.items():
        at = f"{path}.{name}".lstrip(".")
        inner = sections_of(field.annotation)
        if get_origin(field.annotation) is dict:
            at += ".KEY"
        if (name != "name" or not named) and (not inner or (not field.is_required() and field.default is None)):
            found |= {Key(at, tag): [field] for tag in tags}
        for one in inner:
            merge(found, keys_of(one, at))
    return found


def merge(found: dict[Key, list[FieldInfo]], more: dict[Key, list[FieldInfo]]) -> None:
    for key, fields in more.items():
        found.setdefault(key, []).extend(fields)


def all_keys() -> dict[Key, list[FieldInfo]]:
    """Of all systems; the same key of several systems has several fields."""
    found: dict[Key, list[FieldInfo]] = {}
    for run in RUNS:
        merge(found, keys_of(run))
    return found


def documented() -> dict[Key, Row]:
    """A section that names networks, `model.audio_encoder`: `CNN14Encoder`, holds the keys of each of them."""
    rows: dict[Key, Row] = {}
    for section in sections(page("configuration.md")):
        tags = code(section.title)[1:] or [None]
        for cells in section.rows:
            for tag in tags:
                key = Key(code(cells[0])[0], tag)
                assert key not in rows, f"{key} occurs twice"
                rows[key] = Row(*cells[1:])
    return rows


KEYS, ROWS = all_keys(), documented()
SYSTEMS = [tag for run in RUNS for tag in literals_of(run.model_fields["task"].annotation)]
_BOUNDS = [(Ge, "ge"), (Gt, "gt"), (Le, "le"), (Lt, "lt")]


def plain_default(field: FieldInfo) -> Any:
    if field.is_required():
        return REQUIRED
    return TypeAdapter(Any).dump_python(field.get_default(call_default_factory=True), mode="json")


def shown_defaults(key: Key, cell: str) -> list[Any]:
    """What a cell says: of several values that of the key's own network, where it is named."""
    values = []
    for part in cell.split(";"):
        *names, value = [part.strip()] if part.strip() == REQUIRED else code(part)
        if key.tag in names:
            return [_value(value)]
        values.append((names, _value(value)))
    return [value for names, value in values if key.tag is None or not names or names[0] in SYSTEMS]


def _value(text: str) -> Any:
    return text if text == REQUIRED else yaml.safe_load(text)


def bounds_of(field: FieldInfo) -> list[float]:
    """The numbers that bound a field, or what it holds."""
    marks = [*field.metadata, *parts_of(field.annotation)]
    limits = [getattr(mark, name) for mark in marks for kind, name in _BOUNDS if isinstance(mark, kind)]
    return [float(limit) for limit in limits if abs(limit) < _WIDEST_BOUND]


def numbers_in(cell: str) -> set[float]:
    return {float(number) for number in re.findall(r"(?<![\w.])\d+(?:\.\d+)?(?:e-?\d+)?", cell)}


def test_every_key_is_documented_and_no_other():
    assert sorted(map(str, KEYS.keys() - ROWS.keys())) == [], "docs/configuration.md has no row for these"
    assert sorted(map(str, ROWS.keys() - KEYS.keys())) == [], "docs/configuration.md names what is no key"


@pytest.mark.parametrize("key", [key for key in KEYS if key in ROWS], ids=lambda key: f"{key.path} {key.tag or ''}")
def test_defaults_and_choices_are_those_of_the_code(key):
    row, fields = ROWS[key], KEYS[key]
    defaults = [plain_default(field) for field in fields]
    shown = shown_defaults(key, row.default)
    assert all(value in defaults for value in shown), f"{key}: the page says {shown}, the code {defaults}"
    assert all(value in shown for value in defaults), f"{key}: the page says {shown}, the code {defaults}"
    named = {*code(row.choices), *code(row.meaning)}
    for field in fields:
        assert set(literals_of(field.annotation)) <= named, f"{key}: choices {literals_of(field.annotation)}"
        assert set(bounds_of(field)) <= numbers_in(row.choices), f"{key}: bounds {bounds_of(field)}"
        if type(None) in parts_of(field.annotation):
            assert "null" in {*code(row.choices), *code(row.default)}
    assert len(row.meaning.split()) >= 2 or code(row.meaning), f"{key}: no explanation"


def test_every_name_has_a_section():
    """Also of a network or schedule that has no keys."""
    wanted = {Key(path, tag) for run in RUNS for path, tag in names_of(run)}
    titles = [code(section.title) for section in sections(page("configuration.md"))]
    assert wanted == {Key(title[0], tag) for title in titles for tag in title[1:]}


def names_of(spec: type[Spec], path: str = "") -> list[tuple[str, str]]:
    found = (
        [(path, tag) for tag in literals_of(spec.model_fields["name"].annotation)]
        if "name" in spec.model_fields
        else []
    )
    for name, field in spec.model_fields.items():
        for one in sections_of(field.annotation):
            found += names_of(one, f"{path}.{name}".lstrip("."))
    return found


class Inner(Spec):
    name: Literal["A", "B"]
    rate: float = Field(0.5, gt=0, le=3)


class Outer(Spec):
    inner: Inner
    maybe: Inner | None = None
    table: dict[str, int] = Field(default_factory=dict)
    widths: tuple[Annotated[int, Field(gt=1)], ...] = ()


def test_the_walk_by_hand():
    found = keys_of(Outer)
    names = {Key(f"{path}.rate", tag) for path in ("inner", "maybe") for tag in "AB"}
    assert found.keys() == names | {Key("maybe", None), Key("table.KEY", None), Key("widths", None)}
    assert bounds_of(found[Key("inner.rate", "A")][0]) == [0.0, 3.0]
    assert bounds_of(found[Key("widths", None)][0]) == [1.0]
    assert plain_default(found[Key("widths", None)][0]) == []


@pytest.mark.parametrize(
    ("tag", "cell", "values"),
    [
        (None, "`300`; `clap_projection`: `null`", [300, None]),
        ("Adam", "`0.0`; `AdamW`: `0.01`", [0.0]),
        ("AdamW", "`0.0`; `AdamW`: `0.01`", [0.01]),
        ("CLIPTextEncoder", "required; `CLIPTextEncoder`: `a/b`", ["a/b"]),
        ("TransformerTextEncoder", "required; `CLIPTextEncoder`: `a/b`", ["required"]),
    ],
)
def test_a_cell_with_several_defaults(tag, cell, values):
    assert shown_defaults(Key("x", tag), cell) == values
