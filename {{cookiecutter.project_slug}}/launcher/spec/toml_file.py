"""Reading TOML into dataclasses: unknown names and wrong types are refused, with the nearest right spelling."""

import dataclasses
import re
import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from launcher.console import UserError, nearest, shown

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

Section = TypeVar("Section")

BACKSLASH = "write / for \\ in a path, or put the text in single quotes"
LINE_NUMBER = re.compile(r"\(at line ([0-9]+)")
REPEATED = re.compile("overwrite|twice|[Dd]uplicate")
STRAY = re.compile("[\u00a0\u2018\u2019\u201c\u201d\u201e\u00ab\u00bb]")
"""What a word processor writes for blanks and quotes."""
OTHER_NAMES = {
    **{"master": "chief", "ps": "parameter_server", "param_server": "parameter_server"},
    **{"replica_count": "replicas", "count": "replicas", "args": "arguments", "env": "environment"},
}
"""Names that other tools have for the same things."""
MOST = 2**63 - 1
"""The largest integer of TOML, and of a job."""
TYPE_NAMES = {str: "text in quotes", float: "a number", int: "an integer", bool: "true or false"}


def parse(path: Path) -> dict[str, Any]:
    """Return the tables of a TOML file, which may begin with a byte order mark.

    Raises `UserError` if it is missing or is not TOML.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
        return tomllib.loads(text)
    except OSError as error:
        what = f"{path} cannot be read ({error.strerror})"
        expected = "the file that describes the job"
        fix = "run the command in the project's folder, or restore the file"
    except UnicodeDecodeError as error:
        what, expected = f"{path.name}: byte {error.start} is not UTF-8", "UTF-8 text"
        fix = "save the file as UTF-8"
    except (ValueError, RecursionError) as error:
        what, expected = f"{path.name}: {error}", 'TOML, such as name = "text" or epochs = 10'
        fix = remedy_of(text.split("\n"), str(error))
    raise UserError(what, expected, fix)


def remedy_of(lines: Sequence[str], message: str) -> str:
    """Return how to correct the line that a message of the TOML parser names."""
    match = LINE_NUMBER.search(message)
    if not match and "end of document" not in message:
        return "write shorter numbers, and fewer lists in lists"
    if not match:
        return "close the quote or the bracket that is still open at the end of the file"
    number = int(match[1])
    line = lines[number - 1]
    name = line.partition("=")[0].strip()
    same = [at for at, each in enumerate(lines, 1) if each.partition("=")[0].strip() == name]
    earlier = [at for at in same if at < number]
    if line.startswith(("<<<<<<<", "=======", ">>>>>>>")):
        return "resolve the conflict that git marked there"
    if earlier and REPEATED.search(message):
        return f"{name} is in line {earlier[-1]} too: remove one of the two"
    if stray := STRAY.search(line):
        return f"replace {shown(stray[0])} by a plain quote or blank"
    if "\\" in line:
        return BACKSLASH
    if "=" not in line and not line.startswith("["):
        return "write name = value, or [section], on that line"
    return "correct that line (text needs quotes, true and false are lower case)"


def section(table: Mapping[str, Any], name: str, kind: type[Section], file: str) -> Section:
    """Return one section as the dataclass `kind`, whose fields are its keys and their types."""
    values = subtable(table, name, file)
    fields = {field.name: field for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    required = [key for key, field in fields.items() if field.default is dataclasses.MISSING]
    where = f"{file} [{name}]"
    check_names(values, fields, required, where, "key")
    read = {key: checked_value(values[key], fields[key], f"{where} {key}") for key in values}
    return kind(**read)


def subtable(table: Mapping[str, Any], name: str, file: str) -> Mapping[str, Any]:
    """Return a section; raise `UserError` if it is a plain value."""
    values = table.get(name, {})
    if not isinstance(values, dict):
        fix = f"write [{name}] on a line of its own"
        raise UserError(f"{file}: {name} is {shown(values)}", "a section", fix)
    return values


def check_names(
    values: Iterable[str], known: Iterable[str], required: Iterable[str], where: str, noun: str
) -> None:
    """Raise `UserError` for a name that is not known, or one that is missing."""
    for name in values:
        if name not in known:
            other = OTHER_NAMES.get(name.lower(), "")
            guess = other if other in known else nearest(name, known)
            what, expected = f"unknown {noun} {shown(name)}", f"one of {', '.join(known)}"
            fix = f"write {guess} instead" if guess else "remove it"
            raise UserError(f"{where}: {what}", expected, fix)
    for name in required:
        if name not in values:
            expected = f"the {noun} {name}"
            raise UserError(f"{where}: {expected} is missing", expected, "add it")


def checked_value(value: Any, field: dataclasses.Field[Any], where: str) -> Any:
    """Return `value` if it is of the field's type, an integer also where a number is expected."""
    kind: Any = field.type
    if kind is float and type(value) is int and abs(value) <= MOST:
        return float(value)
    if type(value) is not kind:
        raise UserError(f"{where} is {shown(value)}", TYPE_NAMES[kind], "correct the value")
    if kind is str and not (value.isprintable() and value == value.strip()):
        expected = "text without tabs, line ends or blanks around it"
        near = value.strip()
        fix = f"write {shown(near)}" if near.isprintable() else BACKSLASH
        raise UserError(f"{where} is {shown(value)}", expected, fix)
    if value == "" != field.default:
        raise UserError(f"{where} is empty", TYPE_NAMES[kind], "fill it in")
    return value


def one_of(where: str, value: object, choices: Collection[str], fix: str = "correct it") -> str:
    """Return `value` if it is one of the choices; raise `UserError` with the nearest one if it is not."""
    if isinstance(value, str) and value in choices:
        return value
    guess = nearest(str(value), choices)
    expected = f"one of {', '.join(choices)}"
    raise UserError(f"{where} is {shown(value)}", expected, f"write {guess}" if guess else fix)
