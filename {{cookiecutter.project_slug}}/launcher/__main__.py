"""The command line behind the nox sessions: `python -m launcher COMMAND`."""

import argparse
import importlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from launcher.commands.options import Command
from launcher.console import Console, Refused, UserError
from launcher.contract import EXIT_INTERRUPTED, EXIT_USER_ERROR
from launcher.project import Project
from launcher.subprocesses import end_children_on_terminate

COMMANDS = (
    "prepare",
    "local_train",
    "predict",
    "smoke",
    "check",
    "tiers",
    "submit",
    "tune",
    "bucket",
    "image",
)
"""The modules of launcher.commands that are commands; only the one that is run is imported."""


def command_of(name: str) -> Command[Any]:
    module = importlib.import_module(f"launcher.commands.{name}")
    command: Command[Any] = module.COMMAND
    return command


def command_name(arguments: Sequence[str]) -> str:
    """Return the first argument, the command; print help or what is wrong and exit if it is none."""
    parser = argparse.ArgumentParser(
        prog="python -m launcher",
        usage="%(prog)s COMMAND ...",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=overview() if set(arguments[:1]) & {"-h", "--help"} else None,
    )
    parser.add_argument("command", choices=COMMANDS, metavar="COMMAND")
    return str(parser.parse_args(arguments[:1]).command)


def overview() -> str:
    width = max(map(len, COMMANDS))
    return "\n".join(f"  {name:<{width}}  {command_of(name).description}" for name in COMMANDS)


def run(name: str, arguments: Sequence[str]) -> int:
    """Run a command in the project of the working folder; return its exit code."""
    console = Console()
    try:
        command = command_of(name)
        options, rest = command.parse(name, arguments)
        console = Console(options.quiet, options.verbose)
        return command.run(Project(Path.cwd()), options, rest, console)
    except (UserError, Refused) as error:
        console.error(error)
    except KeyboardInterrupt:
        console.always("stopped")
        return EXIT_INTERRUPTED
    return EXIT_USER_ERROR


def main(arguments: Sequence[str]) -> int:
    end_children_on_terminate()
    return run(command_name(arguments), arguments[1:])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
