"""Tries the new project at once: does the package import, train a step, export and serve?

Whatever only this machine lacks (nox, the network, a wheel) is a warning, and the project stays. An error of the
project itself fails the generation.
"""

import importlib.metadata
import importlib.util
import re
import shutil
import subprocess
import sys
from pathlib import Path

SMOKE_TEST = {{cookiecutter.__smoke_test | quoted}}
NEEDED = ("numpy", "pyarrow", "tensorboard")
LATER = "the project is complete; try it later with: nox -s smoke"


def main() -> int:
    """Run the smoke test as the answers ask for; return the hook's exit code."""
    if SMOKE_TEST == "skip":
        return 0
    if has_tensorflow():
        return run([sys.executable, "-m", "trainer.task", "--smoke-test"])
    nox = nox_command()
    if not nox:
        warn(f"neither TensorFlow nor nox is here, so nothing was tried; {LATER}")
        return 0
    code = run([*nox, "-s", "smoke"])
    if code and not Path(".nox", "runtime", "launcher.json").is_file():
        warn(f"the training environment could not be built (see above); {LATER}")
        return 0
    return code


def has_tensorflow() -> bool:
    """Tell whether this interpreter has the TensorFlow that setup.py names, and what else training needs."""
    wanted = re.search(r"tensorflow==([0-9.]+)", Path("setup.py").read_text(encoding="utf-8"))
    if not wanted or not all(map(importlib.util.find_spec, NEEDED)):
        return False
    found = [version(name) for name in ("tensorflow", "tensorflow-cpu")]
    return any(each.startswith(wanted[1]) for each in found)


def version(distribution: str) -> str:
    """Return the installed version, "" if there is none."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return ""


def nox_command() -> list[str]:
    """Return how to start nox, nothing if it is not here."""
    if importlib.util.find_spec("nox"):
        return [sys.executable, "-m", "nox"]
    if shutil.which("nox"):
        return ["nox"]
    return ["uvx", "--from", "nox[uv]", "nox"] if shutil.which("uvx") else []


def run(command: list[str]) -> int:
    """Run the smoke test in the new project, its output visible; return its exit code."""
    return subprocess.run(command, check=False).returncode


def warn(text: str) -> None:
    """Write a warning."""
    print(f"warning: {text}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
