"""What the modules import and what importing them does, found out in the clean environment."""

import contextlib
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from launcher.checks import probe
from launcher.checks.dependencies import OWN, absent_findings, package_of, required
from launcher.checks.names import imports_in, module_name
from launcher.checks.source import Source
from launcher.checks.uses import lacking_findings
from launcher.console import UserError
from launcher.files import read_json, write_atomically
from launcher.packaging.environment import Environment, newest, python_of, site_packages
from launcher.packaging.sdist import SourceDistribution, error_line, python_files
from launcher.subprocesses import Process, send

PROBE = "import_effects"
NOTE = f"{PROBE}.json"
"""The last response, in the environment of a package, which never changes."""


@dataclass(frozen=True)
class Imports:
    """The modules, and a process in which what they import from elsewhere may have been loaded."""

    source: Source
    process: Process | None

    def findings(
        self, python: Path, requirements: Path, distribution: SourceDistribution, importable: bool
    ) -> list[UserError]:
        """Return the absent packages or, without any and if the modules are `importable`, what importing each does.

        `python` is the package's interpreter, `requirements` the folder of its requirements.
        """
        source = self.source
        imports = required(source.names, distribution.declared)
        others = [each for each in source.names if each.top not in OWN]
        modules = source.modules if importable else {}
        request = {
            "packages": str(site_packages(python.parent.parent)),
            "required": sorted({package_of(each) for each in imports}),
            "used": sorted({each.name for each in others if not each.optional}),
            "modules": {name: modules[name] for name in modules if not name.endswith("__main__")},
        }
        response = self.response(python, python_of(requirements), request)
        absent = [each for each in imports if package_of(each) in response["absent"]]
        found = absent_findings(source.project, absent, distribution.declared)
        found += lacking_findings(others, response["lacking"])
        return found or effect_findings(response["effects"])

    def response(self, python: Path, loading: Path, request: dict[str, Any]) -> dict[str, Any]:
        """Return the response of an environment, asking it once for each request."""
        note = python.parent.parent / NOTE
        known = read_json(note)
        if known.get("request") != request:
            process, started = self.process, probe.started(python, PROBE, loaded(self.source))
            is_ready = process and process.name in map(str, (python, loading))
            with contextlib.nullcontext(process) if process and is_ready else started as process:
                known = {"request": request, "response": asked(process, request)}
            write_atomically(note, json.dumps(known))
        note.touch()  # also if the code is what it was earlier: it is known from now on
        return dict(known["response"])


@contextlib.contextmanager
def importing(environment: Environment, project: Path) -> Iterator[Imports]:
    """Load what edited modules import, which takes seconds, while the package is built, installed and looked at."""
    source, python = Source(project), newest(environment)
    files = [project / file for file in (*python_files(project), "setup.py")]
    edited, known = latest(files), latest(project.glob(f".nox/packages/*/*/{NOTE}"))
    if python and edited > known:
        with probe.started(python, PROBE, loaded(source)) as process:
            yield Imports(source, process)
    else:
        yield Imports(source, None)


def latest(files: Iterable[Path]) -> float:
    """Return when the last of some files was changed, in seconds since the epoch."""
    return max((file.stat().st_mtime for file in files if file.is_file()), default=0)


def loaded(source: Source) -> list[str]:
    """Return the names from elsewhere that the modules import when they are imported."""
    nodes = [(file, node) for file, tree in source.trees.items() for node in tree.body]
    names = {name for file, node in nodes for _, _, name in imports_in(node, file)}
    return sorted(name for name in names if name.partition(".")[0] not in OWN)


def asked(process: Process, request: dict[str, Any]) -> dict[str, Any]:
    send(process, request)
    responses, output = probe.read(process, '{"absent": ')
    if not responses:
        python = Path(process.name)
        fix = f"remove the folder {python.parent.parent} and run the command again"
        what = f"{python} cannot run ({error_line(output)})"
        raise UserError(what, "the training environment", fix)
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
