"""What the package's source imports, compared with what a clean environment and the package itself have."""

import functools
import symtable
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from launcher.checks.names import BEYOND, Name, module_name, name_findings
from launcher.checks.problem import Problem
from launcher.checks.source import Source
from launcher.console import UserError, nearest
from launcher.packaging.distributions import distribution_of
from launcher.packaging.sdist import EXTRA, PACKAGE, UNPARSED, python_files

ANYTHING = "*"
OWN = (PACKAGE, BEYOND)
Declared = Mapping[str, list[str]]
"""The requirement lines of setup.py by the name of their distribution."""


def required(names: Iterable[Name], declared: Declared) -> list[Name]:
    """Return the imports from other distributions that have to work in a clean environment.

    A function may import what only an extra in setup.py declares.
    """
    others = (each for each in names if each.imported and each.top not in OWN and not each.optional)
    return [
        each
        for each in others
        if not (each.lazy and EXTRA.search(" ".join(lines_of(each, declared))))
    ]


def lines_of(each: Name, declared: Declared) -> list[str]:
    return declared.get(distribution_of(package_of(each)), [])


def package_of(each: Name) -> str:
    """Return the part of a module's name that identifies its distribution."""
    parts = [*each.name.split("."), ""]
    depth = {"google": 2, "google.cloud": 3}
    return ".".join(parts[: depth.get(".".join(parts[:2]), depth.get(each.top, 1))])


def absent_findings(project: Path, absent: Iterable[Name], declared: Declared) -> list[UserError]:
    """Return one finding for each absent package, at the first place that imports it.

    One that is required without a condition is no mistake: where requirements cannot be installed, earlier ones are.
    """
    conditional = (each for each in absent if all(";" in line for line in lines_of(each, declared)))
    first = {package_of(each): each for each in reversed([*conditional])}
    return [misplaced(project, each) or undeclared(each, declared) for each in first.values()]


def misplaced(project: Path, each: Name) -> UserError | None:
    """Return the finding for a module that lies in the project, where a job does not find it."""
    for folder in (Path(each.file).parent, Path(PACKAGE)):
        if holds_module(project / folder, each.top):
            what = f'"import {each.top}" works only inside the folder {folder.as_posix()}'
            fix = f'write "from {".".join(folder.parts)} import {each.top}"'
            return UserError(f"{each.place}: {what}", "an import that names the package", fix)
    if not holds_module(project, each.top):
        return None
    what = f"imports {each.top}, which lies beside trainer/ and does not travel to the cloud"
    fix = f'move {each.top} below trainer/ and write "from {PACKAGE} import {each.top}"'
    return UserError(f"{each.place}: {what}", "modules below trainer/", fix)


def undeclared(each: Name, declared: Declared) -> UserError:
    fix = f'add "{distribution_of(package_of(each))}" to install_requires'
    lines = lines_of(each, declared)
    if not lines:
        what = f"imports {package_of(each)}, which a clean environment does not have"
        expected = "every package that the code needs to be declared"
        return UserError(f"{each.place}: {what}", expected, f"{fix} in setup.py")
    conditions = [line.partition(";")[2].strip() for line in lines if not EXTRA.search(line)]
    if conditions:
        what = f"imports {each.top}, which setup.py requires only if {conditions[0]}"
        expected = "a condition that the training environment meets"
        return UserError(f"{each.place}: {what}", expected, "correct or remove the condition")
    what = f"imports {each.top}, which only an extra in setup.py declares, when the module loads"
    fix = f"import it inside the function that needs it, or {fix}"
    return UserError(f"{each.place}: {what}", "modules that load without the extras", fix)


def holds_module(folder: Path, name: str) -> bool:
    """Return whether `folder` holds a module or a folder of modules of that name."""
    return (folder / f"{name}.py").is_file() or any((folder / name).glob("*.py"))


def own_import_findings(source: Source) -> list[UserError]:
    """Return modules that Python never imports, as a folder has the same name, and names of the package that do not exist."""
    files, contents = python_files(source.project), contents_of(source.project)
    twins = [(name, f"{name.removesuffix('.py')}/__init__.py") for name in files]
    hidden = [
        UserError(f"{name} is never imported, because {init} exists", "one of them", "rename one")
        for name, init in twins
        if init in files
    ]
    return hidden + name_findings(source.names, functools.partial(own_name, contents))


def shadow_warnings(source: Source) -> Iterator[UserError]:
    """Yield a warning for each module beside trainer/ that has the name of one that is imported from elsewhere."""
    expected = "a name of its own, because tests and scripts in this folder import the nearer one"
    for name in sorted({each.top for each in source.names if each.imported} - {*OWN}):
        if holds_module(source.project, name):
            what = f"{name} beside trainer/ hides the module {name} that the package imports"
            yield UserError(what, expected, "rename it")


def own_name(contents: Mapping[str, set[str]], each: Name) -> Problem | None:
    """Return what is wrong with a name below trainer/ that its module does not hold."""
    parts = each.name.split(".") if each.top == PACKAGE else []
    if each.top == BEYOND:
        what = "the dots of this import go beyond the package"
        return what, f"an import below {PACKAGE}", f'write "from {PACKAGE} import ..."'
    for module, part in ((".".join(parts[:end]), parts[end]) for end in range(1, len(parts))):
        held = contents.get(module, {ANYTHING})
        if not held & {ANYTHING, part} and not part.startswith("__"):
            what, guess = f"there is no {module}.{part}", nearest(part, held)
            fix = f"write {guess}" if guess else "correct the name"
            return what, f"a module or name that {module} holds", fix
    return None


def contents_of(project: Path) -> dict[str, set[str]]:
    """Return the names of what each module and folder below trainer/ holds."""
    contents: defaultdict[str, set[str]] = defaultdict(set)
    for file in python_files(project):
        name = module_name(file)
        parts = name.split(".")
        for end in range(1, len(parts)):
            contents[".".join(parts[:end])].add(parts[end])
        contents[name] |= defined_names((project / file).read_bytes())
    return contents


def defined_names(source: bytes) -> frozenset[str]:
    """Return what a module binds at its top level, and `ANYTHING` if it may bind more."""
    try:
        symbols = symtable.symtable(source.decode(), "module", "exec").get_symbols()
    except UNPARSED:
        return frozenset([ANYTHING])
    # One that only a function declares as global is neither assigned nor referenced.
    bound = {
        each.get_name()
        for each in symbols
        if each.is_assigned() or each.is_imported() or not each.is_referenced()
    }
    dynamic = b"import *" in source or b"globals()" in source or "__getattr__" in bound
    return frozenset(bound | {ANYTHING} if dynamic else bound)
