"""Smoke test of the new project: does the package import, train a step, export and serve? Then the next steps.

If this machine lacks something (nox, the network, a wheel), the hook warns and the project stays. An error of the
project itself fails the generation.
"""

import importlib.metadata
import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

SMOKE_TEST = {{cookiecutter.__smoke_test | quoted}}
NOTES: list[str] = {{(cookiecutter.__table | parsed).notes | default([]) | quoted}}
NEEDED = ("numpy", "pyarrow", "tensorboard")
LATER = "the project is complete; test it later with: nox -s smoke"
REDRAW_SECONDS = 0.2


def main() -> int:
    """Run the smoke test unless the answers skip it, and show the next steps; return the hook's exit code."""
    if SMOKE_TEST == "update":
        return 0
    code = 0 if SMOKE_TEST == "skip" else smoke_test()
    if not code:
        for note in NOTES:
            show(note)
        show(next_steps(Path.cwd(), os.environ.get("PWD", "")))
    return code


def smoke_test() -> int:
    """Return 0 if the project passes its smoke test, or if this machine cannot run it."""
    if has_tensorflow():
        show("smoke    testing the new project, some seconds")
        return run([sys.executable, "-m", "trainer.task", "--smoke-test"])
    nox = nox_command()
    if not nox:
        warn(f"neither TensorFlow nor nox is installed, so the smoke test was skipped; {LATER}")
        return 0
    show("smoke    building the training environment and testing the new project, about a minute")
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
    """Run a command in the new project; return its exit code. On a terminal its output is one line, unless it fails."""
    if not sys.stderr.isatty():
        return subprocess.run(command, check=False).returncode
    merged = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    with subprocess.Popen(command, encoding="utf-8", errors="replace", **merged) as child:
        lines: list[str] = []
        reader = threading.Thread(target=lambda: lines.extend(child.stdout or ()), daemon=True)
        reader.start()
        draw_while(reader, lines)
    results = [line for line in lines if line.startswith(("smoke ", "warning:"))]
    print("".join(lines if child.returncode else results), end="", file=sys.stderr)
    return child.returncode


def draw_while(reader: threading.Thread, lines: list[str]) -> None:
    """Draw the elapsed time and the last line, until there are no more."""
    started = time.perf_counter()
    while reader.is_alive():
        last = lines[-1].strip() if lines else ""
        text = f"{time.perf_counter() - started:4.0f} s   {last}"
        width = shutil.get_terminal_size().columns - 1
        print(f"\r\x1b[2K{text[:width]}", end="", file=sys.stderr, flush=True)
        reader.join(REDRAW_SECONDS)
    print("\r\x1b[2K", end="", file=sys.stderr, flush=True)


def next_steps(project: Path, start: str) -> str:
    """Return the commands that follow; `start` is where the user is, "" if that is unknown."""
    path = os.path.relpath(project, start) if start else str(project)
    folder = shlex.quote(str(project) if path.startswith("..") else path)
    install = "" if nox_command() else '  (after python3 -m pip install "nox[uv]")'
    return (
        f"next     cd {folder}\n"
        f"         nox -s local_train{install}\n"
        f"         the model will be in runs/0001/model; README.md lists all commands"
    )


def show(text: str) -> None:
    print(text, file=sys.stderr)


def warn(text: str) -> None:
    show(f"warning: {text}")


if __name__ == "__main__":
    sys.exit(main())
