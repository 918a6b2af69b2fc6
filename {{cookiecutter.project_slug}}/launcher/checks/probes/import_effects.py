"""Runs inside the clean environment: imports modules and reports what they do beyond defining things.

Standard input is a JSON list of module names; the last line of the output is a JSON list of `[file, line, what]`.
What a third-party package does while it is imported is its own affair.
"""

import importlib
import importlib.util
import json
import os
import sys
import threading
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

LONGEST_SECONDS = 60.0
IMPORTING = "<frozen importlib"
READS = ("open", "os.listdir", "os.scandir", "glob.glob")
WRITES = ("os.mkdir", "os.remove", "os.rename", "os.rmdir", "shutil.copyfile", "tempfile.mkdtemp")
SYSTEM = ("/usr/", "/etc/", "/proc/", "/sys/", "/dev/", "/System/", "/Library/")
STARTS = {
    "os.system": "starts a program",
    "subprocess.Popen": "starts a program",
    "socket.connect": "opens a network connection",
    "socket.getaddrinfo": "opens a network connection",
}

Found = tuple[str, int, str]


class Refusal(Exception):
    """Stops an import that acts."""


class Guard:
    """Notes what the package does while its modules are imported, and stops it."""

    def __init__(self, package: Path) -> None:
        self.package = package
        self.found: list[Found] = []
        self.active = True

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Refuse an audited event that a module of the package causes."""
        what = deed(event, arguments, self.package) if self.active else ""
        place = self.place() if what else None
        if place:
            self.found.append((*place, what))
            raise Refusal(what)

    def place(self) -> tuple[str, int] | None:
        """Return file and line of the package's code that caused the event, None if another import did."""
        frame = sys._getframe(2)
        while frame:
            name = frame.f_code.co_filename
            if name.startswith(IMPORTING):
                return None
            if Path(name).is_relative_to(self.package):
                return self.shown(name), frame.f_lineno
            frame = frame.f_back  # type: ignore[assignment]
        return None

    def shown(self, name: str) -> str:
        """Return a file of the package relative to the project."""
        return Path(name).relative_to(self.package.parent).as_posix()


def deed(event: str, arguments: tuple[Any, ...], package: Path) -> str:
    """Return what an audited event does, "" if it may."""
    if event in STARTS:
        return STARTS[event]
    if event not in (*READS, *WRITES) or not arguments or isinstance(arguments[0], int):
        return ""
    path = os.path.abspath(os.fsdecode(arguments[0] or "."))
    if event in WRITES or (event == "open" and writes(arguments)):
        return "" if path.startswith("/dev/") else f"writes {path}"
    own = (str(package), sys.prefix, sys.base_prefix, sys.exec_prefix)
    return "" if path.startswith((*own, *SYSTEM)) else f"reads {path}"


def writes(arguments: tuple[Any, ...]) -> bool:
    """Tell whether a file is opened for writing."""
    mode, flags = str(arguments[1] or ""), int(arguments[2] or 0)
    return bool(set(mode) & set("wax+")) or bool(flags & (os.O_WRONLY | os.O_RDWR))


def import_failure(error: BaseException, guard: Guard, module: str) -> Found:
    """Return where and why an import failed."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [each for each in frames if Path(each.filename).is_relative_to(guard.package)]
    if isinstance(error, SystemExit):
        what = "ends the process"
    else:
        what = f"fails with {type(error).__name__}: {error}".splitlines()[0]
    if not own:
        return module.replace(".", "/") + ".py", 1, what
    return guard.shown(own[-1].filename), own[-1].lineno or 1, what


def answer(found: Sequence[Found]) -> None:
    """Write the answer as the last line."""
    print("\n" + json.dumps(list(dict.fromkeys(found))), flush=True)


def give_up() -> None:
    """Answer that an import does not end, and end this process."""
    answer([("trainer/__init__.py", 1, f"takes more than {LONGEST_SECONDS:.0f} s to import")])
    os._exit(0)


def main() -> None:
    """Answer one request."""
    modules = json.load(sys.stdin)
    spec = importlib.util.find_spec("trainer")
    folders = list(spec.submodule_search_locations or []) if spec else []
    guard = Guard(Path(folders[0]))
    timer = threading.Timer(LONGEST_SECONDS, give_up)
    timer.daemon = True
    timer.start()
    sys.addaudithook(guard)
    for module in modules:
        try:
            importlib.import_module(module)
        except Refusal:
            continue
        except BaseException as error:
            # One that was refused may come back as an error of another kind.
            if not guard.found:
                guard.found.append(import_failure(error, guard, module))
    guard.active = False
    answer(guard.found)
    os._exit(0)


if __name__ == "__main__":
    main()
