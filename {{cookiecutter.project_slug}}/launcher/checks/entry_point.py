"""The package's entry point and requirements, checked against the job and the image of its machines."""

import ast
import re
from collections.abc import Iterable
from pathlib import Path

from launcher.checks.python_version import version_findings
from launcher.console import UserError, nearest, shown
from launcher.packaging.sdist import EXTRA, python_files, texts_of
from launcher.spec.catalog import google_cloud, kind_of
from launcher.spec.custom_job import runtime_kind
from launcher.spec.job_file import Job

TENSORFLOWS = (
    *("tensorflow", "tensorflow-cpu", "tensorflow-gpu", "tensorflow-intel", "tensorflow-macos"),
    *("tf-nightly", "tf-nightly-cpu", "intel-tensorflow", "tensorflow-aarch64", "tensorflow-rocm"),
)
REQUIREMENT = re.compile(r"([A-Za-z0-9._-]+)\s*(?:\[[^]]*\])?\s*\(?([^;)@]*)\)?")
CLAUSE = re.compile(r"(===|==|~=|!=|<=|>=|<|>)\s*([0-9][0-9.]*)")
HOME = re.compile(r"(/home/|/Users/|~/|file://|[A-Za-z]:\\)[^\s]+")
PUBLIC_IMAGE = re.compile(r"(?:docker\.io/)?tensorflow/tensorflow:([0-9]+\.[0-9]+)\S*")


def runtime_of(job: Job) -> tuple[str, str]:
    """Return the TensorFlow and the Python of the job's machines, each "" if only their image knows."""
    try:
        kind, machines = runtime_kind(job), kind_of(job.tier())
    except UserError:  # there is no such tier, which is a finding of its own
        return "", ""
    image, facts = job.runtime.image, google_cloud()
    public = PUBLIC_IMAGE.fullmatch(image)
    if kind != "executor" and public:
        return public[1], ""
    if kind == "stock" and not image:
        entry = facts["stock_images"].get(machines)
    else:
        name = image.rpartition("/")[2].partition(":")[0]
        entry = facts["executor_images"].get(name) if kind == "executor" else None
    return (entry["tensorflow"], entry["python"]) if entry else ("", "")


def code_findings(job: Job, project: Path) -> list[UserError]:
    python = runtime_of(job)[1]
    return [
        *entry_findings(job.cloud.module, project),
        *home_findings(project),
        *(version_findings(project, python) if python else []),
    ]


def entry_findings(module: str, project: Path) -> list[UserError]:
    where = f"job.toml [job] module = {shown(module)}"
    names = {name.removesuffix(".py").replace("/", "."): name for name in python_files(project)}
    name = names.get(module) or names.get(f"{module}.__main__")
    if not name:
        startable = [each for each in names if is_startable(project / names[each])]
        remedy = f"write {nearest(module, startable) or 'trainer.task'}"
        expected = "the dotted name of a module below trainer/"
        return [UserError(f"{where}: there is no such module", expected, remedy)]
    if is_startable(project / name):
        return []
    expected = 'an entry point in it, if __name__ == "__main__":'
    remedy = "add it, or name another module"
    return [UserError(f"{where}: {name} does nothing when it is started", expected, remedy)]


def is_startable(path: Path) -> bool:
    """Return whether a module does something when it is started; one that cannot be parsed has a finding already."""
    try:
        body = ast.parse(path.read_bytes()).body
    except (SyntaxError, ValueError):
        return True
    return path.name == "__main__.py" or any(map(is_main_guard, body))


def is_main_guard(statement: ast.stmt) -> bool:
    """Return whether a statement is `if __name__ == ...:`."""
    return isinstance(statement, ast.If) and any(
        isinstance(node, ast.Name) and node.id == "__name__" for node in ast.walk(statement.test)
    )


def home_findings(project: Path) -> list[UserError]:
    homes = {
        name: sorted(text for text in texts_of(project / name) if HOME.fullmatch(text))
        for name in python_files(project)
    }
    return [
        UserError(
            f"{name} names {shown(texts[0])}, a path on this machine",
            "a flag of the module, whose value a cloud job can read",
            "add a flag, and give it a gs:// address in job.toml [arguments]",
        )
        for name, texts in homes.items()
        if texts
    ]


def tensorflow_findings(requirements: Iterable[str], runtime: str) -> list[UserError]:
    """Return what is wrong with the TensorFlow that setup.py asks for; `runtime` is that of the machines, or ""."""
    findings: dict[str, UserError] = {}
    for line in requirements:
        match = REQUIREMENT.match(line)
        name = re.sub(r"[-_.]+", "-", match[1]).lower() if match else ""
        if not match or name not in TENSORFLOWS:
            continue
        if not EXTRA.search(line):
            findings["installed"] = installed_too(line)
        elif runtime and not admits(match[2], runtime) and "local" in EXTRA.findall(line):
            findings["other"] = other_version(f"{name}{match[2].strip()}", runtime)
    return list(findings.values())


def installed_too(line: str) -> UserError:
    return UserError(
        f"setup.py installs {line.partition(';')[0].strip()} on the machines of the job",
        "the TensorFlow that their image brings, because a second one would replace or break it",
        'move it to EXTRAS["local"]',
    )


def other_version(requirement: str, runtime: str) -> UserError:
    return UserError(
        f"setup.py asks for {requirement}, but the job's machines have TensorFlow {runtime}",
        "the same version here and there",
        f"write =={runtime}.* in setup.py, or name another image in job.toml [runtime]",
    )


def admits(specifier: str, version: str) -> bool:
    """Return whether a version such as 2.21, of whatever patch, satisfies a specifier such as >=2.20,<2.22."""
    clauses = CLAUSE.findall(specifier)
    return all(clause_admits(operator, text, version) for operator, text in clauses)


def clause_admits(operator: str, text: str, version: str) -> bool:
    """Return whether some patch of a version satisfies one clause."""
    wanted = tuple(map(int, text.strip(".").split(".")))
    has = tuple(map(int, version.split(".")))
    both = min(len(wanted), len(has))
    same = wanted[:both] == has[:both]
    if operator in ("==", "==="):
        return same
    if operator == "!=":
        return not same or len(wanted) > len(has)
    if operator == "~=":
        return has >= wanted[:both] and (len(wanted) < 3 or same) and has[0] == wanted[0]
    if operator == "<":
        return has < wanted[:both] or (same and any(wanted[both:]))
    return has <= wanted[:both] if operator == "<=" else has >= wanted[:both]
