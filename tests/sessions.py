"""The sessions of a baked project as a user runs them, and files that are changed for a while."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

Change = Callable[[str], str]

# What Python, its libraries and DuckDB's own buffers take beside the memory that is allowed for SQL.
BESIDE_MB = 700

IDENTITY = ("-c", "user.name=Tester", "-c", "user.email=tester@example.com")


def git(folder: Path, *arguments: str) -> str:
    """Run git in a folder and return what it prints."""
    command = ["git", "-C", str(folder), *IDENTITY, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def session_command(project: Path, session: str, *arguments: str) -> list[str]:
    rest = ["--", *arguments] if arguments else []
    return [sys.executable, "-m", "nox", "-f", str(project / "noxfile.py"), "-s", session, *rest]


def nox(project: Path, session: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a session of the baked project as a user would."""
    command = session_command(project, session, *arguments)
    return subprocess.run(command, capture_output=True, text=True, check=False)


def ran(project: Path, session: str, *arguments: str) -> str:
    """Run a session that must succeed; return its output."""
    done = nox(project, session, *arguments)
    said = done.stdout + done.stderr
    assert done.returncode == 0, said[-4000:]
    return said


def metrics_of(project: Path, run: str = "runs/0001") -> dict[str, Any]:
    return dict(json.loads((project / run / "metrics.json").read_text(encoding="utf-8")))


def settled(project: Path, lived_in: Path) -> Path:
    """Let a new project use the environments of another, which saves a minute; return it."""
    (project / ".nox").symlink_to(lived_in / ".nox", target_is_directory=True)
    return project


@contextmanager
def changed(path: Path, text: str) -> Iterator[None]:
    """Change a file for a while; a new file is removed afterwards."""
    before = path.read_text(encoding="utf-8") if path.is_file() else None
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    try:
        yield
    finally:
        if before is None:
            path.unlink()
            if not any(path.parent.iterdir()):
                path.parent.rmdir()
        else:
            path.write_text(before, encoding="utf-8")


def check(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the check as nox does, in the environment that nox made."""
    python = project / ".nox" / "check" / "bin" / "python"
    variables = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    command = [str(python), "-m", "launcher", "check", *arguments]
    return subprocess.run(
        command, cwd=project, env=variables, capture_output=True, text=True, check=False
    )


def errors(done: subprocess.CompletedProcess[str]) -> list[str]:
    """Return the findings of a check that failed as it should."""
    assert done.returncode == 2, done.stdout + done.stderr
    assert "Traceback" not in done.stderr and not done.stdout
    return [line for line in done.stderr.splitlines() if line.startswith("error: ")]


def warnings(done: subprocess.CompletedProcess[str]) -> list[str]:
    """Return the warnings of a check that found no error."""
    assert done.returncode == 0, done.stdout + done.stderr
    return [line for line in done.stderr.splitlines() if line.startswith("warning: ")]


def planted(project: Path, name: str, change: Change) -> AbstractContextManager[None]:
    """Plant a mistake in a file, or a new file, for a while."""
    path = project / name
    before = path.read_text(encoding="utf-8") if path.is_file() else ""
    assert change(before) != before or not path.is_file(), f"the change of {name} changes nothing"
    return changed(path, change(before))


def python_of(project: Path, environment: str) -> str:
    """Return the interpreter of a project's environment that was used last: one with a package and its requirements."""
    folders = (project / ".nox" / "packages").glob(f"*/{environment}-*")
    newest = max(folders, key=lambda folder: folder.parent.stat().st_mtime)
    return str(newest / "bin" / "python")


def prepare(lived_in: Path, project: Path, *options: str) -> tuple[str, float]:
    """Prepare a project's table with the environment of another; return standard error and the peak memory in MB."""
    program = (
        "import sys;"
        "from trainer.prepare import main; code = main(sys.argv[1:]);"
        # getrusage would begin with the peak memory of the parent process.
        "status = open('/proc/self/status').read().split();"
        "print('MB', int(status[status.index('VmHWM:') + 1]) / 1024); sys.exit(code)"
    )
    output = str(project / "data" / "prepared")
    done = subprocess.run(
        [python_of(lived_in, "preparation"), "-c", program, "--output", output, *options],
        cwd=project,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return done.stderr, float(done.stdout.split()[-1])
