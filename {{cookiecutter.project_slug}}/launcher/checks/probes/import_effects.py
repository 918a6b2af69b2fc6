"""Runs inside the clean environment: imports modules and reports what they do beyond defining things.

Standard input is a JSON list of module names; the last line of the output is a JSON list of `[file, line, what]`.
An effect is stopped before it happens. Those of a third-party package's own import are not reported.
"""

import importlib
import importlib.abc
import importlib.util
import io
import json
import os
import sys
import threading
import traceback
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any

LONGEST_SECONDS = 60.0
IMPORTING = "<frozen importlib"
READS = ("open", "os.listdir", "os.scandir", "glob.glob")
WRITES = (
    *("os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.link", "os.symlink", "os.truncate"),
    *("os.chmod", "os.chown", "shutil.copyfile", "shutil.rmtree", "tempfile.mkdtemp"),
)
SYSTEM = ("/usr/", "/etc/", "/proc/", "/sys/", "/dev/", "/System/", "/Library/")
ACTIONS = {
    **dict.fromkeys(
        ("os.system", "subprocess.Popen", "os.exec", "os.fork", "os.posix_spawn", "os.spawn"),
        "starts a program",
    ),
    **dict.fromkeys(("socket.connect", "socket.getaddrinfo"), "opens a network connection"),
    "builtins.input": "waits for input",
}
RUNS_A_MODEL = dict.fromkeys(("Model.evaluate", "Model.predict"), "runs a model")
ENTRY_POINTS = {
    "keras": {"Model.fit": "trains a model", **RUNS_A_MODEL},
    "tensorflow.python.lib.io.file_io": {"FileIO.__init__": "opens a file"},
    "tensorflow.python.data.ops.iterator_ops": {"OwnedIterator.__init__": "reads a data set"},
}
"""Python functions, by module, before code that raises no audit events."""

Effect = tuple[str, int, str]


class Stopped(Exception):
    """Stops an import before its effect."""


class Guard:
    """An audit hook that notes the effects of the package's modules while they are imported, and stops them."""

    def __init__(self, package: Path) -> None:
        self.package = package
        self.effects: list[Effect] = []
        self.active = True

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Stop an audited event that a module of the package causes."""
        if self.active and (what := effect_of(event, arguments, self.package)):
            self.stop(what)

    def stop(self, what: str) -> None:
        """Note the effect and raise `Stopped` if the package's code causes it."""
        where = self.position(sys._getframe())
        if where and self.active:
            self.effects.append((*where, what))
            raise Stopped(what)

    def position(self, frame: FrameType | None) -> tuple[str, int] | None:
        """Return file and line of the package's code that runs in a frame, None if another import does."""
        while frame:
            name = frame.f_code.co_filename
            if name.startswith(IMPORTING):
                return None
            if Path(name).is_relative_to(self.package):
                return self.relative(name), frame.f_lineno
            frame = frame.f_back
        return None

    def relative(self, name: str) -> str:
        return Path(name).relative_to(self.package.parent).as_posix()


class Output(io.TextIOBase):
    """Standard output that the package must not write to."""

    def __init__(self, guard: Guard) -> None:
        self.guard = guard

    def write(self, text: str) -> int:
        self.guard.stop("prints")
        return len(text)


class EntryPoints(importlib.abc.MetaPathFinder):
    """Makes the functions of `ENTRY_POINTS` stop as soon as their module is imported."""

    def __init__(self, guard: Guard) -> None:
        self.guard = guard

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the spec of a module whose functions are replaced after its import."""
        spec = PathFinder.find_spec(name, path, target) if name in ENTRY_POINTS else None
        if spec is None or spec.loader is None:
            return None
        execute = spec.loader.exec_module

        def execute_and_replace(module: ModuleType) -> None:
            execute(module)
            for function, what in ENTRY_POINTS[name].items():
                self.replace(module, function, what)

        spec.loader.exec_module = execute_and_replace  # type: ignore[method-assign]
        return spec

    def replace(self, module: ModuleType, function: str, what: str) -> None:
        """Replace a method by one that stops if the package calls it."""
        class_name, _, method = function.partition(".")
        owner = getattr(module, class_name, None)
        original = getattr(owner, method, None)
        if original is None:  # another version of the library
            return

        def stopping(*arguments: Any, **named: Any) -> Any:
            self.guard.stop(what)
            return original(*arguments, **named)

        setattr(owner, method, stopping)


def effect_of(event: str, arguments: tuple[Any, ...], package: Path) -> str:
    """Return what an audited event does, "" if it is allowed."""
    if event in ACTIONS:
        return ACTIONS[event]
    if event not in (*READS, *WRITES) or not arguments or isinstance(arguments[0], int):
        return ""
    name = os.fsdecode(arguments[0] or ".")
    path = os.path.abspath(name)
    if event in WRITES or (event == "open" and writes(arguments)):
        return "" if path.startswith("/dev/") else f"writes {name}"
    installed = (folder for folder in sys.path if folder.endswith("site-packages"))
    own = (str(package), sys.prefix, sys.base_prefix, sys.exec_prefix, *installed)
    return "" if path.startswith((*own, *SYSTEM)) else f"reads {name}"


def writes(arguments: tuple[Any, ...]) -> bool:
    mode, flags = str(arguments[1] or ""), int(arguments[2] or 0)
    return bool(set(mode) & set("wax+")) or bool(flags & (os.O_WRONLY | os.O_RDWR))


def import_failure(error: BaseException, guard: Guard, module: str) -> Effect:
    frames = traceback.extract_tb(error.__traceback__)
    own = [each for each in frames if Path(each.filename).is_relative_to(guard.package)]
    if isinstance(error, SystemExit):
        what = "ends the process"
    else:
        what = f"fails with {type(error).__name__}: {error}".splitlines()[0]
    if not own:
        return module.replace(".", "/") + ".py", 1, what
    return guard.relative(own[-1].filename), own[-1].lineno or 1, what


def finish(effects: Sequence[Effect]) -> None:
    print("\n" + json.dumps(list(dict.fromkeys(effects))), file=sys.__stdout__, flush=True)
    os._exit(0)


def give_up(guard: Guard) -> None:
    """Report the line that runs after `LONGEST_SECONDS`."""
    frame = sys._current_frames().get(threading.main_thread().ident or 0)
    where = guard.position(frame) or ("trainer/__init__.py", 1)
    guard.active = False
    finish([(*where, f"takes more than {LONGEST_SECONDS:.0f} s")])


def main() -> None:
    modules = json.load(sys.stdin)
    spec = importlib.util.find_spec("trainer")
    folders = list(spec.submodule_search_locations or []) if spec else []
    guard = Guard(Path(folders[0]))
    timer = threading.Timer(LONGEST_SECONDS, give_up, [guard])
    timer.daemon = True
    timer.start()
    sys.stdout = Output(guard)
    sys.meta_path.insert(0, EntryPoints(guard))
    sys.addaudithook(guard)
    for module in modules:
        try:
            importlib.import_module(module)
        except Stopped:
            continue
        except BaseException as error:
            # One that was stopped may come back as an error of another kind.
            if not guard.effects:
                guard.effects.append(import_failure(error, guard, module))
    guard.active = False
    finish(guard.effects)


if __name__ == "__main__":
    main()
