"""Smoke test of the new project: does the package import, train a step, export and serve?

If this machine lacks something (nox, the network, a wheel), the hook warns and the project stays. An error of the
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
LATER = "the project is complete; test it later with: nox -s smoke"


def main() -> int:
    """Run the smoke test unless the answers skip it; return the hook's exit code."""
    if SMOKE_TEST == "skip":
        return 0
    if has_tensorflow():
        return run([sys.executable, "-m", "trainer.task", "--smoke-test"])
    nox = nox_command()
    if not nox:
        warn(f"neither TensorFlow nor nox is installed, so the smoke test was skipped; {LATER}")
        return 0
    code = run([*nox, "-s", "smoke"])
    if code and not any(Path(".nox").glob("runtime-*/launcher.json")):
        warn(f"the training environment could not be built (see above); {LATER}")
        return 0
    return code


def has_tensorflow() -> bool:
    """Return whether this interpreter has the TensorFlow version of setup.py, and the other requirements of training."""
    required = re.search(r"tensorflow==([0-9.]+)", Path("setup.py").read_text(encoding="utf-8"))
    if not required or not all(map(importlib.util.find_spec, NEEDED)):
        return False
    installed = [version(name) for name in ("tensorflow", "tensorflow-cpu")]
    return any(each.startswith(required[1]) for each in installed)


def version(distribution: str) -> str:
    """Return the installed version, "" if it is not installed."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return ""


def nox_command() -> list[str]:
    """Return the command that starts nox, empty if it is not installed."""
    if importlib.util.find_spec("nox"):
        return [sys.executable, "-m", "nox"]
    if shutil.which("nox"):
        return ["nox"]
    return ["uvx", "--from", "nox[uv]", "nox"] if shutil.which("uvx") else []


def run(command: list[str]) -> int:
    """Run a command in the new project, its output visible; return its exit code."""
    return subprocess.run(command, check=False).returncode


def warn(text: str) -> None:
    print(f"warning: {text}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
