"""User-facing errors: problem, expectation, fix. They end a program without a traceback."""

import contextlib
import difflib
import errno
import os
import signal
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence

from trainer.run.tracebacks import place_of, report

REMOVE = "remove it from trainer/features.py, or fix the file"
EXIT_FAILED = 1
EXIT_USER_ERROR = 2
EXIT_DRIFT = 3  # of `trainer.monitor` alone
EXIT_INTERRUPTED = 130
STOPPED = (128 + signal.SIGINT, 128 + signal.SIGTERM)
"""The exit codes of a run that has saved its state after a signal, and is to be resumed."""
STORAGE_FAULTS = {
    *(errno.ENOSPC, errno.EDQUOT, errno.EFBIG),
    *(errno.EACCES, errno.EPERM, errno.EROFS, errno.EIO, errno.ESTALE),
}
# Of sockets and processes too, unless the error names a file.
DENIED = {errno.EACCES, errno.EPERM}
# They hold the system's message, but not its number. By name, because an import takes seconds.
LIBRARY_ERRORS = {("tensorflow", "OpError"), ("duckdb", "IOException")}


class UserError(Exception):
    """A problem that the user can fix: what is wrong, what was expected, what to do."""

    def __init__(self, what: str, expected: str, remedy: str) -> None:
        super().__init__(f"{what}; expected {expected}; {remedy}")


def shown(value: object, limit: int = 60) -> str:
    """Return `value` quoted for a message: control characters escaped, at most `limit` characters."""
    text = ascii(value) if not str(value).isprintable() else repr(value)
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def nearest(name: str, names: Iterable[str], otherwise: str = REMOVE) -> str:
    folded = {each.casefold(): each for each in names}
    near = difflib.get_close_matches(name.casefold(), folded, n=1)
    return f"did you mean {shown(folded[near[0]])}?" if near else otherwise


def exit_code(program: Callable[[Sequence[str]], int], arguments: Sequence[str]) -> int:
    """Run `program(arguments)`; a `UserError` becomes one line on standard error and exit code 2."""
    try:
        return program(arguments)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return EXIT_USER_ERROR
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return EXIT_INTERRUPTED
    except Exception as error:
        fault = storage_fault(error)
        print(f"error: {fault}" if fault else report(error), file=sys.stderr)
        return EXIT_USER_ERROR if fault else EXIT_FAILED


@contextlib.contextmanager
def exit_reported() -> Iterator[None]:
    """Turn an exit from within training into a `UserError`: the run has not finished yet."""
    try:
        yield
    except SystemExit as error:
        if error.code in STOPPED:
            raise
        raise UserError(
            f"{place_of(error)} ends the process with sys.exit({error.code or 0!r}) before the run has finished",
            "a run that ends with metrics and a model",
            "return instead, or raise an error",
        ) from error


def storage_fault(error: Exception) -> UserError | None:
    """Return the user-facing error for a failure of the file system, None for any other error."""
    reason = storage_reason(error)
    if reason is None:
        return None
    where = (isinstance(error, OSError) and error.filename) or "what this run writes"
    return UserError(
        f"{where} cannot be read or written ({reason})",
        "free space, and permission to write there",
        "make room or name another folder, then run the command again",
    )


def storage_reason(error: Exception) -> str | None:
    """Return the system's message, if an error of the system or of a library that reads and writes files has it."""
    if isinstance(error, OSError):
        about_files = error.filename or error.errno not in DENIED
        known = error.errno in STORAGE_FAULTS and about_files
        return os.strerror(error.errno or 0) if known else None
    families = {
        (each.__module__.split(".")[0].strip("_"), each.__name__) for each in type(error).__mro__
    }
    # The error of a Python function that TensorFlow called holds its traceback.
    if not families & LIBRARY_ERRORS or "Traceback" in str(error):
        return None
    return next(filter(str(error).__contains__, map(os.strerror, sorted(STORAGE_FAULTS))), None)
