"""YAML read by the core schema of YAML 1.2, within bounds.

PyYAML reads YAML 1.1, where `1e-3` is a text, `010` is eight, `1:30` is ninety, `no` is false and `2023-05-01` a date.
The core schema knows null, true and false, decimal, 0o and 0x integers, and floats with or without a dot; the rest is
text, and the Specs say what a key takes.
"""

from __future__ import annotations

import re
from collections.abc import Hashable
from typing import Any, ClassVar

import yaml

from utils.config_utils.json_files import check_plain

# A file of settings has some hundred lines; pure Python reads this many bytes in some seconds.
MAX_YAML_BYTES = 256 * 2**10
_MAX_DEPTH = 64
_MAX_NODES = 200_000  # with every alias written out
_MAX_DIGITS = 20  # of a whole number: 64 bits
_TAG = "tag:yaml.org,2002:"

_INTEGER = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", re.ASCII)
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", re.ASCII)
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)", re.ASCII)
_BOOLEANS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}


def parse_yaml(text: str) -> Any:
    """Build the plain value that a YAML text holds; None where it holds nothing.

    Raises:
        ValueError: not YAML; a tag for anything but plain values; a key that is no text or occurs twice; a number
            beyond 64 bits; more than 64 levels; aliases that stand for more than 200,000 values.
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
    """Builds the plain values of the core schema, and refuses equal keys."""

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
                raise ValueError(f"line {line}: key {name[:80]!r} stands twice; keep one")
            seen.add(name)
        return super().construct_mapping(node, deep)


def _measure(node: yaml.Node, known: dict[int, tuple[int, int]]) -> tuple[int, int]:
    """Values below a node with every alias written out, and levels.

    An alias points back, so that its node is known by then, or still open: it holds itself.
    """
    if id(node) in known:
        nodes, levels = known[id(node)]
        if nodes == 0:
            raise ValueError(f"line {node.start_mark.line + 1}: an anchor that holds itself")
        return nodes, levels
    known[id(node)] = (0, 0)
    parts: list[yaml.Node] = []
    if isinstance(node, yaml.MappingNode):
        parts = [part for pair in node.value for part in pair]
    elif isinstance(node, yaml.SequenceNode):
        parts = node.value
    nodes, levels = 1, 1
    for part in parts:
        below, deep = _measure(part, known)
        nodes, levels = nodes + below, max(levels, deep + 1)
    if levels > _MAX_DEPTH:
        raise ValueError(f"nested more than {_MAX_DEPTH} levels deep")
    if nodes > _MAX_NODES:
        raise ValueError(f"its aliases stand for more than {_MAX_NODES} values; write out what is needed")
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
    """The text of a scalar; a tag such as !!int may have been put on any."""
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
