"""job.toml as typed, checked values."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from launcher.console import UserError, shown
from launcher.contract import TASK_MODULE
from launcher.spec.catalog import POOL_NAMES, Pool, Tier, offered_tiers
from launcher.spec.study import Study, read_study
from launcher.spec.toml_file import check_names, one_of, parse, section, subtable

Argument = str | int | float | bool

ARGUMENT_NAME = re.compile(r"[a-z][a-z0-9]*([_-][a-z0-9]+)*")
LAUNCHER_FLAGS = ("data-dir", "job-dir")
DURATION = re.compile(r"([0-9]+)(s|m|h|d)")
SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


@dataclass(frozen=True)
class Cloud:
    """Whose job it is, where it runs, and what it runs."""

    project: str
    region: str
    bucket: str
    scale_tier: str
    name: str = "training"
    """Shown in the console, and the folder in the bucket that holds packages, data and outputs."""
    module: str = TASK_MODULE
    service_account: str = ""


@dataclass(frozen=True)
class Runtime:
    """What the machines of the job start."""

    kind: str = "auto"
    image: str = ""


@dataclass(frozen=True)
class Scheduling:
    """How the job waits for machines and how long it may run; durations such as 30m, 12h or 7d."""

    strategy: str = "standard"
    timeout: str = "1d"
    max_wait: str = "1d"
    reservation: str = ""
    restart_job_on_worker_restart: bool = False
    disable_retries: bool = False


@dataclass(frozen=True)
class Serving:
    """The machines that serve the model, and how many requests a new version gets at first."""

    machine: str = "e2-standard-4"
    min_replicas: int = 1
    max_replicas: int = 1
    traffic: int = 10
    """Percent of the requests."""
    image: str = ""
    batch_replicas: int = 1
    batch_size: int = 1024
    """Rows in a request of a batch job."""


@dataclass(frozen=True)
class Data:
    """Which table is prepared, and how it is split. Paths may be relative to the folder of job.toml."""

    train: str
    eval_share: float
    max_rejected_share: float
    prepared: str
    test: str = ""
    deduplicate: bool = False
    split: str = "random"
    """How rows are split, which trainer.preprocessing.splits checks against the columns."""
    weight: str = ""
    """The column with the weight of each row, "" for none."""

    @property
    def tables(self) -> dict[str, str]:
        return {"train": self.train, **({"test": self.test} if self.test else {})}


@dataclass(frozen=True)
class Job:
    cloud: Cloud
    data: Data
    arguments: Mapping[str, Argument]
    runtime: Runtime = Runtime()
    scheduling: Scheduling = Scheduling()
    labels: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    tiers: Mapping[str, Tier] = field(default_factory=dict)
    """The tiers of google_cloud.json, and those that job.toml adds or changes."""
    serving: Serving = Serving()
    study: Study | None = None
    """What hyperparameter tuning varies."""

    def tier(self) -> Tier:
        """Return the pools of the job's scale tier; raise `UserError` if there is no such tier."""
        name = self.cloud.scale_tier
        if name not in self.tiers:
            fix = "correct scale_tier in job.toml, or --scale-tier"
            one_of("the scale tier", name, self.tiers, fix)
        if not self.tiers[name]:
            expected = f"a section [tiers.{name}.chief] in job.toml"
            fix = 'add it, with machine = "n1-standard-4" for example'
            raise UserError(f"the scale tier {name} has no pools", expected, fix)
        return self.tiers[name]


REQUIRED_SECTIONS = ("job", "data")
OTHER_SECTIONS = (
    *("runtime", "scheduling", "arguments", "labels", "environment", "tiers", "study"),
    "serving",
)


def read_job(path: Path) -> Job:
    """Return the checked content of job.toml; raise `UserError` for the first thing that is wrong."""
    table, file = parse(path), path.name
    check_names(table, (*REQUIRED_SECTIONS, *OTHER_SECTIONS), REQUIRED_SECTIONS, file, "section")
    job = Job(
        cloud=section(table, "job", Cloud, file),
        data=section(table, "data", Data, file),
        arguments=arguments(subtable(table, "arguments", file), file),
        runtime=section(table, "runtime", Runtime, file),
        scheduling=section(table, "scheduling", Scheduling, file),
        labels=texts(subtable(table, "labels", file), f"{file} [labels]"),
        environment=texts(subtable(table, "environment", file), f"{file} [environment]"),
        tiers={**offered_tiers(), **own_tiers(subtable(table, "tiers", file), f"{file} [tiers")},
        serving=section(table, "serving", Serving, file),
        study=read_study(table, file),
    )
    check_shares(job.data, file)
    return job


def texts(values: Mapping[str, Any], where: str) -> Mapping[str, str]:
    for name, value in values.items():
        if not isinstance(value, str):
            raise UserError(f"{where} {name} is {shown(value)}", "text in quotes", "add the quotes")
    return dict(values)


def own_tiers(tiers: Mapping[str, Any], where: str) -> dict[str, Tier]:
    """Return the tiers of job.toml, the pools of each in the order that a job has them."""
    own: dict[str, Tier] = {}
    for name in tiers:
        pools, place = subtable(tiers, name, f"{where}]"), f"{where}.{name}]"
        check_names(pools, POOL_NAMES, POOL_NAMES[:1], place, "pool")
        own[name] = {
            pool: section(pools, pool, Pool, place) for pool in POOL_NAMES if pool in pools
        }
    return own


def arguments(values: Mapping[str, Any], file: str) -> Mapping[str, Argument]:
    for name, value in values.items():
        where = f"{file} [arguments] {name}"
        if not ARGUMENT_NAME.fullmatch(name):
            expected = "lower-case words joined by _ or -"
            raise UserError(f"{where} is not a valid flag name", expected, "rename it")
        if flag_name(name) in LAUNCHER_FLAGS:
            expected = "flags of trainer.task other than --data-dir and --job-dir"
            fix = "remove it, and give it on the command line after --"
            raise UserError(f"{where} is set by the launcher", expected, fix)
        if type(value) not in (str, int, float, bool):
            expected = "text, a number, true or false"
            raise UserError(f"{where} is {shown(value)}", expected, "correct it")
    return dict(values)


def check_shares(data: Data, file: str) -> None:
    for key in ("eval_share", "max_rejected_share"):
        share = getattr(data, key)
        if not 0 <= share < 1 or (key == "eval_share" and not share):
            expected = f"a share {'above' if key == 'eval_share' else 'from'} 0 and below 1"
            what = f"{file} [data] {key} is {share}"
            raise UserError(what, expected, f"write {key} = 0.1")


def flag_name(name: str) -> str:
    return name.replace("_", "-")


def argument_flags(arguments: Mapping[str, Argument]) -> list[str]:
    """Return the arguments as a command line: `--name value`, and `--name` alone for true."""
    flags = []
    for name, value in arguments.items():
        if value is not False:
            flags += [f"--{flag_name(name)}", *[str(value)] * (value is not True)]
    return flags


def duration_seconds(text: str) -> int:
    """Return the seconds of a duration such as 30m, 12h or 7d; raise `ValueError` if it is none."""
    match = DURATION.fullmatch(text)
    if not match:
        raise ValueError(f"{text!r} is not a duration")
    return int(match[1]) * SECONDS[match[2]]
