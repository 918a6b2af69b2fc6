"""What the modules import and what importing them does, found out in the clean environment."""

import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from launcher.checks.dependencies import OWN, absent_findings, package_of, required
from launcher.checks.names import module_name
from launcher.checks.probe import ask
from launcher.checks.problem import Problem, findings_at
from launcher.checks.source import Source
from launcher.checks.uses import lacking_findings
from launcher.console import UserError
from launcher.files import read_json, write_atomically
from launcher.packaging.sdist import SourceDistribution, error_line

CIRCLE = re.compile(r"partially initialized module '(trainer[\w.]*)'")
FAILURES = (
    (r"'trainer\b", "correct the name"),
    (r"ModuleNotFoundError", "add the package that has it to install_requires in setup.py"),
    (r"ImportError", "correct the name, or require a version that has it in setup.py"),
    (r"", "correct that line"),
)
"""The first pattern that the failure of an import has, and the remedy."""


def import_findings(
    python: Path, source: Source, distribution: SourceDistribution, importable: bool
) -> list[UserError]:
    """Return the absent packages or, without any and if the modules are `importable`, what importing each does."""
    imports = required(source.names, distribution.declared)
    others = [each for each in source.names if each.top not in OWN]
    modules = source.modules if importable else {}
    request = {
        "required": sorted({package_of(each) for each in imports}),
        "loaded": sorted({each.name for each in others if each.imported and not each.lazy}),
        "used": sorted({each.name for each in others if not each.optional}),
        "modules": {name: modules[name] for name in modules if not name.endswith("__main__")},
    }
    response = remembered(python, request)
    absent = [each for each in imports if package_of(each) in response["absent"]]
    found = absent_findings(source.project, absent, distribution.declared)
    found += lacking_findings(others, response["lacking"])
    return found or effect_findings(response["effects"])


def remembered(python: Path, request: dict[str, Any]) -> dict[str, Any]:
    """Return the response of the package's environment; it never changes, so it is asked once for each request."""
    note = python.parent.parent / "import_effects.json"
    known = read_json(note)
    if known.get("request") != request:
        known = {"request": request, "response": asked(python, request)}
        write_atomically(note, json.dumps(known))
    return dict(known["response"])


def asked(python: Path, request: dict[str, Any]) -> dict[str, Any]:
    responses, output = ask(python, "import_effects", request, '{"absent": ')
    if not responses:
        reason, folder = error_line(output), python.parent.parent
        fix = f"remove the folder {folder} and run the command again"
        raise UserError(f"{python} cannot run ({reason})", "the training environment", fix)
    return dict(responses[-1])


def effect_findings(effects: Iterable[tuple[str, int, str]]) -> list[UserError]:
    """Return the findings of effects; circles with a module in common are one."""
    findings, circular = [], set[str]()
    for file, line, what in effects:
        circle = CIRCLE.search(what)
        modules = {module_name(file), circle[1]} if circle else set()
        if not modules & circular:
            circular |= modules
            findings += findings_at(f"{file}, line {line}: ", [problem_of(what, sorted(modules))])
    return findings


def problem_of(what: str, circle: Sequence[str]) -> Problem:
    if circle:
        what = f"{' and '.join(circle)} import each other"
        expected = "imports without a circle, because the first of them finds the other half loaded"
        fix = "move what both need into a third module, or import inside the function that needs it"
    elif what.startswith("fails"):
        fix = next(remedy for pattern, remedy in FAILURES if re.search(pattern, what))
        what = f"{what}, when it is imported in the training environment"
        expected = "modules that can be imported there"
    else:
        what = f"{what} when the module is imported"
        expected = "definitions only, because every replica, test and tool imports the module"
        fix = 'move it into a function that is called below if __name__ == "__main__":'
    return what, expected, fix
