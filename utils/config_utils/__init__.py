"""Settings: read YAML and JSON (conf.yaml, a trial's params.json), and check them against Specs."""

from utils.config_utils.choices import keys_of_chosen
from utils.config_utils.json_files import parse_json, read_json
from utils.config_utils.keys import override, read_settings, set_key, settings_between, value_at
from utils.config_utils.specs import Spec, UserPath, parse, to_mapping
from utils.config_utils.yaml_edits import with_values, without_outer_comments
from utils.config_utils.yaml_files import parse_yaml

__all__ = [
    "Spec",
    "UserPath",
    "keys_of_chosen",
    "override",
    "parse",
    "parse_json",
    "parse_yaml",
    "read_json",
    "read_settings",
    "set_key",
    "settings_between",
    "to_mapping",
    "value_at",
    "with_values",
    "without_outer_comments",
]
