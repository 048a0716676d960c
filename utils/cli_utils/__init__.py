"""What every command shares: errors in one line, exit codes, and the next command to run."""

from utils.cli_utils.checks import check_free_disk, existing_folder, positive, whole
from utils.cli_utils.command import Command, command
from utils.cli_utils.errors import ArtefactError, ConfigError, UserError, disk_error_reason, machine_error_reason
from utils.cli_utils.repeating import command_line, python
from utils.cli_utils.streams import behind
from utils.cli_utils.texts import printable, shell_join, short_repr, shortened, showable

__all__ = [
    "ArtefactError",
    "Command",
    "ConfigError",
    "UserError",
    "behind",
    "check_free_disk",
    "command",
    "command_line",
    "disk_error_reason",
    "existing_folder",
    "machine_error_reason",
    "positive",
    "printable",
    "python",
    "shell_join",
    "short_repr",
    "shortened",
    "showable",
    "whole",
]
