"""Specs: the schema of each section of the YAML, and the parser that checks a mapping against it.

All bad keys are reported at once, with their path in the file.
"""

from __future__ import annotations

import difflib
import re
import types
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, TypeAdapter, ValidationError

from utils.cli_utils import ConfigError, printable, short_repr, shortened

T = TypeVar("T")

_MAX_LINES = 20  # bad keys to report; a file of another program may have thousands

_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")


def _no_address(value: Any) -> Any:
    """Refuse s3://bucket, which as a path would create a folder `s3:`."""
    if isinstance(value, str) and _ADDRESS.match(value):
        raise ValueError("expected a path on this machine or a shared disk, found an address")
    return value


# A path from the YAML; `~` is the user's home.
UserPath = Annotated[Path, BeforeValidator(_no_address), AfterValidator(Path.expanduser)]


class Spec(BaseModel):
    """Base class of the sections of the YAML: unknown keys are refused, values cannot be changed."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def parse(mapping: Mapping[str, Any], spec: type[T] | Any, source: str) -> T:
    """Check `mapping` against a Spec (or a union of Specs), and build it.

    Args:
        mapping: the content of the YAML.
        spec: the Spec class, or an annotated union of Specs.
        source: the file's name, for messages.
    Raises:
        ConfigError: all bad keys, one a line.
    """
    try:
        result: T = TypeAdapter(spec).validate_python(mapping)
    except ValidationError as error:
        problems = _folded(error.errors())
        lines = [_describe(problem, mapping, spec) for problem in problems[:_MAX_LINES]]
        if len(problems) > _MAX_LINES:
            lines.append(f"and {len(problems) - _MAX_LINES} more")
        count = f"{len(problems)} bad key" + ("s" if len(problems) > 1 else "")
        raise ConfigError("\n  ".join([f"{printable(source)}: {count}", *lines])) from None
    return result


def to_mapping(spec: Spec) -> dict[str, Any]:
    """Convert a Spec to plain values for YAML or JSON; `parse` is the inverse."""
    return spec.model_dump(mode="json")


def _folded(problems: Iterable[Any]) -> list[Mapping[str, Any]]:
    """One error where a key takes a number or a word such as `auto`: pydantic gives one of either."""
    problems = list(problems)
    words = {p["loc"][:-1]: p["ctx"]["expected"] for p in problems if str(p["loc"][-1:]).startswith('("literal[')}
    folded: list[Mapping[str, Any]] = []
    for problem in problems:
        key = problem["loc"][:-1]
        if key not in words:
            folded.append(problem)
        elif problem["type"] != "literal_error":
            folded.append({**problem, "loc": key, "msg": f"{problem['msg']}, or {words[key]}"})
    return folded


def _describe(problem: Mapping[str, Any], mapping: Mapping[str, Any], spec: Any) -> str:
    """Describe one of pydantic's errors in one line: path in the file, what is wrong, and the value."""
    path, known = _locate(problem["loc"], mapping, spec)
    path = [shortened(printable(name), 80) for name in path]
    if not path and problem["type"] == "value_error":  # from a validator of several keys, whose message names them
        return shortened(problem["msg"].removeprefix("Value error, "), 400)
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
        return f"{at}: unknown name {short_repr(context['tag'])}; choices: {context['expected_tags']}"
    if problem["type"] == "union_tag_not_found":
        return f"{key}: has no {problem['ctx']['discriminator']}; this key is required"
    return f"{key}: {shortened(problem['msg'].removeprefix('Value error, '), 400)} (got {short_repr(problem['input'])})"


def _locate(loc: Iterable[int | str], mapping: Any, spec: Any) -> tuple[list[str], list[str]]:
    """Return the path of an error in the file, and the known keys of its section.

    pydantic puts the tag of a union (`CNN14Encoder`) into the path, which is not a key of the file.
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
    """Return the Spec classes in an annotation: itself, or the members of a union."""
    if isinstance(annotation, type) and issubclass(annotation, Spec):
        return [annotation]
    if get_origin(annotation) in (Annotated, Union, types.UnionType):
        return [c for argument in get_args(annotation) for c in _spec_classes(argument)]
    return []


def _tags(spec: type[Spec]) -> set[str]:
    """Return the tags of a Spec in unions: the Literals of its fields `name` and `task`."""
    fields = [spec.model_fields[key] for key in ("name", "task") if key in spec.model_fields]
    return {str(value) for field in fields for value in get_args(field.annotation)}


def _item_type(annotation: Any) -> Any:
    """Return the annotation of the items of a list, or of the values of a dict."""
    arguments = get_args(annotation)
    return arguments[-1] if arguments else None
