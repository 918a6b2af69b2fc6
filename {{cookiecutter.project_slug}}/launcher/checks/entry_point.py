"""The module that a job starts, and its arguments, as the module's own parser reads them."""

import ast
import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from launcher.checks import probe
from launcher.checks.names import words
from launcher.checks.source import Source
from launcher.console import UserError, nearest, shown
from launcher.project import Project
from launcher.spec.job_file import Argument, Job, argument_flags, flag_name

UNKNOWN = re.compile(r"unrecognized arguments: (--?[\w-]+)")
REFUSED = re.compile(r"argument ([^:]+): (.*)", re.DOTALL)


def entry_findings(module: str, source: Source) -> list[UserError]:
    where, names = f"job.toml [job] module = {shown(module)}", source.modules
    # One that cannot be parsed has a finding already.
    idle = {name for name, tree in source.trees.items() if not does_something(name, tree)}
    name = names.get(f"{module}.__main__") or names.get(module, "__init__.py")
    if name.endswith("__init__.py"):
        startable = (each for each in names if names[each] not in idle)
        fix = f"write {nearest(module, startable) or 'trainer.task'}"
        expected = "the dotted name of a module below trainer/"
        return [UserError(f"{where}: there is no such module", expected, fix)]
    if name in idle:
        what = f"{where}: {name} does nothing when it is started"
        expected = 'an entry point in it, if __name__ == "__main__":'
        return [UserError(what, expected, "add it, or name another module")]
    return []


def does_something(name: str, tree: ast.Module) -> bool:
    guards = (each.test for each in tree.body if isinstance(each, ast.If))
    return name.endswith("__main__.py") or any("__name__" in words(test) for test in guards)


def responses(
    python: Path, project: Project, job: Job, arguments: Sequence[str]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what the package says of its features, and its module's parser of the flags; {} for a part that it lacks.

    Each argument of job.toml is tried alone too, so that one that is wrong does not hide another.
    """
    request = {
        "module": job.cloud.module,
        "alone": [*tried(job).values()],
        "together": ["--data-dir", "gs://bucket/data", *argument_flags(job.arguments), *arguments],
        "prepare": project.preparation_flags(job.data),
    }
    with probe.started(python, "arguments", request) as process:
        answers, _ = probe.read(process, '{"asked": ')
    by_part = {answer["asked"]: answer for answer in answers}
    return by_part.get("features", {}), by_part.get("flags", {})


def tried(job: Job) -> dict[str, list[str]]:
    """Return the flags of each argument and each study parameter, by where they stand in job.toml."""
    given = {name: value for name, value in job.arguments.items() if value is not False}
    flags = {where(name, value): argument_flags({name: value}) for name, value in given.items()}
    # A parser looks at a flag each time that it is given, so all values of a parameter are tried together.
    for name, parameter in job.study.parameters.items() if job.study else ():
        pairs = [(f"--{flag_name(name)}", str(value)) for value in parameter.samples()]
        flags[f"job.toml [study.parameters.{name}]"] = [*itertools.chain(*pairs)]
    return flags


def argument_findings(response: Mapping[str, Any], job: Job) -> Iterator[UserError]:
    """Yield what the module's own parser objects to."""
    if not response:
        return
    known, module = response["flags"], job.cloud.module
    objections = dict(zip(tried(job), response["alone"], strict=True))
    for name, value in job.arguments.items():
        # A parser takes the beginning of a flag for the flag.
        if value is False and not any(each.startswith(f"--{flag_name(name)}") for each in known):
            objections[where(name, value)] = f"unrecognized arguments: --{flag_name(name)}"
    if not any(objections.values()):
        objections = {"the job's arguments": response["together"]}
    for place, message in objections.items():
        if message:
            yield objection_finding(message, place, module, known)


def where(name: str, value: Argument) -> str:
    """Return an argument as it stands in job.toml."""
    text = str(value).lower() if isinstance(value, bool) else shown(value)
    return f"job.toml [arguments] {name} = {text}"


def objection_finding(message: str, place: str, module: str, known: Sequence[str]) -> UserError:
    unknown, refused = UNKNOWN.match(message), REFUSED.match(message)
    if not unknown:
        reason = " ".join((f"{refused[1]}: {refused[2]}" if refused else message).split())
        expected = f"a value that python -m {module} --help describes"
        return UserError(f"{place}: {reason}", expected, "correct the value")
    guess = nearest(unknown[1], known)
    if place.startswith("job.toml"):
        guess = guess.removeprefix("--").replace("-", "_")
    what = f"{place}: {module} has no flag {unknown[1]}"
    expected = f"a flag that python -m {module} --help lists"
    return UserError(what, expected, f"write {guess}" if guess else "remove it, or add the flag")
