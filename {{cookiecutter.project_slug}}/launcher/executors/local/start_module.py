"""Starts a module in a replica as `python -m` does, and records the paths that it uses which only this machine has.

It runs with the package's interpreter, which has no launcher, so it imports the standard library alone:
`python start_module.py RECORD ROOTS MODULE ARGUMENT ...`, with the folders that a job may use as JSON. Without these it
loads TensorFlow and reads a line of JSON from standard input: arguments, variables, and the folder that holds the package.
"""

import contextlib
import gc
import json
import os
import runpy
import sys
import time
from collections.abc import Sequence
from typing import Any

READABLE = (
    *("/bin", "/dev", "/etc", "/lib", "/lib64", "/nix", "/opt", "/proc", "/run"),
    *("/sbin", "/sys", "/usr", "/var/cache", "/var/lib"),
    *("/Library", "/System", os.environ.get("SYSTEMROOT", "/usr")),
)
"""Folders of the system, which machines in the cloud have too."""
WRITABLE = ("/dev", "/proc", os.devnull)
EVENTS = frozenset({"open", "os.mkdir", "os.remove", "os.rename"})
"""Source: https://docs.python.org/3/library/audit_events.html"""


def main() -> None:
    if not getattr(sys.flags, "safe_path", False):
        sys.path.pop(0)  # the folder of this file, before Python 3.11
    record, roots, module, *arguments = sys.argv[1:] or awaited()
    python_folders = (sys.prefix, sys.base_prefix, sys.exec_prefix, sys.base_exec_prefix)
    record_paths(record, [*json.loads(roots), *python_folders, *filter(None, sys.path)])
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def awaited() -> list[str]:
    """Load TensorFlow as the trainer does, without a word; return the arguments when they come, or end if none do."""
    shown, hidden = os.dup(2), os.open(os.devnull, os.O_RDWR)
    os.dup2(hidden, 2)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    gc.disable()
    for name in ("keras", "pyarrow.parquet", "tensorboard.plugins.hparams.api"):
        with contextlib.suppress(Exception):
            __import__(name)
    gc.freeze()
    gc.enable()
    arguments, variables, packages = json.loads(sys.stdin.readline() or sys.exit())
    os.dup2(shown, 2)
    os.dup2(hidden, 0)
    os.environ.update(variables)
    sys.path.insert(-1, packages)  # before the requirements
    return list(arguments)


def record_paths(record: str, roots: Sequence[str]) -> None:
    """Append to a file what the program reads or writes outside of `roots`, and what is missing in HOME."""
    allowed = {"reads": prefixes([*roots, *READABLE]), "writes": prefixes([*roots, *WRITABLE])}
    home = os.path.expanduser("~")
    file = os.open(record, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    seen, started = set(), time.time()

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        # First, because there are many others.
        use = use_of(event, arguments) if event in EVENTS else None
        if use is None or use in seen:
            return
        seen.add(use)
        how, path = use
        found = None
        if not os.path.join(path, "").startswith(allowed[how]):
            found = use if how == "writes" or is_older(path, started) else None
        elif how == "reads" and path.startswith(home) and not os.path.exists(path):
            found = ("misses", "~" + path.removeprefix(home))
        if found:
            os.write(file, (json.dumps(found) + "\n").encode())

    sys.addaudithook(hook)


def is_older(path: str, time_seconds: float) -> bool:
    """Return whether a path is a file that nothing in this job made."""
    return os.path.isfile(path) and os.stat(path).st_ctime < time_seconds


def prefixes(folders: Sequence[str]) -> tuple[str, ...]:
    both = {*map(os.path.abspath, folders), *map(os.path.realpath, folders)}
    return tuple(os.path.join(path, "") for path in both)


def use_of(event: str, arguments: tuple[Any, ...]) -> tuple[str, str] | None:
    """Return how an audit event uses which path; None if that is a file descriptor, or relative to one."""
    how, path = "writes", arguments[1 if event == "os.rename" else 0]
    if event == "open":
        how = "writes" if arguments[2] & (os.O_WRONLY | os.O_RDWR) else "reads"
    elif arguments[-1] not in (-1, None):
        return None
    if not isinstance(path, (str, bytes)):
        return None
    return how, os.path.abspath(os.fsdecode(path))


if __name__ == "__main__":
    main()
