"""What the modules import and what importing them does, found out in the clean environment."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from launcher.checks.dependencies import absent_findings, package_of, required
from launcher.checks.names import Name
from launcher.checks.probe import ask
from launcher.checks.source_files import modules_of
from launcher.console import UserError
from launcher.files import write_atomically
from launcher.packaging.sdist import PACKAGE, SourceDistribution, error_line

NOTE = "import_effects.json"


def import_findings(
    python: Path,
    project: Path,
    distribution: SourceDistribution,
    names: Sequence[Name],
    importable: bool,
) -> list[UserError]:
    """Return the absent packages or, without any and if the modules are `importable`, what importing each does."""
    imports = required(names, distribution.declared)
    eager = {each.name for each in names if each.imported and not each.lazy and each.top != PACKAGE}
    modules = modules_of(project) if importable else {}
    request = {
        "required": sorted({package_of(each) for each in imports}),
        "loaded": sorted(eager),
        "modules": {name: modules[name] for name in modules if not name.endswith("__main__")},
    }
    response = remembered(python, request)
    absent = [each for each in imports if package_of(each) in response["absent"]]
    found = absent_findings(project, absent, distribution.declared)
    return found or [effect_finding(*each) for each in response["effects"]]


def remembered(python: Path, request: dict[str, Any]) -> dict[str, Any]:
    """Return the response of the package's environment; it never changes, so it is asked once for each request."""
    note = python.parent.parent / NOTE
    if note.is_file():
        known = json.loads(note.read_text(encoding="utf-8"))
        if known["request"] == request:
            return dict(known["response"])
    response = asked(python, request)
    write_atomically(note, json.dumps({"request": request, "response": response}))
    return response


def asked(python: Path, request: dict[str, Any]) -> dict[str, Any]:
    responses, output = ask(python, "import_effects", request, '{"absent": ')
    if not responses:
        what, expected = f"{python} cannot run ({error_line(output)})", "the training environment"
        remedy = f"remove the folder {python.parent.parent} and run the command again"
        raise UserError(what, expected, remedy)
    return dict(responses[-1])


def effect_finding(name: str, line: int, what: str) -> UserError:
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
