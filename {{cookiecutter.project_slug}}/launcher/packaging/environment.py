"""Clean environments: exactly what the source distribution declares, and nothing else.

The requirements have an environment of their own, `.nox/NAME-DIGEST`, which all packages with the same ones share. Beside
each package lies a thin environment that holds the package alone and finds its requirements in the other. Neither
changes after it is complete, so a process keeps the code and the versions that it started with.
"""

import functools
import json
import os
import platform
import re
import shutil
import sys
import sysconfig
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from launcher.console import Console, UserError
from launcher.packaging.distributions import install_error
from launcher.packaging.sdist import SourceDistribution, building, error_line, prune
from launcher.subprocesses import clean_variables, run_captured

STATE_FILE = "launcher.json"
"""What an environment was built from; written last, so an incomplete environment has none."""
CHANGES_INSTALLED = re.compile(
    r"UV_(?!.*(?:PASSWORD|USERNAME|TOKEN)).*(?:INDEX|FIND_LINKS|CONSTRAINT|OVERRIDE|PRERELEASE|RESOLUTION|STRATEGY"
    r"|EXCLUDE|BINARY|BUILD|TORCH_BACKEND|SOURCES|CONFIG_FILE).*"
)
CREDENTIALS = re.compile(r"(?<=//)[^/\s]*@|[?#]\S*")
"""The parts of an address that may hold them."""


@dataclass(frozen=True)
class Environment:
    project: Path
    name: str
    extra: str
    purpose: str
    takes: str
    """How long building it takes."""

    @property
    def lock(self) -> Path:
        """The versions and hashes of all requirements, if `nox -s lock` has written them."""
        return self.project / "requirements.lock"

    def state(self, distribution: SourceDistribution) -> str:
        """Return what the requirements of this distribution are installed from, as JSON."""
        python = (platform.python_implementation(), platform.python_version(), platform.machine())
        state = {
            "python": " ".join(python),
            "requirements": distribution.requirements_of(self.extra),
            "pinned": sha256(self.lock.read_bytes()).hexdigest() if self.lock.is_file() else "",
        }
        return json.dumps(state, indent=2)

    def requirements(self, distribution: SourceDistribution) -> Path:
        digest = sha256(self.state(distribution).encode()).hexdigest()
        return self.project / ".nox" / f"{self.name}-{digest[:12]}"


def install(environment: Environment, distribution: SourceDistribution, console: Console) -> Path:
    """Return the interpreter of an environment that holds just this distribution and its requirements.

    Installs what is missing, one process at a time.
    """
    requirements = environment.requirements(distribution)
    package = distribution.path.parent / requirements.name
    with building(distribution.path.parent.parent, console):
        if not is_complete(requirements):
            prune(requirements.parent.glob(f"{environment.name}-*"))
            console.step("install", f"building the {environment.purpose}, {environment.takes}")
            if settings := ", ".join(settings_of_uv(os.environ)):
                console.step("install", f"with the settings of this machine: {settings}")
            install_requirements(environment, distribution, requirements, console)
        os.utime(requirements)
        if not is_complete(package):
            install_package(environment, distribution, package, console)
    return python_of(package)


def is_complete(folder: Path) -> bool:
    return (folder / STATE_FILE).is_file() and python_of(folder).exists()


def settings_of_uv(variables: Mapping[str, str]) -> list[str]:
    """Return the variables and files of this machine that change what uv installs, without credentials.

    Proxies and caches change only how; uv does not read the settings of pip.
    Source: https://docs.astral.sh/uv/reference/environment/
    """
    named = [name for name in sorted(variables) if CHANGES_INSTALLED.fullmatch(name)]
    shown = [f"{name}={CREDENTIALS.sub('', variables[name])}" for name in named]
    home = variables.get("XDG_CONFIG_HOME") or Path(variables.get("HOME", "/"), ".config")
    files = (Path(home, "uv", "uv.toml"), Path("/etc/uv/uv.toml"))
    return shown + [str(path) for path in files if path.is_file()]


