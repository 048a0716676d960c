"""The commands of the three moves, with the `--conf` and `--set` of the command line that runs."""

from __future__ import annotations

import argparse
import contextlib
import functools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from tasks.base import RunSpec
from tasks.runs import DEFAULT_CONF, SYSTEMS, add_conf_arguments, read_run
from utils.cli_utils import Command, UserError, command_line
from utils.cli_utils import command as plain_command
from utils.cli_utils.repairs import Product, has_repairs, with_commands

Main = Callable[[Sequence[str] | None], int | None]


class Commands(NamedTuple):
    """Command lines for the same run.

    Attributes:
        conf: `--conf` and `--set`, as given; a default is not repeated.
        script_of: product -> the script that makes it.
    """

    conf: tuple[str, ...]
    script_of: Callable[[Product], str]

    @classmethod
    def of(cls, args: argparse.Namespace, script_of: Callable[[Product], str]) -> Commands:
        """Repeat what `load_run` has parsed.

        Args:
            args: the parsed arguments.
            script_of: of the run.
        """
        given = [] if args.conf.absolute() == DEFAULT_CONF.absolute() else ["--conf", str(args.conf)]
        return cls((*given, *(word for setting in args.set for word in ("--set", setting))), script_of)

    @classmethod
    def of_first_system(cls, conf: Sequence[str] = ()) -> Commands:
        """Commands for where no run can be read that would say which system it is of.

        Args:
            conf: `--conf` and `--set`.
        """
        return cls(tuple(conf), lambda product: SYSTEMS[0].scripts[product])

    def line(self, script: str, *arguments: str) -> str:
        """The command line that runs a script on the same run."""
        return command_line(script, *self.conf, *arguments)

    def made_by(self, script: str, *arguments: str) -> str:
        """The command line as a file notes it: without the settings of `ray:`, which change where it is made alone."""
        settings = zip(self.conf[::2], self.conf[1::2], strict=True)
        words = (word for name, value in settings if not value.startswith("ray.") for word in (name, value))
        return command_line(script, *words, *arguments)

    def following(self, run: RunSpec, after: str) -> str:
        """The command line that a user of a run types next.

        Args:
            run: the settings.
            after: the script that is done.
        """
        script = run.next_script(after)
        return self.line(script, *run.script_options.get(script, ()))

    def make(self, product: Product, options: Sequence[str] = ()) -> str:
        """The command line that makes a product of the same run."""
        return self.line(self.script_of(product), *options)

    @classmethod
    def of_file(cls, conf: Path, script_of: Callable[[Product], str]) -> Commands:
        """Commands for the run of a file, such as a trial's params.json.

        Args:
            conf: the file.
            script_of: of its run: another run's tables may be made by another script.
        """
        return cls(("--conf", str(conf)), script_of)

    def completed(self, text: str) -> str:
        """A text that was noted, such as why a trial has failed, with the commands of what has to be made."""
        return with_commands(text, self.make)

    @contextlib.contextmanager
    def completing(self) -> Iterator[None]:
        """The block whose errors name the commands that repair them."""
        try:
            yield
        except UserError as error:
            complete(error, lambda: self)
            raise


def complete(error: UserError, commands: Callable[[], Commands]) -> None:
    """Write the commands into the text of an error, where it says what has to be made."""
    if has_repairs(text := str(error)):
        error.args = (with_commands(text, commands().make), *error.args[1:])


def command(main: Main) -> Command:
    """Decorate a script's `main(argv)`: an error ends in one line that names the command that repairs it."""

    @plain_command
    @functools.wraps(main)
    def run(argv: Sequence[str] | None = None) -> int | None:
        try:
            return main(argv)
        except UserError as error:
            complete(error, lambda: _commands_of(argv))
            raise

    return run


def _commands_of(argv: Sequence[str] | None) -> Commands:
    """Read the run that a command line names, ignoring its other arguments, and return the commands for it."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    add_conf_arguments(parser)
    args, _ = parser.parse_known_args(argv)
    try:
        return Commands.of(args, read_run(args.conf, args.set).script_of)
    except UserError:  # the YAML itself is what is wrong
        return Commands.of_first_system(Commands.of(args, str).conf)
