"""What setup.py requires, compared with what the machines of a job have and can install."""

import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from launcher.console import UserError
from launcher.packaging.sdist import EXTRA, SourceDistribution
from launcher.spec.catalog import google_cloud, kind_of
from launcher.spec.custom_job import runtime_kind
from launcher.spec.job_file import Job

# packaging is imported by the functions that need it: that takes longer than the rest of --help.

TENSORFLOW = re.compile(
    r"(intel-)?tensorflow(-(cpu|gpu|intel|macos|aarch64|rocm))?|tf-nightly(-cpu|-gpu)?"
)
PUBLIC_IMAGE = re.compile(r"(?:docker\.io/)?tensorflow/tensorflow:([0-9]+\.[0-9]+)\S*")
MOST_PATCHES = 100
BUILT_HERE = re.compile(r"^Tag: .*-linux_", re.MULTILINE)
"""A tag that PyPI refuses, because such a wheel fits the machine that built it alone; only Linux has it."""
REMEDY = "require one that PyPI has, or move its code below trainer/"


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


def requirement_findings(
    distribution: SourceDistribution, tensorflow: str, python: str
) -> Iterator[UserError]:
    """Yield the requirements that no job can install; the versions are those of its machines, or ""."""
    yield from tensorflow_findings(distribution.requirements, tensorflow)
    expected = "requirements that the machines of a job can install"
    for line in distribution.requirements_of(""):
        if "@ file:" in line:
            yield UserError(f"setup.py requires {line}, a path on this machine", expected, REMEDY)
    for name in distribution.declared:
        if name.replace("-", "_") in sys.stdlib_module_names:
            what = f"setup.py requires {name}, which is a part of Python"
            yield UserError(what, expected, "remove it")
    if python and not admits(distribution.python, python):
        what = f'setup.py has python_requires="{distribution.python}"'
        expected = f"a range with Python {python}, which the job's machines run"
        yield UserError(what, expected, "widen it, or choose another image in job.toml [runtime]")


def tensorflow_findings(requirements: Iterable[str], runtime: str) -> list[UserError]:
    """Return what is wrong with the TensorFlow that setup.py asks for; `runtime` is that of the machines, or ""."""
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
            what = f"setup.py installs {text} on the machines of the job"
            expected = "the TensorFlow that their image brings, because a second one would replace or break it"
            findings["installed"] = UserError(what, expected, 'move it to EXTRAS["local"]')
        elif runtime and "local" in extras and not admits(str(requirement.specifier), runtime):
            what = f"setup.py asks for {text}, but the job's machines have TensorFlow {runtime}"
            fix = f"write =={runtime}.* in setup.py, or name another image in job.toml [runtime]"
            findings["version"] = UserError(what, "the same version here and there", fix)
    if not installed:
        what = 'setup.py requires no TensorFlow in EXTRAS["local"]'
        expected = "the TensorFlow that this machine trains with"
        findings["none"] = UserError(what, expected, 'add it under the name "local"')
    return list(findings.values())


def admits(specifier: str, version: str) -> bool:
    """Return whether some patch of a version such as 2.21 satisfies a specifier such as >=2.20,<2.22."""
    from packaging.specifiers import SpecifierSet

    parsed = SpecifierSet(specifier)
    return any(parsed.contains(f"{version}.{patch}") for patch in range(MOST_PATCHES))


def requirement_warnings(distribution: SourceDistribution, packages: Path) -> Iterator[UserError]:
    """Yield what some machine may fail to install; `packages` is the folder that all is installed in here."""
    for line in distribution.requirements_of(""):
        if "@ " in line and "@ file:" not in line:
            expected = "an address that the machines of a job can read without credentials, with git if it needs that"
            yield UserError(f"setup.py requires {line}, by its address", expected, REMEDY)
    for wheel in sorted(packages.glob("*.dist-info/WHEEL")):
        if BUILT_HERE.search(wheel.read_text(encoding="utf-8", errors="replace")):
            name = wheel.parent.name.removesuffix(".dist-info").replace("-", "==")
            what = f"{name} has no wheel for this Python and was compiled here"
            fix = "require a version that has a wheel, or use an image of your own"
            yield UserError(what, "wheels, because the machines of a job may have no compiler", fix)
