"""The command line of each command, as commands.json lists it.

It imports little, so that `--help` does not wait for what the commands import.
"""

import argparse
import importlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from launcher.console import UserError
from launcher.contract import ARGUMENTS_MODULE, TASK_MODULE

TABLES: dict[str, dict[str, Any]] = json.loads(
    Path(__file__).with_name("commands.json").read_text(encoding="utf-8")
)
COMMANDS, OPTIONS = TABLES["commands"], TABLES["options"]
TYPES = {"int": int, "float": float}
ACTIONS = {"list", "cancel", "fetch", "promote", "rollback", "undeploy"}
BESIDE_ACTIONS = {"quiet", "verbose", "scale_tier", "region", "bucket", "poll_seconds", "yes"}


@dataclass(frozen=True)
class Options:
    """The values of all options; those that a command does not have keep their defaults."""

    quiet: bool = False
    verbose: bool = False
    scale_tier: str | None = None
    region: str | None = None
    bucket: str | None = None
    trial: str | None = None
    dry_run: bool = False
    engine: str | None = None
    upload: bool = False
    job_dir: str | None = None
    data_dir: str | None = None
    like: str | None = None
    all_replicas: bool = False
    preempt: float = 0.0
    run: str | None = None
    pair: Sequence[str] = ()
    sort: str = "run"
    folds: int = 5
    json: bool = False
    model: str | None = None
    url: str | None = None
    input: str | None = None
    cloud: bool = False
    wait: bool = False
    again: bool = False
    cancel: str | None = None
    list: bool = False
    poll_seconds: float = 5.0
    gcloud: bool = False
    fetch: str | None = None
    serving: bool = False
    register_only: bool = False
    traffic: int | None = None
    promote: bool = False
    rollback: bool = False
    undeploy: str | None = None
    yes: bool = False
    local: bool = False
    trials: int | None = None
    parallel: int | None = None


def parse(name: str, arguments: Sequence[str]) -> tuple[Options, list[str]]:
    """Return a command's options and the other arguments; raise `UserError` where there must be none."""
    command = COMMANDS[name]
    rest_to, flags = (command.get(key, "") for key in ("rest_to", "rest_flags"))
    rest_text = f"\nOther arguments go to python -m {rest_to}{flags}." if rest_to else ""
    asks_help = bool({"-h", "--help"} & {*arguments})
    parser = argparse.ArgumentParser(
        prog=f"nox -s {name} --",
        description=command["help"] + rest_text,
        epilog=trainer_flags() if asks_help and rest_to == TASK_MODULE else "",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    for option in (*TABLES["common_options"], *command["options"]):
        add_option(parser, option, **OPTIONS[option])
    options, rest = parser.parse_known_args(arguments)
    if rest and not rest_to:
        expected = f"the options that nox -s {name} -- --help lists"
        raise UserError(f"unknown argument {rest[0]}", expected, "remove it")
    given = {flag_of(k): k for k, value in vars(options).items() if value != getattr(Options, k)}
    if empty := [flag for flag, option in given.items() if getattr(options, option) == ""]:
        raise UserError(f"{empty[0]} is empty", "a value", "give it one, or leave it out")
    others = [flag for flag, option in given.items() if option not in BESIDE_ACTIONS] + rest
    for action in (flag for flag, option in given.items() if option in ACTIONS):
        for other in (each for each in others if each != action):
            fix = f"leave out {action}, or {other}"
            raise UserError(f"{other} beside {action}", f"{action} by itself", fix)
    return Options(**vars(options)), rest


def flag_of(option: str) -> str:
    return f"--{option.replace('_', '-')}"


def add_option(
    parser: argparse.ArgumentParser,
    name: str,
    short: str = "",
    type: str = "",
    positional: bool = False,
    **settings: Any,
) -> None:
    """Add an option; one without a help text is not listed."""
    if type:
        settings["type"] = TYPES[type]
    flags = [*filter(None, [short]), flag_of(name)]
    settings.setdefault("help", argparse.SUPPRESS)
    settings["default"] = getattr(Options, name)
    parser.add_argument(*([name] if positional else flags), **settings)


def trainer_flags() -> str:
    """Return the help on the trainer's own flags, "" if they cannot be imported."""
    try:
        help_text: str = importlib.import_module(ARGUMENTS_MODULE).parser().format_help()
    except Exception:  # whatever is wrong there, nox -s check reports it
        return ""
    return f"python -m {TASK_MODULE}:\n{help_text.partition('options:')[2].lstrip(chr(10))}"
