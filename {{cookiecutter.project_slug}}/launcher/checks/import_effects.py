"""What the modules import and what importing them does, found out in the clean environment."""

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from launcher.checks.dependencies import OWN, absent_findings, package_of, required
from launcher.checks.names import module_name
from launcher.checks.probe import ask
from launcher.checks.source import Source
from launcher.checks.uses import lacking_findings
from launcher.console import UserError
from launcher.files import read_json, write_atomically
from launcher.packaging.sdist import SourceDistribution, error_line


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
    rows = read_json(Path(__file__).with_suffix(".json"))["effects"]
    findings, circular = [], set[str]()
    for file, line, effect in effects:
        matches = ((row, re.search(row["pattern"], effect)) for row in rows)
        row, others = next((row, match.groups()) for row, match in matches if match)
        modules = {module_name(file), *others} if others else set()
        if not modules & circular:
            circular |= modules
            what = row["what"].format(effect=effect, modules=" and ".join(sorted(modules)))
            where = f"{file}, line {line}: {what}"
            findings.append(UserError(where, row["expected"], row["remedy"]))
    return findings
