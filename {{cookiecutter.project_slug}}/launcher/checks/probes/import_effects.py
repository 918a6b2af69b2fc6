"""Runs inside the clean environment: imports modules and reports what they do beyond defining things.

Standard input is a line of JSON with the names to load, and another one: the folder of `packages` that holds the
package, the `required` packages, the names that are `used` below those, and the `modules` to import with their files.
The last line of the output is JSON: the required packages that are `absent`; if
none is, the used names that are `lacking`, with a similar one; if none is, the `effects`, each file, line and what. An
effect is stopped before it happens. Those of a third-party package's own import are not reported.
"""

import contextlib
import difflib
import functools
import gc
import importlib
import importlib.util
import io
import json
import os
import re
import signal
import sys
import traceback
from collections.abc import Callable, Iterable, Mapping
from itertools import takewhile
from pathlib import Path
from types import ModuleType
from typing import Any

LONGEST_SECONDS = 60
ENDS = "ends the process"
WRITING = os.O_WRONLY | os.O_RDWR
TABLE: dict[str, Any] = json.loads(Path(__file__).with_suffix(".json").read_text(encoding="utf-8"))
"""Audit events that read, write or act, the folders of the system, and Python methods, by module and class, before code
that raises no audit events."""
READS, WRITES, SYSTEM = (tuple(TABLE[key]) for key in ("reads", "writes", "system"))
ACTIONS = {event: what for what, events in TABLE["actions"].items() for event in events}

Effect = tuple[str, int, str]


class Stopped(BaseException):
    """Stops an import before its effect; `except Exception` does not catch it."""


class Guard(io.TextIOBase):
    """Stops the effects of the package's modules while one is imported: as audit hook, and as standard output."""

    def __init__(self, package: Path) -> None:
        self.package = package
        self.effects: list[Effect] = []
        self.active = False

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.active and (what := effect_of(event, arguments, self.package)):
            self.stop(what)

    def write(self, text: str) -> int:
        self.stop("prints")
        return len(text)

    def stop(self, what: str) -> None:
        """Note the effect and raise `Stopped` if the package's code causes it, and no import of another package."""
        frames = (frame for frame, _ in traceback.walk_stack(sys._getframe()))
        code = ((frame.f_code.co_filename, frame.f_lineno) for frame in frames)
        own = self.places(takewhile(lambda each: not each[0].startswith("<frozen importlib"), code))
        if own and self.active:
            self.effects.append((*own[0], what))
            raise Stopped(what)

    def places(self, code: Iterable[tuple[str, int | None]]) -> list[tuple[str, int]]:
        """Return file and line of the code that is the package's."""
        own = ((Path(name), line or 1) for name, line in code if self.package in Path(name).parents)
        return [(path.relative_to(self.package.parent).as_posix(), line) for path, line in own]


def effect_of(event: str, arguments: tuple[Any, ...], package: Path) -> str:
    """Return what an audited event does, "" if it is allowed."""
    if event in ACTIONS:
        return str(ACTIONS[event])
    if event not in (*READS, *WRITES) or not arguments or isinstance(arguments[0], int):
        return ""
    name = os.fsdecode(arguments[0] or ".")
    path = os.path.abspath(name)
    if event in WRITES or (event == "open" and int(arguments[2] or 0) & WRITING):
        return "" if path.startswith("/dev/") else f"writes {name}"
    installed = (folder for folder in sys.path if folder.endswith("site-packages"))
    own = (str(package), sys.prefix, sys.base_prefix, sys.exec_prefix, *installed)
    return "" if path.startswith((*own, *SYSTEM)) else f"reads {name}"


def guard_methods(guard: Guard) -> None:
    """Make the methods of the table in the modules that are loaded stop if the package calls them."""
    for module, class_name, method, what in TABLE["methods"]:
        owner = getattr(sys.modules.get(module), class_name, object)
        if hasattr(owner, method) and owner is not object:  # other versions may lack it
            setattr(owner, method, stopping(guard, getattr(owner, method), what))


def stopping(guard: Guard, original: Callable[..., Any], what: str) -> Callable[..., Any]:
    @functools.wraps(original)
    def replacement(*arguments: Any, **named: Any) -> Any:
        guard.stop(what)
        return original(*arguments, **named)

    return replacement


def effects_of(guard: Guard, module: str, file: str) -> list[Effect]:
    """Import a module and return its effects, or why it cannot be imported."""
    guard.effects, guard.active = [], True
    try:
        importlib.import_module(module)
    except BaseException as error:
        # One that was stopped may come back as an error of another kind.
        guard.effects = guard.effects or [failure_of(error, guard, file)]
    guard.active = False
    return guard.effects


