"""What the package does when it is imported: every module is imported in a clean environment that stops effects."""

import json
import tempfile
from pathlib import Path

from launcher.console import UserError
from launcher.packaging.environment import Environment
from launcher.packaging.sdist import python_files
from launcher.subprocesses import clean_variables, run_captured

NOTE = "import_effects.json"


def imported_findings(environment: Environment, project: Path, content: str) -> list[UserError]:
    """Import every module in the environment, once for each `content`; return the effects and failures."""
    note = environment.folder / NOTE
    try:
        known = json.loads(note.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        known = {}
    if known.get("content") != content:
        found = import_all(environment.python, project)
        known = {"content": content, "found": found}
        note.write_text(json.dumps(known), encoding="utf-8")
    return [imported_finding(name, line, what) for name, line, what in known["found"]]


def imported_finding(name: str, line: int, what: str) -> UserError:
    if what.startswith("fails"):
        return UserError(
            f"{name}, line {line}: {what}, when it is imported in the training environment",
            "modules that can be imported there",
            "correct that line, or add what it needs to install_requires in setup.py",
        )
    return UserError(
        f"{name}, line {line}: {what} when the module is imported",
        "definitions only, because every replica, test and tool imports the module",
        'move it into a function that is called below if __name__ == "__main__":',
    )


def import_all(python: Path, project: Path) -> list[tuple[str, int, str]]:
    """Return file, line and effect or failure of each module that does more than define when it is imported."""
    names = [name.removesuffix(".py").replace("/", ".") for name in python_files(project)]
    modules = [name.removesuffix(".__init__") for name in names if not name.endswith("__main__")]
    probe = Path(__file__).parent / "probes" / "import_effects.py"
    variables = clean_variables(TF_CPP_MIN_LOG_LEVEL="3")
    command = [str(python), "-I", str(probe)]
    with tempfile.TemporaryDirectory() as folder:
        _, output = run_captured(command, Path(folder), variables, given=json.dumps(modules))
    lines = [line for line in output.splitlines() if line.startswith("[")]
    if not lines:
        return [("trainer/__init__.py", 1, "the interpreter ends")]
    return [(name, line, what) for name, line, what in json.loads(lines[-1])]
