"""The package's entry point and requirements, checked against the job and the image of its machines."""

import ast
import re
from collections.abc import Iterable
from pathlib import Path

from launcher.checks.names import Name, words
from launcher.checks.python_version import version_findings
from launcher.checks.requirements import admits
from launcher.checks.source_files import modules_of, parsed_modules, texts_of
from launcher.console import UserError, nearest, shown
from launcher.packaging.sdist import EXTRA
from launcher.spec.catalog import google_cloud, kind_of
from launcher.spec.custom_job import runtime_kind
from launcher.spec.job_file import Job

TENSORFLOW = re.compile(
    r"(intel-)?tensorflow(-(cpu|gpu|intel|macos|aarch64|rocm))?|tf-nightly(-cpu|-gpu)?"
)
HOME = re.compile(
    r"(/home/|/Users/|file://)\S+|[A-Za-z]:(\\[\w .-]+){2,}|[A-Za-z]:\\[\w .-]+\.\w+"
    r"|~/(?!\.)\S*\.\w+"  # a hidden folder is a program's own, and others may be made by the job
)
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
    entry = facts["stock_images"].get(machines) if kind == "stock" and not image else None
    if kind == "executor":
        entry = facts["executor_images"].get(image.rpartition("/")[2].partition(":")[0])
    return (entry["tensorflow"], entry["python"]) if entry else ("", "")


def code_findings(job: Job, project: Path, names: Iterable[Name]) -> list[UserError]:
    python = runtime_of(job)[1]
    return [
        *entry_findings(job.cloud.module, project),
        *home_findings(project),
        *(version_findings(project, names, python) if python else []),
    ]


def entry_findings(module: str, project: Path) -> list[UserError]:
    where, names = f"job.toml [job] module = {shown(module)}", modules_of(project)
    # One that cannot be parsed has a finding already.
    idle = {name for name, tree in parsed_modules(project) if not does_something(name, tree)}
    name = names.get(f"{module}.__main__") or names.get(module, "__init__.py")
    if name not in idle and not name.endswith("__init__.py"):
        return []
    if not name.endswith("__init__.py"):
        expected = 'an entry point in it, if __name__ == "__main__":'
        remedy = "add it, or name another module"
        return [UserError(f"{where}: {name} does nothing when it is started", expected, remedy)]
    startable = (each for each in names if names[each] not in idle)
    remedy = f"write {nearest(module, startable) or 'trainer.task'}"
    expected = "the dotted name of a module below trainer/"
    return [UserError(f"{where}: there is no such module", expected, remedy)]


def does_something(name: str, tree: ast.Module) -> bool:
    guards = (each.test for each in tree.body if isinstance(each, ast.If))
    return name.endswith("__main__.py") or any("__name__" in words(test) for test in guards)


def home_findings(project: Path) -> list[UserError]:
    expected = "a flag of the module, whose value a cloud job can read"
    fix = "add a flag, and give it a gs:// address in job.toml [arguments]"
    findings = []
    for name, tree in parsed_modules(project):
        if homes := sorted(filter(HOME.fullmatch, texts_of(tree))):
            what = f"{name} names {shown(homes[0])}, a path on this machine"
            findings.append(UserError(what, expected, fix))
    return findings


def tensorflow_findings(requirements: Iterable[str], runtime: str) -> list[UserError]:
    """Return what is wrong with the TensorFlow that setup.py asks for; `runtime` is that of the machines, or ""."""
    # Imported here: it takes longer than the rest of --help.
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    findings, installed = dict[str, UserError](), False
    for line in requirements:
        requirement, extras = Requirement(line), EXTRA.findall(line)
        if not TENSORFLOW.fullmatch(canonicalize_name(requirement.name)):
            continue
        text = line.partition(";")[0].strip()
        installed = installed or not extras or "local" in extras
        if not extras:
            findings["installed"] = UserError(
                f"setup.py installs {text} on the machines of the job",
                "the TensorFlow that their image brings, because a second one would replace or break it",
                'move it to EXTRAS["local"]',
            )
        elif runtime and "local" in extras and not admits(str(requirement.specifier), runtime):
            findings["version"] = UserError(
                f"setup.py asks for {text}, but the job's machines have TensorFlow {runtime}",
                "the same version here and there",
                f"write =={runtime}.* in setup.py, or name another image in job.toml [runtime]",
            )
    if not installed:
        what = 'setup.py requires no TensorFlow in EXTRAS["local"]'
        expected = "the TensorFlow that this machine trains with"
        findings["none"] = UserError(what, expected, 'add it under the name "local"')
    return list(findings.values())