def install_requirements(
    environment: Environment, distribution: SourceDistribution, folder: Path, console: Console
) -> None:
    uv = functools.partial(run_uv, environment, console)
    wheel, python = built_wheel(distribution, console), str(python_of(folder))
    requirement = f"{distribution.name}[{environment.extra}] @ {wheel.as_uri()}"
    # With the lock file, its hashes are checked too.
    pinned = ("--constraint", str(environment.lock)) if environment.lock.is_file() else ()
    uv("venv", "--clear", "--python", sys.executable, str(folder))
    # Importing TensorFlow takes three times as long where its bytecode was not compiled.
    uv("pip", "install", "--python", python, requirement, *pinned, "--compile-bytecode")
    uv("pip", "uninstall", "--python", python, distribution.name)
    (folder / STATE_FILE).write_text(environment.state(distribution), encoding="utf-8")


def install_package(
    environment: Environment, distribution: SourceDistribution, folder: Path, console: Console
) -> None:
    """Install the package alone, beside its requirements. Needs no network."""
    uv = functools.partial(run_uv, environment, console)
    wheel, python = str(built_wheel(distribution, console)), str(python_of(folder))
    requirements = environment.requirements(distribution)
    uv("venv", "--clear", "--python", str(python_of(requirements)), str(folder))
    alone = ("--no-deps", "--no-index", "--no-cache", "--compile-bytecode")
    uv("pip", "install", "--python", python, *alone, wheel)
    # Relative, so that a copied or moved project uses its own requirements.
    path = os.path.relpath(site_packages(requirements), folder)
    link = f"import os, site, sys; site.addsitedir(os.path.join(sys.prefix, {path!r}))\n"
    (site_packages(folder) / "requirements.pth").write_text(link, encoding="utf-8")
    (folder / STATE_FILE).write_text(environment.state(distribution), encoding="utf-8")


def built_wheel(distribution: SourceDistribution, console: Console) -> Path:
    """Return the wheel, built from the source distribution alone, as an installer elsewhere does."""
    target = distribution.path.parent
    for known in target.glob("*.whl"):
        return known
    command = [find_program("uv"), "build", "--wheel", "--no-build-isolation"]
    command += ["--python", sys.executable, "--out-dir", str(target), str(distribution.path)]
    code, output = run_captured(command, target, clean_variables(), show=console.verbose)
    if code:
        # uv adds that, and how, the build has failed.
        cause = error_line(output.partition("Failed to build")[0].rpartition("\n")[0])
        raise UserError(
            f"the source distribution cannot be installed ({cause})",
            "a setup.py that reads no file that does not travel",
            "correct setup.py; -v shows the build's output",
        )
    return next(target.glob("*.whl"))


def run_uv(environment: Environment, console: Console, *arguments: str) -> None:
    """Run uv; raise `UserError` with the cause if it fails."""
    variables = clean_variables(UV_PYTHON_DOWNLOADS="never")
    variables.pop("UV_COMPILE_BYTECODE", None)
    command = [find_program("uv"), *arguments]
    code, output = run_captured(command, environment.project, variables, show=console.verbose)
    if code:
        raise install_error(output, environment.purpose)


def find_program(name: str) -> str:
    """Return the path of a program, this environment's own before any other."""
    path = shutil.which(name, path=sysconfig.get_path("scripts")) or shutil.which(name)
    if not path:
        expected = f"{name} in the launcher's environment"
        raise UserError(f"{name} was not found", expected, f"start with nox, or pip install {name}")
    return path


def newest(environment: Environment) -> Path | None:
    """Return the interpreter of the requirements that were used last, None if there are none."""
    folders = (environment.project / ".nox").glob(f"{environment.name}-*")
    complete = sorted(filter(is_complete, folders), key=lambda folder: folder.stat().st_mtime)
    return python_of(complete[-1]) if complete else None


def python_of(folder: Path) -> Path:
    return folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def site_packages(folder: Path) -> Path:
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    return folder / ("Lib" if os.name == "nt" else f"lib/{version}") / "site-packages"
