"""The command line behind the nox sessions: `python -m launcher COMMAND`."""

import argparse
import importlib
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from launcher.console import Console, Refused, UserError
from launcher.project import Project
from launcher.subprocesses import EXIT_INTERRUPTED, end_children_on_terminate

EXIT_USER_ERROR = 2


@dataclass(frozen=True)
class Command:
    """A command: what it does, and which options it takes."""

    text: str
    options: tuple[str, ...] = ()
    passes_on: str = ""
    """The module that gets the arguments which are no options of the command."""


COMMANDS = {
    "prepare": Command(
        "Prepare the table that job.toml names.",
        ("upload", "region", "bucket"),
        "trainer.prepare",
    ),
    "local_train": Command(
        "Run the job on this machine.",
        ("scale-tier", "region", "job-dir", "data-dir", "all-replicas", "preempt", "trial"),
        "trainer.task",
    ),
    "predict": Command("Predict rows with a trained model.", ("model", "input"), "trainer.predict"),
    "smoke": Command("Import the whole package and train one step.", (), "trainer.task"),
    "check": Command(
        "Find what would fail in the cloud.",
        ("scale-tier", "region", "bucket", "cloud"),
        "trainer.task",
    ),
    "tiers": Command("List the machines that a region offers.", ("region",)),
    "submit": Command(
        "Send the job to Google Cloud.",
        (
            "scale-tier",
            "region",
            "bucket",
            "dry-run",
            "gcloud",
            "wait",
            "again",
            "cancel",
            "list",
            "trial",
            "poll-seconds",
        ),
        "trainer.task",
    ),
    "tune": Command(
        "Run the study of job.toml.",
        (
            "local",
            "scale-tier",
            "region",
            "bucket",
            "trials",
            "parallel",
            "dry-run",
            "wait",
            "again",
            "cancel",
            "list",
            "poll-seconds",
        ),
        "trainer.task",
    ),
    "bucket": Command("Create the job's bucket.", ("region", "bucket", "dry-run")),
    "image": Command("Build an image of your own.", ("scale-tier", "region", "dry-run")),
}

OPTIONS: dict[str, dict[str, object]] = {
    "upload": {"action": "store_true", "help": "send the prepared data to the bucket"},
    "scale-tier": {"help": "the tier to run as, instead of job.toml's"},
    "region": {"help": "the region, instead of job.toml's"},
    "bucket": {"help": "the bucket, instead of job.toml's"},
    "job-dir": {"help": "where the run is written, instead of the next runs/NNNN"},
    "data-dir": {"help": "prepared data to train on, instead of job.toml's table"},
    "all-replicas": {"action": "store_true", "help": "run every replica of a large tier"},
    "preempt": {
        "type": float,
        "default": 0.0,
        "metavar": "SECONDS",
        "help": "kill a replica after so long, and go on as the service would",
    },
    "model": {"help": "a SavedModel, instead of the newest run's"},
    "input": {"help": "rows to predict, one JSON object a line"},
    "cloud": {"action": "store_true", "help": "look at the bucket too; needs credentials"},
    "dry-run": {"action": "store_true", "help": "print what would be sent, and send nothing"},
    "gcloud": {"action": "store_true", "help": "print the job as a file for gcloud instead"},
    "wait": {"action": "store_true", "help": "follow the job to its end"},
    "again": {"action": "store_true", "help": "send it even if the same job is running"},
    "cancel": {
        "nargs": "?",
        "const": "latest",
        "metavar": "ID",
        "help": "cancel a job, the last one if none is named",
    },
    "list": {"action": "store_true", "help": "list the jobs of the region"},
    "trial": {"help": "take the arguments of a trial of the newest study: best, or its number"},
    "local": {"action": "store_true", "help": "run the study on this machine"},
    "trials": {"type": int, "help": "how many trials, instead of job.toml's"},
    "parallel": {"type": int, "help": "how many trials at once, instead of job.toml's"},
    "poll-seconds": {"type": float, "default": 5.0, "help": argparse.SUPPRESS},
}


def parser() -> argparse.ArgumentParser:
    """Return the launcher's command line; what it does not know goes on to the package, if that takes any."""
    parser = argparse.ArgumentParser(prog="python -m launcher", allow_abbrev=False)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, command in COMMANDS.items():
        rest = f" Other arguments go to python -m {command.passes_on}." if command.passes_on else ""
        added = commands.add_parser(
            name,
            prog=f"nox -s {name} --",
            description=command.text + rest,
            allow_abbrev=False,
        )
        added.add_argument("-q", "--quiet", action="store_true", help="warnings and errors only")
        added.add_argument("-v", "--verbose", action="store_true", help="everything, installs too")
        for option in command.options:
            added.add_argument(f"--{option}", **OPTIONS[option])  # type: ignore[arg-type]
    return parser


def run(given: argparse.Namespace, rest: list[str], console: Console) -> int:
    """Run the command in the project of the working folder; return its exit code."""
    command = COMMANDS[given.command]
    if rest and not command.passes_on:
        raise UserError(
            f"unknown argument {rest[0]}",
            f"the options that nox -s {given.command} -- --help lists",
            "remove it",
        )
    function = getattr(importlib.import_module(f"launcher.commands.{given.command}"), given.command)
    return int(function(Project(Path.cwd()), given, rest, console))


def main(arguments: Sequence[str]) -> int:
    """Run one command; return the exit code."""
    end_children_on_terminate()
    given, rest = parser().parse_known_args(arguments)
    console = Console(quiet=given.quiet, verbose=given.verbose)
    try:
        return run(given, rest, console)
    except UserError as error:
        console.always(f"error: {error}")
    except Refused as refused:
        for finding in refused.findings:
            console.always(f"error: {finding}")
    except KeyboardInterrupt:
        console.always("stopped")
        return EXIT_INTERRUPTED
    return EXIT_USER_ERROR


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
