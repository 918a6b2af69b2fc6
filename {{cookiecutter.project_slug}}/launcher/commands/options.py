"""The commands of the launcher and their options: a frozen dataclass for each, every field of which is a flag.

They stand in one file that imports little, so that `--help` does not wait for what the commands import.
"""

import argparse
import importlib
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

from launcher.console import UserError
from launcher.contract import ARGUMENTS_MODULE, PREDICT_MODULE, PREPARE_MODULE, TASK_MODULE

if TYPE_CHECKING:
    from launcher.project import Project
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

    def job(self, project: "Project") -> "Job":
        """Return job.toml with the values that these options replace."""
        from launcher.project import job_of

        return job_of(project, **{n: value for n, value in vars(self).items() if n in REPLACING})


@dataclass(frozen=True)
class PrepareOptions(Options):
    upload: bool = flag("send the prepared data to the bucket")
    region: str | None = option(REGION)
    bucket: str | None = option(BUCKET)


@dataclass(frozen=True)
class LocalTrainOptions(Options):
    scale_tier: str | None = option(SCALE_TIER)
    region: str | None = option(REGION)
    job_dir: str | None = option("where the run is written, instead of the next runs/NNNN")
    data_dir: str | None = option("prepared data to train on, instead of job.toml's table")
    like: str | None = option(
        "repeat a run: its number or folder; the same code, settings and data", metavar="RUN"
    )
    all_replicas: bool = flag("run every replica of a large tier")
    preempt: float = option(
        "kill a replica after SECONDS and restart the job, as the service does",
        0.0,
        type=float,
        metavar="SECONDS",
    )
    trial: str | None = option(TRIAL)


@dataclass(frozen=True)
class PredictOptions(Options):
    model: str | None = option("a SavedModel, instead of the newest run's")
    input: str | None = option("rows to predict: CSV, JSON lines or Parquet")


@dataclass(frozen=True)
class CheckOptions(Options):
    scale_tier: str | None = option(SCALE_TIER)
    region: str | None = option(REGION)
    bucket: str | None = option(BUCKET)
    cloud: bool = flag("look at the bucket too; needs credentials")


@dataclass(frozen=True)
class TiersOptions(Options):
    region: str | None = option(REGION)


@dataclass(frozen=True)
class CloudJobOptions(Options):
    """What submit and tune share."""

    scale_tier: str | None = option(SCALE_TIER)
    region: str | None = option(REGION)
    bucket: str | None = option(BUCKET)
    dry_run: bool = flag(DRY_RUN)
    wait: bool = flag("follow the job to its end")
    again: bool = flag("send it even if the same job is running")
    cancel: str | None = option(
        "cancel a job, the last one if none is named", nargs="?", const="latest", metavar="ID"
    )
    list: bool = flag("list the jobs of the region")
    poll_seconds: float = option(argparse.SUPPRESS, 5.0, type=float)


@dataclass(frozen=True)
class SubmitOptions(CloudJobOptions):
    gcloud: bool = flag("print the job as a file for gcloud instead")
    fetch: str | None = option(
        "download model and metrics of a job, the last one if none is named",
        nargs="?",
        const="latest",
        metavar="RUN",
    )
    trial: str | None = option(TRIAL)


@dataclass(frozen=True)
class TuneOptions(CloudJobOptions):
    local: bool = flag("run the study on this machine")
    trials: int | None = option("how many trials, instead of job.toml's", type=int)
    parallel: int | None = option("how many trials in parallel, instead of job.toml's", type=int)


@dataclass(frozen=True)
class BucketOptions(Options):
    region: str | None = option(REGION)
    bucket: str | None = option(BUCKET)
    dry_run: bool = flag(DRY_RUN)


@dataclass(frozen=True)
class ImageOptions(Options):
    scale_tier: str | None = option(SCALE_TIER)
    region: str | None = option(REGION)
    dry_run: bool = flag(DRY_RUN)


@dataclass(frozen=True)
class Command:
    """The function of its name in the module of its name, and what it takes."""

    description: str
    options: type[Options]
    rest_to: str = ""
    """The module that gets the arguments that are no options of the command."""


COMMANDS = {
    "prepare": Command("Prepare the table that job.toml names.", PrepareOptions, PREPARE_MODULE),
    "local_train": Command("Run the job on this machine.", LocalTrainOptions, TASK_MODULE),
    "predict": Command("Predict rows with a trained model.", PredictOptions, PREDICT_MODULE),
    "smoke": Command("Import the whole package and train one step.", Options, TASK_MODULE),
    "check": Command("Find what would fail in the cloud.", CheckOptions, TASK_MODULE),
    "tiers": Command("List the machines that a region offers.", TiersOptions),
    "submit": Command("Send the job to Google Cloud.", SubmitOptions, TASK_MODULE),
    "tune": Command("Run the study of job.toml.", TuneOptions, TASK_MODULE),
    "bucket": Command("Create the job's bucket.", BucketOptions),
    "image": Command("Build an image of your own.", ImageOptions),
}


def parse(name: str, arguments: Sequence[str]) -> tuple[Options, list[str]]:
    """Return a command's options and the other arguments; raise `UserError` where there must be none."""
    command = COMMANDS[name]
    rest_text = f"\nOther arguments go to python -m {command.rest_to}." if command.rest_to else ""
    parser = argparse.ArgumentParser(
        prog=f"nox -s {name} --",
        description=command.description + rest_text,
        epilog=trainer_flags()
        if command.rest_to == TASK_MODULE and {"-h", "--help"} & {*arguments}
        else "",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    for each in fields(command.options):
        settings = dict(each.metadata)
        names = (*settings.pop("short", ()), f"--{each.name.replace('_', '-')}")
        parser.add_argument(*names, default=each.default, **settings)
    values, rest = parser.parse_known_args(arguments)
    if rest and not command.rest_to:
        raise UserError(
            f"unknown argument {rest[0]}",
            f"the options that nox -s {name} -- --help lists",
            "remove it",
        )
    return command.options(**vars(values)), rest


def trainer_flags() -> str:
    """Return the help on the trainer's own flags, "" if they cannot be imported."""
    try:
        help_text: str = importlib.import_module(ARGUMENTS_MODULE).parser().format_help()
    except Exception:  # whatever is wrong there, nox -s check reports it
        return ""
    return f"python -m {TASK_MODULE}:\n{help_text.partition('options:')[2].lstrip(chr(10))}"
