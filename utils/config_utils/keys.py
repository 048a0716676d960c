"""Settings as plain mappings: read them from a file, and read or change values by dotted keys."""

from __future__ import annotations

import copy
import json
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from utils.cli_utils import ConfigError, short_repr, shortened
from utils.config_utils.json_files import read_json, read_text_file
from utils.config_utils.yaml_files import MAX_YAML_BYTES, parse_yaml

_MAX_SECTIONS = 32  # of a dotted key


def read_settings(path: Path) -> dict[str, Any]:
    """Read the mapping in a file: JSON where its name ends in .json, otherwise YAML.

    Raises:
        ConfigError: no such file, not in the format of its suffix, not a mapping, or beyond the limits of its reader.
    """
    if not path.exists():
        raise ConfigError(f"{path}: no such file; name a YAML file with --conf")
    kind = "JSON" if path.suffix.lower() == ".json" else "YAML"
    try:
        mapping = read_json(path) if kind == "JSON" else parse_yaml(read_text_file(path, MAX_YAML_BYTES))
    except ValueError as error:
        raise ConfigError(f"{path}: not valid {kind}: {shortened(str(error), 400)}") from error
    if not isinstance(mapping, dict):
        raise ConfigError(f"{path}: found {type(mapping).__name__}, expected keys and values")
    return mapping


def override(mapping: Mapping[str, Any], settings: Sequence[str]) -> dict[str, Any]:
    """Return a copy of `mapping` with each `dotted.key=value` of `settings` applied; values are YAML.

    Raises:
        ConfigError: a setting without `=`, or with a key inside a plain value.
    """
    result = copy.deepcopy(dict(mapping))
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals or not key:
            raise ConfigError(f"--set {shortened(setting)}: expected key=value, such as training.epochs=5")
        try:
            value = parse_yaml(text)
        except ValueError as error:
            reason = shortened(str(error), 400)
            quoted = f"; a text needs quotes of its own: {shlex.quote(f'{key}={json.dumps(text, ensure_ascii=False)}')}"
            raise ConfigError(f"--set {shortened(setting)}: the value is not YAML: {reason}{quoted}") from error
        set_key(result, key, value)
    return result


def settings_between(given: Mapping[str, Any], wanted: Mapping[str, Any], section: str = "") -> list[str]:
    """Return the arguments `--set key=value` that turn one mapping into another; sections with other keys are whole."""
    arguments: list[str] = []
    for key, value in wanted.items():
        old, path = given.get(key), f"{section}{key}"
        if isinstance(old, Mapping) and isinstance(value, Mapping) and old.keys() == value.keys():
            arguments += settings_between(old, value, f"{path}.")
        elif old != value:
            arguments += ["--set", f"{path}={json.dumps(value, ensure_ascii=False)}"]
    return arguments


def set_key(mapping: dict[str, Any], key: str, value: Any) -> None:
    """Set a dotted key in place, creating missing sections.

    Raises:
        ConfigError: a section of the key is a plain value, or it has more sections than any key.
    """
    *sections, last = key.split(".")
    if len(sections) > _MAX_SECTIONS:
        raise ConfigError(f"{shortened(key)}: unknown key; it has {len(sections) + 1} levels")
    for number, section in enumerate(sections):
        inner = mapping.get(section)
        if inner is None:
            inner = mapping[section] = {}
        if not isinstance(inner, dict):
            path = ".".join(sections[: number + 1])
            raise ConfigError(f"{shortened(key)}: '{path}' holds the value {short_repr(inner)}, not a section")
        mapping = inner
    mapping[last] = value


def value_at(mapping: Mapping[str, Any], key: str) -> Any:
    """Return the value of a dotted key.

    Raises:
        ConfigError: there is no such key, or one of its sections is a plain value or null.
    """
    value: Any = mapping
    for name in key.split("."):
        if not isinstance(value, Mapping) or name not in value:
            raise ConfigError(f"{shortened(key)}: unknown key; there is no '{shortened(name)}' in that section")
        value = value[name]
    return value
