"""The files of the package, compared with what its source distribution holds."""

from collections.abc import Iterable
from pathlib import Path

from launcher.console import UserError
from launcher.packaging.sdist import PACKAGE, package_files, python_files, syntax_finding, texts_of


def syntax_findings(project: Path) -> list[UserError]:
    findings = (syntax_finding(project / name, name) for name in python_files(project))
    return [finding for finding in findings if finding]


def left_out_findings(project: Path, shipped: frozenset[str]) -> list[UserError]:
    first_of: dict[str, str] = {}
    for name in python_files(project):
        if name not in shipped:
            first_of.setdefault(missing_init(project, name) or name, name)
    return [left_out(cause, name) for cause, name in first_of.items()]


def missing_init(project: Path, name: str) -> str:
    """Return the topmost `__init__.py` that a module lacks on its way from trainer/, or ""."""
    folders = [folder for folder in reversed(Path(name).parents) if folder.parts]
    lacking = (folder / "__init__.py" for folder in folders)
    return next((path.as_posix() for path in lacking if not (project / path).is_file()), "")


def left_out(cause: str, name: str) -> UserError:
    """Return the finding for the module `name`, left out because the file `cause` does not exist."""
    if cause == name:
        remedy = "remove what excludes it from setup.py or MANIFEST.in"
    else:
        remedy = f"create {cause}, an empty file"
    return UserError(
        f"{name} is not in the source distribution",
        "every module below trainer/ to travel to the cloud",
        remedy,
    )


def data_findings(project: Path, shipped: frozenset[str]) -> list[UserError]:
    data = [name for name in package_files(project) if not name.endswith((".py", ".pyc"))]
    lacking = [name for name in data if name not in shipped]
    if not lacking:
        return []
    texts = [(name, texts_of(project / name)) for name in python_files(project)]
    return [
        unshipped(name, user)
        for name in lacking
        if (user := next((user for user, found in texts if is_named(name, found)), ""))
    ]


def is_named(file: str, texts: Iterable[str]) -> bool:
    """Return whether one of the texts is the file's name, alone or at the end of a path."""
    name = file.rpartition("/")[2]
    return any(text == name or text.endswith(f"/{name}") for text in texts)


def unshipped(file: str, user: str) -> UserError:
    package_data = {PACKAGE: [file.partition("/")[2]]}
    return UserError(
        f"{file} is named in {user} but is not in the source distribution",
        "every file that the code opens to travel with it",
        f"add package_data={package_data} to setup() in setup.py",
    )
