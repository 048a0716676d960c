"""A YAML reader for the core schema of YAML 1.2, with limits, for untrusted files.

PyYAML implements YAML 1.1, where `1e-3` is a text, `010` is eight, `1:30` is ninety, `no` is false and `2023-05-01` a
date. The core schema has null, true and false, decimal, 0o and 0x integers, and floats with or without a dot;
everything else is text, and the Specs check the type of each key.
"""

from __future__ import annotations

import re
from collections.abc import Hashable
from typing import Any, ClassVar

import yaml

from utils.config_utils.json_files import check_plain

# A file of settings has a few hundred lines; PyYAML's pure Python reads this many bytes in seconds.
MAX_YAML_BYTES = 256 * 2**10
_MAX_DEPTH = 64
_MAX_NODES = 200_000  # after expanding aliases: ten lines of nested aliases can expand to billions of values
_MAX_DIGITS = 20  # of a whole number: 64 bits
_TAG = "tag:yaml.org,2002:"

_INTEGER = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", re.ASCII)
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", re.ASCII)
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)", re.ASCII)
_BOOLEANS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}


def parse_yaml(text: str) -> Any:
    """Parse a YAML text; None if it is empty.

    Raises:
        ValueError: not YAML; a tag other than those of plain values; a key that is not text, or a duplicate key; a
            number beyond 64 bits; more than 64 levels; aliases that expand to more than 200,000 values.
    """
    if len(text.encode("utf-8", "surrogatepass")) > MAX_YAML_BYTES:
        raise ValueError(f"more than {MAX_YAML_BYTES} bytes")
    try:
        loader = _CoreLoader(text)
        node = loader.get_single_node()
        if node is None:
            return None
        _measure(node, {})
        value = loader.construct_document(node)
    except RecursionError:
        raise ValueError(f"nested more than {_MAX_DEPTH} levels deep") from None
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).replace('in "<unicode string>", ', "").split())) from error
    check_plain(value)
    return value


class _CoreLoader(yaml.SafeLoader):
    """Builds the plain values of the core schema, and refuses duplicate keys, which PyYAML accepts."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 - filled below, as the constructors
    yaml_constructors: ClassVar[dict[str | None, Any]] = {}

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[str] = set()
        for key, _ in node.value if isinstance(node, yaml.MappingNode) else ():
            line = key.start_mark.line + 1
            if key.tag == f"{_TAG}merge":
                continue
            name = self.construct_object(key, deep=True) if isinstance(key, yaml.ScalarNode) else None
            if not isinstance(name, str):
                found = key.value[:80] if isinstance(key, yaml.ScalarNode) else "a list or a mapping"
                raise ValueError(f"line {line}: found the key {found}, expected text; put it in quotes")
            if name in seen:
                raise ValueError(f"line {line}: key {name[:80]!r} occurs twice; keep one")
            seen.add(name)
        return super().construct_mapping(node, deep)


def _measure(node: yaml.Node, known: dict[int, tuple[int, int]]) -> tuple[int, int]:
    """Count the values of a node after expanding aliases, and its levels.

    An alias refers to an earlier node: that is in `known` with its size, or, if the alias is inside of it, with 0.
    """
    if id(node) in known:
        nodes, levels = known[id(node)]
        if nodes == 0:
            raise ValueError(f"line {node.start_mark.line + 1}: an anchor that contains itself")
        return nodes, levels
    known[id(node)] = (0, 0)
    children: list[yaml.Node] = []
    if isinstance(node, yaml.MappingNode):
        children = [child for pair in node.value for child in pair]
    elif isinstance(node, yaml.SequenceNode):
        children = node.value
    nodes, levels = 1, 1
    for child in children:
        below, deep = _measure(child, known)
        nodes, levels = nodes + below, max(levels, deep + 1)
    if levels > _MAX_DEPTH:
        raise ValueError(f"nested more than {_MAX_DEPTH} levels deep")
    if nodes > _MAX_NODES:
        raise ValueError(f"its aliases expand to more than {_MAX_NODES} values; replace them by the values needed")
    known[id(node)] = (nodes, levels)
    return nodes, levels


def _null(loader: _CoreLoader, node: yaml.ScalarNode) -> None:
    loader.construct_scalar(node)


def _boolean(loader: _CoreLoader, node: yaml.ScalarNode) -> bool:
    return _BOOLEANS[_matched(loader, node, "true or false", _BOOLEANS.get)]


def _integer(loader: _CoreLoader, node: yaml.ScalarNode) -> int:
    text = _matched(loader, node, "a whole number", _INTEGER.fullmatch)
    if len(text.lstrip("-+")) > _MAX_DIGITS:
        line = node.start_mark.line + 1
        raise ValueError(f"line {line}: a whole number of {len(text)} digits, expected at most {_MAX_DIGITS}")
    return int(text, 0) if text.startswith(("0o", "0x")) else int(text)


def _float(loader: _CoreLoader, node: yaml.ScalarNode) -> float:
    text = _matched(loader, node, "a number", lambda t: _FLOAT.fullmatch(t) or _NOT_FINITE.fullmatch(t))
    return float(text.replace(".", "") if _NOT_FINITE.fullmatch(text) else text)


def _matched(loader: _CoreLoader, node: yaml.ScalarNode, expected: str, match: Any) -> str:
    """Return the text of a scalar, checked: a file may put a tag such as !!int before any text."""
    text = str(loader.construct_scalar(node))
    if match(text) is None:
        raise ValueError(f"line {node.start_mark.line + 1}: found {text[:80]!r}, expected {expected}")
    return text


for _name, _pattern, _first in (
    ("null", re.compile(r"~|null|Null|NULL|"), ["~", "n", "N", ""]),
    ("bool", re.compile("|".join(_BOOLEANS)), list("tTfF")),
    ("int", _INTEGER, list("-+0123456789")),
    ("float", re.compile(f"{_FLOAT.pattern}|{_NOT_FINITE.pattern}"), list("-+.0123456789")),
    ("merge", re.compile("<<"), ["<"]),
):
    _CoreLoader.add_implicit_resolver(f"{_TAG}{_name}", re.compile(f"^(?:{_pattern.pattern})\\Z", re.ASCII), _first)
for _name, _construct in (
    ("null", _null),
    ("bool", _boolean),
    ("int", _integer),
    ("float", _float),
    ("str", yaml.SafeLoader.construct_yaml_str),
    ("seq", yaml.SafeLoader.construct_yaml_seq),
    ("map", yaml.SafeLoader.construct_yaml_map),
):
    _CoreLoader.add_constructor(f"{_TAG}{_name}", _construct)
_CoreLoader.yaml_constructors[None] = yaml.SafeLoader.construct_undefined
