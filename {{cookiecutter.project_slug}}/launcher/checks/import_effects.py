"""What the package does when it is imported: every module is imported in a clean environment that stops effects."""

import json
from pathlib import Path

from launcher.checks.probe import ask
from launcher.checks.source_files import modules_of
from launcher.console import UserError
from launcher.files import write_atomically

NOTE = "import_effects.json"


def imported_findings(python: Path, project: Path) -> list[UserError]:
    """Import every module in the package's environment, which never changes, once; return the effects and failures."""
    note = python.parent.parent / NOTE
    if note.is_file():
        found = json.loads(note.read_text(encoding="utf-8"))
    else:
        found = import_all(python, project)
        write_atomically(note, json.dumps(found))
    return [imported_finding(name, line, what) for name, line, what in found]


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
    names = [name for name in modules_of(project) if not name.endswith("__main__")]
    modules = [name.removesuffix(".__init__") for name in names]
    effects, _ = ask(python, "import_effects", modules, "[")
    if effects is None:
        return [("trainer/__init__.py", 1, "the interpreter ends")]
    return [(name, line, what) for name, line, what in effects]
