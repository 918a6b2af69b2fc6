"""User-facing errors: problem, expectation, fix. They end a program without a traceback."""

import errno
import os
import sys
from collections.abc import Callable, Sequence

EXIT_USER_ERROR = 2
EXIT_INTERRUPTED = 130
STORAGE_FAULTS = (
    *(errno.ENOSPC, errno.EDQUOT, errno.EFBIG),
    *(errno.EACCES, errno.EPERM, errno.EROFS, errno.EIO, errno.ESTALE),
)


class UserError(Exception):
    """A problem that the user can fix: what is wrong, what was expected, what to do."""

    def __init__(self, what: str, expected: str, remedy: str) -> None:
        super().__init__(f"{what}; expected {expected}; {remedy}")


def shown(value: object, limit: int = 60) -> str:
    """Return `value` quoted for a message: control characters escaped, at most `limit` characters."""
    text = ascii(value) if not str(value).isprintable() else repr(value)
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


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
        if fault is None:
            raise
        print(f"error: {fault}", file=sys.stderr)
        return EXIT_USER_ERROR


def storage_fault(error: Exception) -> UserError | None:
    """Return the user-facing error for a failure of the file system, None for any other error."""
    # TensorFlow and DuckDB have errors of their own, which repeat the system's message.
    reasons = [os.strerror(number) for number in STORAGE_FAULTS]
    found = [reason for reason in reasons if reason in str(error)]
    if not found:
        return None
    where = (isinstance(error, OSError) and error.filename) or "what this run writes"
    return UserError(
        f"{where} cannot be read or written ({found[0]})",
        "free space, and permission to write there",
        "make room or name another folder; the same command resumes from the last checkpoint",
    )
