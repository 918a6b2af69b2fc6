"""What the package does when it is imported: every module is imported in a clean environment that stops effects."""

import json
from pathlib import Path

from launcher.checks.probe import ask
from launcher.checks.source_files import modules_of
from launcher.console import UserError
from launcher.packaging.environment import Environment

NOTE = "import_effects.json"


def imported_findings(environment: Environment, project: Path, content: str) -> list[UserError]:
    """Import every module in the environment, once for each `content`; return the effects and failures."""
    note = environment.folder / NOTE
    try:
        known = json.loads(note.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        known = {}
    if known.get("content") != content:
        known = {"content": content, "found": import_all(environment.python, project)}
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
    names = [name for name in modules_of(project) if not name.endswith("__main__")]
    modules = [name.removesuffix(".__init__") for name in names]
    effects, _ = ask(python, "import_effects", modules, "[")
    if effects is None:
        return [("trainer/__init__.py", 1, "the interpreter ends")]
    return [(name, line, what) for name, line, what in effects]
