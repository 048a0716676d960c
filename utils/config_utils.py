"""YAML -> checked run: the only reader of conf.yaml and of a trial's params.json.

Every section of the YAML is a `Spec`: closed, frozen, with its ranges in the fields. All bad keys are
reported at once, by their path as written in the file.
"""

from __future__ import annotations

import copy
import difflib
import types
from collections.abc import Hashable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, TypeAdapter, ValidationError

from utils.cli_utils import ConfigError

T = TypeVar("T")

# A path from the YAML; `~` is the user's home.
UserPath = Annotated[Path, AfterValidator(Path.expanduser)]


class Spec(BaseModel):
    """Base of every section of the YAML: unknown keys are refused, values cannot change."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class _UniqueKeyLoader(yaml.SafeLoader):
    """PyYAML keeps the last of two equal keys without a word; this loader refuses them."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for number, key in enumerate(keys):
            if key in keys[:number] and key != "<<":
                line = node.value[number][0].start_mark.line + 1
                raise ConfigError(f"{self.name}: line {line}: key '{key}' stands twice; keep one")
        return super().construct_mapping(node, deep)


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a YAML (or JSON) file.

    Raises:
        ConfigError: no such file, not YAML, not a mapping, or a key that stands twice.
    """
    if not path.is_file():
        raise ConfigError(f"{path}: no such file; name a YAML file with --conf")
    with path.open(encoding="utf-8") as stream:
        try:
            mapping = yaml.load(stream, _UniqueKeyLoader)  # a SafeLoader: builds plain values only
        except (yaml.YAMLError, ValueError) as error:  # ValueError: not UTF-8, or a date such as 2023-99-99
            raise ConfigError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(mapping, dict):
        raise ConfigError(f"{path}: found {type(mapping).__name__}, expected keys and values")
    return mapping


def override(mapping: Mapping[str, Any], settings: Sequence[str]) -> dict[str, Any]:
    """A copy of `mapping` with each `dotted.key=value` of `settings` applied; values are YAML.

    Raises:
        ConfigError: a setting without `=`, or one that reaches into a plain value.
    """
    result = copy.deepcopy(dict(mapping))
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals or not key:
            raise ConfigError(f"--set {setting}: expected key=value, such as training.epochs=5")
        try:
            value = yaml.safe_load(text)
        except (yaml.YAMLError, ValueError) as error:
            raise ConfigError(f"--set {setting}: the value is not YAML") from error
        set_key(result, key, value)
    return result


def set_key(mapping: dict[str, Any], key: str, value: Any) -> None:
    """Set a dotted key in place, making the sections on the way.

    Raises:
        ConfigError: a part of the key names a plain value, not a section.
    """
    *sections, last = key.split(".")
    for number, section in enumerate(sections):
        inner = mapping.get(section)
        if inner is None:
            inner = mapping[section] = {}
        if not isinstance(inner, dict):
            path = ".".join(sections[: number + 1])
            raise ConfigError(f"{key}: '{path}' holds the value {inner!r}, not a section")
        mapping = inner
    mapping[last] = value


def value_at(mapping: Mapping[str, Any], key: str) -> Any:
    """The value of a dotted key."""
    value: Any = mapping
    for part in key.split("."):
        value = value[part]
    return value


def parse(mapping: Mapping[str, Any], spec: type[T] | Any, source: str) -> T:
    """Check `mapping` against a Spec (or a union of Specs).

    Args:
        mapping: what the YAML holds.
        spec: the Spec class, or an annotated union of Specs.
        source: the file's name, for messages.
    Returns:
        The Spec, built.
    Raises:
        ConfigError: bad keys, all of them, one a line.
    """
    try:
        result: T = TypeAdapter(spec).validate_python(mapping)
    except ValidationError as error:
        lines = [_describe(problem, mapping, spec) for problem in error.errors()]
        count = f"{len(lines)} bad key" + ("s" if len(lines) > 1 else "")
        raise ConfigError("\n  ".join([f"{source}: {count}", *lines])) from None
    return result


def to_mapping(spec: Spec) -> dict[str, Any]:
    """The Spec as plain values, as YAML and JSON can hold them; `parse` reads it back."""
    return spec.model_dump(mode="json")


def _describe(problem: Mapping[str, Any], mapping: Mapping[str, Any], spec: Any) -> str:
    """One line for one of pydantic's errors: path as in the file, what is wrong, what was found."""
    path, known = _locate(problem["loc"], mapping, spec)
    key = ".".join(path) or "(the whole file)"
    if problem["type"] == "extra_forbidden":
        close = difflib.get_close_matches(path[-1], known, n=1)
        hint = f"did you mean '{close[0]}'?" if close else f"known keys: {', '.join(known)}"
        return f"{key}: unknown key; {hint}"
    if problem["type"] == "missing":
        return f"{key}: missing; this key is required"
    if problem["type"] == "union_tag_invalid":
        context = problem["ctx"]
        tag = context["discriminator"].strip("'")
        at = ".".join([*path, tag])
        return f"{at}: unknown name {context['tag']!r}; choices: {context['expected_tags']}"
    if problem["type"] == "union_tag_not_found":
        return f"{key}: has no {problem['ctx']['discriminator']}; it says which kind this is"
    return f"{key}: {problem['msg'].removeprefix('Value error, ')} (got {problem['input']!r})"


def _locate(loc: Iterable[int | str], mapping: Any, spec: Any) -> tuple[list[str], list[str]]:
    """Path of an error as the file spells it, and the keys known at its section.

    pydantic puts the tag of a union (`CNN14Encoder`) into the path; the file has no such key.
    """
    path: list[str] = []
    known: list[str] = []
    for part in loc:
        options = _spec_classes(spec)
        tagged = [o for o in options if part in _tags(o)]
        if tagged and not (isinstance(mapping, Mapping) and part in mapping):
            spec = tagged[0]
            continue
        if isinstance(mapping, Mapping) and len(options) > 1:
            options = [o for o in options if _tags(o) & {str(v) for v in mapping.values()}]
        fields = {name: f for o in options for name, f in o.model_fields.items()}
        known = list(fields)
        path.append(str(part))
        spec = fields[part].annotation if part in fields else _item_type(spec)
        mapping = mapping.get(part) if isinstance(mapping, Mapping) else None
    return path, known


def _spec_classes(annotation: Any) -> list[type[Spec]]:
    """The Spec classes inside an annotation: itself, or the members of a union."""
    if isinstance(annotation, type) and issubclass(annotation, Spec):
        return [annotation]
    if get_origin(annotation) in (Annotated, Union, types.UnionType):
        return [c for argument in get_args(annotation) for c in _spec_classes(argument)]
    return []


def _tags(spec: type[Spec]) -> set[str]:
    """The values that a union may know this Spec by: the Literals of `name` and `task`."""
    fields = [spec.model_fields[key] for key in ("name", "task") if key in spec.model_fields]
    return {str(value) for field in fields for value in get_args(field.annotation)}


def _item_type(annotation: Any) -> Any:
    """What a list or a dict holds."""
    arguments = get_args(annotation)
    return arguments[-1] if arguments else None