def failure_of(error: BaseException, guard: Guard, file: str) -> Effect:
    frames = traceback.extract_tb(error.__traceback__)
    own = guard.places((each.filename, each.lineno) for each in frames)
    what = f"fails with {type(error).__name__}: {error}".splitlines()[0]
    what = re.sub(r" \([^()]*\.py\)$", "", what)  # where the module lies here
    return (*[(file, 1), *own][-1], ENDS if isinstance(error, SystemExit) else what)


def load(names: Iterable[str]) -> None:
    for name in names:
        with contextlib.suppress(BaseException):  # one that fails, fails again where it is imported
            importlib.import_module(name)


def lacking(names: Iterable[str]) -> dict[str, str]:
    """Return the names that a loaded module lacks, each with a similar one or "".

    What Python's own modules hold depends on the system, so names of them are not compared.
    """
    found = {}
    for name in names:
        module, *parts = name.split(".")
        if module in sys.stdlib_module_names:
            continue
        holder = sys.modules.get(module)
        for part in parts:
            if not isinstance(holder, ModuleType) or part.startswith("__"):
                break
            module = f"{module}.{part}"
            load([module] if not hasattr(holder, part) else [])
            if not hasattr(holder, part) and module not in sys.modules:
                found[module] = next(iter(difflib.get_close_matches(part, dir(holder), n=1)), "")
            holder = getattr(holder, part, sys.modules.get(module))
    return found


def effects_of_all(package: Path, modules: Mapping[str, str]) -> list[Effect]:
    """Import each module as the first one of the package, in a process that has the other distributions loaded."""
    guard = Guard(package)
    guard_methods(guard)
    sys.stdout = guard
    sys.addaudithook(guard)
    if not hasattr(os, "fork"):
        # On Windows a module that an earlier one imported has its effects reported, but no circle.
        return [
            each for module, file in modules.items() for each in effects_of(guard, module, file)
        ]
    forks, effects = list[tuple[int, int, str]](), list[Effect]()
    for module, file in modules.items():
        forks.append(fork(guard, module, file))
        if len(forks) == os.cpu_count():
            effects += ended(*forks.pop(0))
    return [*effects, *(each for every in forks for each in ended(*every))]


def fork(guard: Guard, module: str, file: str) -> tuple[int, int, str]:
    """Run `effects_of` in a copy of this process; return its id, a pipe with the effects, and the file."""
    read, write = os.pipe()
    child = os.fork()
    if not child:
        signal.signal(signal.SIGALRM, lambda *_: give_up(guard, file))
        signal.alarm(LONGEST_SECONDS)
        os.write(write, json.dumps(effects_of(guard, module, file)).encode())
        os._exit(0)
    os.close(write)
    return child, read, file


def ended(child: int, read: int, file: str) -> list[Effect]:
    """Wait for a copy; return its effects."""
    with open(read, encoding="utf-8") as pipe:
        text = pipe.read()
    os.waitpid(child, 0)
    return [tuple(each) for each in json.loads(text)] if text else [(file, 1, ENDS)]


def give_up(guard: Guard, file: str) -> None:
    what = f"takes more than {LONGEST_SECONDS} s"
    guard.stop(what)
    guard.effects.append((file, 1, what))
    raise Stopped(what)


def is_present(package: str) -> bool:
    with contextlib.suppress(ImportError, ValueError):
        return package in sys.modules or importlib.util.find_spec(package) is not None
    return False


def main() -> None:
    gc.disable()  # imports take a sixth longer with it, and it would write to all that the forks share
    load(json.loads(sys.stdin.readline()))
    request = json.loads(sys.stdin.readline())
    sys.path.insert(0, request["packages"])
    absent = [name for name in request["required"] if not is_present(name)]
    response: dict[str, Any] = {"absent": absent, "lacking": {}, "effects": []}
    package = importlib.util.find_spec("trainer")
    if request["modules"] and not absent and package and package.origin:
        response["lacking"] = lacking(request["used"])
        if not response["lacking"]:
            effects = effects_of_all(Path(package.origin).parent, request["modules"])
            response["effects"] = [*dict.fromkeys(effects)]
    print("\n" + json.dumps(response), file=sys.__stdout__, flush=True)
    os._exit(0)  # whatever an import left running


if __name__ == "__main__":
    main()
