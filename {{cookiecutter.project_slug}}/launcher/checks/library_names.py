"""Names of Python and of libraries that the package uses, and that are not there as it uses them."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from launcher.checks.names import Name, listed_findings
from launcher.console import UserError
from launcher.files import read_json
from launcher.spec.catalog import google_cloud


def replaced_findings(names: Iterable[Name], state: str) -> list[UserError]:
    """Return the names that are `removed` from the libraries, or `outdated`."""
    instead = read_json(Path(__file__).with_name("replaced_names.json"))[state]
    problems = {
        name: (f"uses {name}, which is {state}", instead[name], "write that instead")
        for name in instead
    }
    in_tensorflow = {
        f"tensorflow.{name}": problems[name] for name in problems if name[:6] == "keras."
    }
    return listed_findings(names, in_tensorflow | problems)


def version_findings(names: Iterable[Name], python: str) -> list[UserError]:
    """Return the names of the standard library that Python `python`, such as 3.10, does not have."""
    minor, changes = int(python.partition(".")[2]), google_cloud()["python_changes"]
    new = {
        name: f"{name} is new in Python 3.{since}"
        for name, since in changes["added"].items()
        if since > minor
    }
    gone = {
        name: f"{name} was removed in Python 3.{until}"
        for name, until in changes["removed"].items()
        if until <= minor
    }
    expected = f"what Python {python} has, which the job's machines run"
    fix = "write it another way, or choose another image in job.toml [runtime]"
    problems = {name: (what, expected, fix) for name, what in (new | gone).items()}
    return listed_findings(names, problems)


def lacking_findings(names: Iterable[Name], lacking: Mapping[str, str]) -> list[UserError]:
    """Return the names of libraries that the training environment lacks; `lacking` has a similar one for each, or ""."""
    problems = {
        name: (
            f"uses {name}, which the training environment does not have",
            f"a name that {name.rpartition('.')[0]} holds",
            f"write {guess}" if guess else "require a version that has it in setup.py",
        )
        for name, guess in lacking.items()
    }
    return listed_findings(names, problems)
