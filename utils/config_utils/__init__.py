"""YAML -> checked run: the only reader of conf.yaml, of a trial's params.json, and of any other JSON."""

from utils.config_utils.json_files import parse_json, read_json
from utils.config_utils.keys import override, read_settings, set_key, value_at
from utils.config_utils.specs import Spec, UserPath, parse, to_mapping

__all__ = [
    "Spec",
    "UserPath",
    "override",
    "parse",
    "parse_json",
    "read_json",
    "read_settings",
    "set_key",
    "to_mapping",
    "value_at",
]
