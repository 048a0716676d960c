"""What every command shares: errors in one line, exit codes, and the next command to run."""

from utils.cli_utils.checks import check_free_disk, existing_folder, positive
from utils.cli_utils.command import Command, command
from utils.cli_utils.errors import ArtefactError, ConfigError, UserError, disk_error_reason
from utils.cli_utils.repeating import command_for, python, remember_conf, remembered_conf
from utils.cli_utils.texts import short_repr, shortened

__all__ = [
    "ArtefactError",
    "Command",
    "ConfigError",
    "UserError",
    "check_free_disk",
    "command",
    "command_for",
    "disk_error_reason",
    "existing_folder",
    "positive",
    "python",
    "remember_conf",
    "remembered_conf",
    "short_repr",
    "shortened",
]
