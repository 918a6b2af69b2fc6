"""A command of the launcher: its options as a frozen dataclass, each field of which is a flag."""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Generic, TypeVar

from launcher.console import Console, UserError
from launcher.project import Project, job_of
from launcher.spec.job_file import Job

SCALE_TIER = "the tier to run as, instead of job.toml's"
REGION = "the region, instead of job.toml's"
BUCKET = "the bucket, instead of job.toml's"
TRIAL = "take the arguments of a trial of the newest study: best, or its number"
DRY_RUN = "print what would be sent, and send nothing"
REPLACING = ("scale_tier", "region", "bucket", "trial")
"""The options that replace values of job.toml."""


def flag(text: str, *short: str) -> Any:
    """Return a field that is False unless its flag is given."""
    return field(default=False, metadata={"short": short, "action": "store_true", "help": text})


def option(text: str, default: Any = None, **settings: Any) -> Any:
    """Return a field that takes a value; `settings` go to `argparse.ArgumentParser.add_argument`."""
    return field(default=default, metadata={"help": text, **settings})


@dataclass(frozen=True)
class Options:
    quiet: bool = flag("warnings and errors only", "-q")
    verbose: bool = flag("everything, installs too", "-v")

    @property
    def verbosity(self) -> list[str]:
        """The flags that make the trainer as quiet or as verbose as the launcher."""
        return ["-q"] * self.quiet + ["-v"] * self.verbose

    def job(self, project: Project) -> Job:
        """Return job.toml with the values that these options replace."""
        return job_of(project, **{n: value for n, value in vars(self).items() if n in REPLACING})


OptionsType = TypeVar("OptionsType", bound=Options)


@dataclass(frozen=True)
class Command(Generic[OptionsType]):
    description: str
    options: type[OptionsType]
    run: Callable[[Project, OptionsType, list[str], Console], int]
    """Takes the project, the options and the arguments that are no options; returns the exit code."""
    rest_to: str = ""
    """The module that gets the arguments that are no options of the command."""

    def parse(self, name: str, arguments: Sequence[str]) -> tuple[OptionsType, list[str]]:
        """Return the options and the arguments for `rest_to`; raise `UserError` where there must be none."""
        rest_text = f" Other arguments go to python -m {self.rest_to}." if self.rest_to else ""
        parser = argparse.ArgumentParser(
            prog=f"nox -s {name} --", description=self.description + rest_text, allow_abbrev=False
        )
        for each in fields(self.options):
            settings = dict(each.metadata)
            names = (*settings.pop("short", ()), f"--{each.name.replace('_', '-')}")
            parser.add_argument(*names, default=each.default, **settings)
        values, rest = parser.parse_known_args(arguments)
        if rest and not self.rest_to:
            raise UserError(
                f"unknown argument {rest[0]}",
                f"the options that nox -s {name} -- --help lists",
                "remove it",
            )
        return self.options(**vars(values)), rest
