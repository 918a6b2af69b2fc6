"""The command line behind the nox sessions: `python -m launcher COMMAND`."""

import argparse
import errno
import gc
import importlib
import sys
from collections.abc import Sequence
from pathlib import Path

from launcher.commands.options import COMMANDS, Options, parse
from launcher.console import Console, Refused, UserError
from launcher.contract import EXIT_INTERRUPTED, EXIT_USER_ERROR

STORAGE_FAULTS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EACCES, errno.EROFS, errno.EIO)


def command_name(arguments: Sequence[str]) -> str:
    """Return the first argument, the command; print help or what is wrong and exit if it is none."""
    width = max(map(len, COMMANDS))
    parser = argparse.ArgumentParser(
        prog="python -m launcher",
        usage="%(prog)s COMMAND ...",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="\n".join(f"  {name:<{width}}  {each['help']}" for name, each in COMMANDS.items()),
    )
    parser.add_argument("command", choices=COMMANDS, metavar="COMMAND")
    return str(parser.parse_args(arguments[:1]).command)


def run(name: str, arguments: Sequence[str]) -> int:
    """Run a command in the project of the working folder; return its exit code."""
    console = Console()
    try:
        options, rest = parse(name, arguments)
        console = Console(options.quiet, options.verbose)
        return start(name, options, rest, console)
    except (UserError, Refused) as error:
        console.error(error)
    except OSError as error:
        if error.errno not in STORAGE_FAULTS:
            raise
        what = f"{error.filename or 'a file'} cannot be read or written ({error.strerror})"
        console.error(UserError(what, "free space, and permission", "make room, or permit it"))
    except KeyboardInterrupt:
        console.always("stopped")
        return EXIT_INTERRUPTED
    return EXIT_USER_ERROR


def start(name: str, options: Options, rest: list[str], console: Console) -> int:
    """Import a command and run it."""
    from launcher.commands.session import Session
    from launcher.project import Project
    from launcher.subprocesses import end_children_on_terminate, end_without_parent

    gc.set_threshold(1_000_000)  # of the objects that a check makes, hardly any is ever garbage
    end_children_on_terminate()
    end_without_parent()
    command = getattr(importlib.import_module(f"launcher.commands.{name}"), name)
    code = int(command(Session(Project(Path.cwd()), options, rest, console)))
    gc.freeze()  # nothing of it is freed at the end
    return code


def main(arguments: Sequence[str]) -> int:
    return run(command_name(arguments), arguments[1:])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
