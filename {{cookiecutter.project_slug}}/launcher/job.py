"""job.toml as typed, checked values."""

import dataclasses
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from launcher.console import UserError, nearest, shown

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

Argument = str | int | float | bool

ARGUMENT_NAME = re.compile(r"[a-z][a-z0-9]*([_-][a-z0-9]+)*")
LAUNCHER_FLAGS = ("data-dir", "job-dir")


@dataclass(frozen=True)
class Cloud:
    """Where the job runs."""

    project: str
    region: str
    bucket: str
    scale_tier: str


@dataclass(frozen=True)
class Data:
    """Which table is prepared, and how it is split. Paths may be relative to the folder of job.toml."""

    train: str
    eval_share: float
    max_rejected_share: float
    prepared: str
    test: str = ""
    deduplicate: bool = False


@dataclass(frozen=True)
class Job:
    """All of job.toml."""

    cloud: Cloud
    data: Data
    arguments: Mapping[str, Argument]


Section = TypeVar("Section", Cloud, Data)

TYPE_NAMES = {str: "text in quotes", float: "a number", bool: "true or false"}
SECTIONS = ("job", "data", "arguments")


def read_job(path: Path) -> Job:
    """Return the checked content of job.toml; raise `UserError` for the first thing that is wrong."""
    table = parse(path)
    check_names(table, SECTIONS, SECTIONS[:2], path.name, "section")
    job = Job(
        cloud=section(table, "job", Cloud, path.name),
        data=section(table, "data", Data, path.name),
        arguments=arguments(subtable(table, "arguments", path.name), path.name),
    )
    check_shares(job.data, path.name)
    return job


def parse(path: Path) -> dict[str, Any]:
    """Return the tables of a TOML file; raise `UserError` if it is missing or is not TOML."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(
            f"{path} cannot be read ({error.strerror})",
            "the file that says where and how the job runs",
            "run the command in the project's folder, or restore the file",
        ) from error
    except UnicodeDecodeError as error:
        raise UserError(
            f"{path.name}: byte {error.start} is not UTF-8", "UTF-8 text", "save the file as UTF-8"
        ) from error
    except tomllib.TOMLDecodeError as error:
        raise UserError(
            f"{path.name}: {error}",
            'TOML, such as name = "text" or epochs = 10',
            "correct that line (text needs quotes, true and false are lower case)",
        ) from error


def section(table: Mapping[str, Any], name: str, kind: type[Section], file: str) -> Section:
    """Return one section as `kind`, whose fields say which keys it takes and of which type."""
    values = subtable(table, name, file)
    fields = {field.name: field for field in dataclasses.fields(kind)}
    required = [key for key, field in fields.items() if field.default is dataclasses.MISSING]
    check_names(values, fields, required, f"{file} [{name}]", "key")
    return kind(
        **{
            key: checked_value(value, fields[key], f"{file} [{name}] {key}")
            for key, value in values.items()
        }
    )


def subtable(table: Mapping[str, Any], name: str, file: str) -> Mapping[str, Any]:
    """Return a section; raise `UserError` if it is a plain value."""
    values = table.get(name, {})
    if not isinstance(values, dict):
        raise UserError(
            f"{file}: {name} is {shown(values)}",
            "a section",
            f"write [{name}] on a line of its own",
        )
    return values


def check_names(
    values: Mapping[str, Any], known: Any, required: Any, where: str, noun: str
) -> None:
    """Raise `UserError` for a name that is not known, or one that is missing."""
    for name in values:
        if name not in known:
            guess = nearest(name, known)
            raise UserError(
                f"{where}: unknown {noun} {shown(name)}",
                f"one of {', '.join(known)}",
                f"write {guess} instead" if guess else "remove it",
            )
    for name in required:
        if name not in values:
            raise UserError(
                f"{where}: the {noun} {name} is missing", f"the {noun} {name}", "add it"
            )


def checked_value(value: Any, field: dataclasses.Field[Any], where: str) -> Any:
    """Return `value` if it is of the field's type, a whole number also where a number is asked for."""
    kind: Any = field.type
    if kind is float and type(value) is int:
        return float(value)
    if type(value) is not kind:
        raise UserError(f"{where} is {shown(value)}", TYPE_NAMES[kind], "correct the value")
    if value == "" != field.default:
        raise UserError(f"{where} is empty", TYPE_NAMES[kind], "fill it in")
    return value


def arguments(values: Mapping[str, Any], file: str) -> Mapping[str, Argument]:
    """Return the trainer's arguments; raise `UserError` for a name or a value that no flag can take."""
    for name, value in values.items():
        where = f"{file} [arguments] {name}"
        if not ARGUMENT_NAME.fullmatch(name):
            raise UserError(
                f"{where} is no name of a flag", "lower-case words joined by _ or -", "rename it"
            )
        if flag_name(name) in LAUNCHER_FLAGS:
            raise UserError(
                f"{where} is set by the launcher",
                "flags of trainer.task other than --data-dir and --job-dir",
                "remove it, and give it on the command line after --",
            )
        if type(value) not in (str, int, float, bool):
            raise UserError(
                f"{where} is {shown(value)}", "text, a number, true or false", "correct it"
            )
    return dict(values)


def check_shares(data: Data, file: str) -> None:
    """Raise `UserError` for a share of the rows that is none."""
    for key in ("eval_share", "max_rejected_share"):
        share = getattr(data, key)
        if not 0 <= share < 1:
            raise UserError(
                f"{file} [data] {key} is {share}", "a share from 0 to below 1", f"write {key} = 0.1"
            )


def flag_name(name: str) -> str:
    """Return an argument's name as it is on the command line, without the leading dashes."""
    return name.replace("_", "-")


def argument_flags(arguments: Mapping[str, Argument]) -> list[str]:
    """Return the arguments as a command line: `--name value`, and `--name` alone for true."""
    flags: list[str] = []
    for name, value in arguments.items():
        if value is False:
            continue
        flags.append(f"--{flag_name(name)}")
        if value is not True:
            flags.append(str(value))
    return flags
