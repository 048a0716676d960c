"""Change values in the text of a YAML file without losing its comments, as parsing and dumping would."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import yaml

from utils.cli_utils import ConfigError
from utils.config_utils.yaml_files import parse_yaml

_PLAIN = re.compile(r"[A-Za-z0-9_./~][\w./~ +@-]*")
_COMMENT = re.compile(r" *(?=#)")


def with_values(text: str, values: Mapping[str, Any]) -> str:
    """Set dotted keys in the text of a YAML; keys that are missing are added at the end of their section.

    Args:
        text: a mapping, as `parse_yaml` reads it.
        values: dotted key -> a plain value, which is written in flow style.
    Raises:
        ConfigError: a key reaches into a plain value.
    """
    for key, value in values.items():
        text = _with_value(text, key, value)
    return text


def without_outer_comments(text: str) -> str:
    """Remove the comments before the first key of a mapping and after its last value."""
    root = _mapping(_composed(text), "")
    return text[root.start_mark.index : _line_end(text, _last_index(root))] + "\n"


def _with_value(text: str, key: str, value: Any) -> str:
    node = _composed(text)
    parts = key.split(".")
    name = node
    for depth, part in enumerate(parts):
        section = _mapping(node, ".".join(parts[:depth]))
        found = next((pair for pair in section.value if pair[0].value == part), None)
        if found is None:
            for inner in reversed(parts[depth + 1 :]):
                value = {inner: value}
            return _with_new_key(text, section, part, value)
        name, node = found
    if isinstance(node, yaml.CollectionNode) and not node.flow_style:
        # `key:  # comment` and lines below it: the value goes behind the colon, the lines go
        colon, first, last = name.end_mark.index + 1, node.start_mark.index, _last_index(node)
        text = text[: _line_end(text, colon)] + text[_line_end(text, max(first, last)) :]
        return _replaced(text, colon, colon, f" {_written(value)}")
    return _replaced(text, node.start_mark.index, node.end_mark.index, _written(value))


def _with_new_key(text: str, section: yaml.MappingNode, key: str, value: Any) -> str:
    line = f"{key}: {_written(value)}"
    if section.flow_style:
        brace = section.end_mark.index - 1
        return f"{text[:brace]}{', ' if section.value else ''}{line}{text[brace:]}"
    end = _line_end(text, _last_index(section))
    return f"{text[:end]}\n{' ' * section.start_mark.column}{line}{text[end:]}"


def _replaced(text: str, start: int, end: int, new: str) -> str:
    """Replace text[start:end] by `new`; a comment after it stays in its column if the new value is short enough."""
    blanks = _COMMENT.match(text, end)
    if blanks is None:
        return text[:start] + new + text[end:]
    width = max(2, blanks.end() - start - len(new))
    return text[:start] + new + " " * width + text[blanks.end() :]


def _composed(text: str) -> yaml.Node:
    node: yaml.Node | None = yaml.compose(text, Loader=yaml.BaseLoader)
    if node is None:
        raise ConfigError("the file holds no keys")
    return node


def _mapping(node: yaml.Node, key: str) -> yaml.MappingNode:
    if not isinstance(node, yaml.MappingNode):
        raise ConfigError(f"{key or 'the file'}: holds a plain value, not a section")
    return node


def _last_index(node: yaml.Node) -> int:
    """Return where the last value of a node ends; PyYAML's end mark of a block is after the comments that follow it."""
    if isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        last = node.value[-1]
        return _last_index(last[1] if isinstance(last, tuple) else last)
    return int(node.end_mark.index)


def _line_end(text: str, index: int) -> int:
    end = text.find("\n", index)
    return len(text) if end < 0 else end


def _written(value: Any) -> str:
    """Write a plain value in flow style, with quotes only if they are needed."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_written(key)}: {_written(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_written, value)) + "]"
    # `no` is a text here, but false to readers of YAML 1.1
    if isinstance(value, str) and _PLAIN.fullmatch(value) and parse_yaml(value) == value == yaml.safe_load(value):
        return value
    return json.dumps(value, ensure_ascii=isinstance(value, str) and not value.isprintable())
