"""Clean environments: exactly what the source distribution declares, and nothing else."""

import dataclasses
import hashlib
import json
import os
import platform
import shutil
import sys
import sysconfig
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from launcher.console import Console, UserError
from launcher.files import locked
from launcher.packaging.sdist import SourceDistribution, archive_files, error_line
from launcher.subprocesses import clean_variables, run_captured, run_visible

STATE_FILE = "launcher.json"
BUILD_WHEEL = "import sys; from setuptools.build_meta import build_wheel; build_wheel(sys.argv[1])"

Work = Literal["nothing", "package", "everything"]


@dataclass(frozen=True)
class Environment:
    """A clean environment: its folder, its extra, what it is for, how long it takes to build, and the file that pins it."""

    folder: Path
    extra: str
    purpose: str
    takes: str
    lock: Path | None = None

    @property
    def python(self) -> Path:
        inside = ("Scripts", "python.exe") if os.name == "nt" else ("bin", "python")
        return self.folder.joinpath(*inside)


@dataclass(frozen=True)
class State:
    python: str
    requirements: tuple[str, ...]
    content: str
    pinned: str = ""


def wanted_state(distribution: SourceDistribution, extra: str, lock: Path | None = None) -> State:
    """Return what an environment with this distribution must have been built from."""
    return State(
        python=f"{platform.python_implementation()} {platform.python_version()} {platform.machine()}",
        requirements=distribution.requirements_of(extra),
        content=distribution.content,
        pinned=hashlib.sha256(lock.read_bytes()).hexdigest() if lock and lock.is_file() else "",
    )


def needed_work(current: State | None, wanted: State) -> Work:
    """Return what has to be installed: nothing, the package alone, or everything from scratch."""
    if current == wanted:
        return "nothing"
    if current and dataclasses.replace(current, content=wanted.content) == wanted:
        return "package"
    return "everything"


def found_state(environment: Environment) -> State | None:
    """Return what the environment was built from, None if it is absent or was left half built."""
    try:
        state = json.loads((environment.folder / STATE_FILE).read_text(encoding="utf-8"))
        current = State(**{**state, "requirements": tuple(state["requirements"])})
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return current if environment.python.exists() else None


def ensure_environment(
    environment: Environment, distribution: SourceDistribution, console: Console
) -> None:
    """Make the environment hold just this distribution, with as little work as that takes, one process at a time."""
    lock = environment.folder.with_name(f"{environment.folder.name}.lock")
    with locked(lock, f"another command that builds the {environment.purpose}", console):
        install_if_needed(environment, distribution, console)


def install_if_needed(
    environment: Environment, distribution: SourceDistribution, console: Console
) -> None:
    """Install what the environment lacks; its state file is written last, so half an environment has none."""
    wanted = wanted_state(distribution, environment.extra, environment.lock)
    work = needed_work(found_state(environment), wanted)
    if work == "nothing":
        return
    state_file = environment.folder / STATE_FILE
    state_file.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        wheel = build_wheel(distribution, Path(folder), console)
        if work == "package":
            console.step("install", f"the package has changed: into the {environment.purpose}")
            reinstall_package(environment, wheel, console)
        else:
            console.step("install", f"building the {environment.purpose}, {environment.takes}")
            rebuild(environment, distribution.name, wheel, console)
    state_file.write_text(json.dumps(asdict(wanted), indent=2), encoding="utf-8")


def build_wheel(distribution: SourceDistribution, folder: Path, console: Console) -> Path:
    """Build the wheel from the source distribution alone, as an installer elsewhere does."""
    source = folder / "source"
    for name, content in archive_files(distribution.path).items():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_bytes(content)
    command = [sys.executable, "-c", BUILD_WHEEL, str(folder)]
    code, output = run_captured(command, source, clean_variables(), show=console.verbose)
    wheels = list(folder.glob("*.whl"))
    if code or not wheels:
        raise UserError(
            f"the source distribution cannot be installed ({error_line(output)})",
            "a setup.py that reads no file that does not travel",
            "correct setup.py; -v shows the build's output",
        )
    return wheels[0]


def reinstall_package(environment: Environment, wheel: Path, console: Console) -> None:
    """Replace the package alone. Needs no network."""
    arguments = ["pip", "install", "--python", str(environment.python)]
    arguments += ["--no-deps", "--no-index", "--reinstall", str(wheel)]
    run_uv(arguments, environment, console)


def rebuild(environment: Environment, name: str, wheel: Path, console: Console) -> None:
    """Rebuild the environment and install the package with all that it requires."""
    arguments = ["venv", "--clear", "--python", sys.executable, str(environment.folder)]
    run_uv(arguments, environment, console)
    arguments = ["pip", "install", "--python", str(environment.python)]
    arguments += [f"{name}[{environment.extra}] @ {wheel.as_uri()}"]
    if environment.lock and environment.lock.is_file():  # its hashes are checked too
        arguments += ["--constraint", str(environment.lock)]
    # Importing TensorFlow takes three times as long where its bytecode was not compiled.
    run_uv([*arguments, "--compile-bytecode"], environment, console)


def run_uv(arguments: Sequence[str], environment: Environment, console: Console) -> None:
    """Run uv; raise `UserError`, after printing its output, if it fails."""
    environment.folder.parent.mkdir(parents=True, exist_ok=True)
    variables = clean_variables(UV_PYTHON_DOWNLOADS="never")
    variables.pop("UV_COMPILE_BYTECODE", None)
    command, folder = [find_uv(), *arguments], environment.folder.parent
    code, output = run_captured(command, folder, variables, show=console.verbose)
    if code == 0:
        return
    if output:
        console.always(output.rstrip())
    raise UserError(
        f"the {environment.purpose} cannot be built",
        f"every requirement in setup.py to be installable here with Python {platform.python_version()}",
        "check the network and the requirements in setup.py, which uv's output names, then run it again",
    )


def find_uv() -> str:
    """Return the path of uv, this environment's own before any other."""
    path = shutil.which("uv", path=sysconfig.get_path("scripts")) or shutil.which("uv")
    if not path:
        expected = "uv in the launcher's environment"
        raise UserError("uv was not found", expected, "start with nox, or pip install uv")
    return path


def run_module(environment: Environment, arguments: Sequence[str], folder: Path) -> int:
    """Run a module of the package installed in `environment`; return its exit code."""
    # Without it a start in the project's folder would import trainer/ from there.
    cleaned = clean_variables(PYTHONSAFEPATH="1")
    return run_visible([str(environment.python), "-m", *arguments], folder, cleaned)
