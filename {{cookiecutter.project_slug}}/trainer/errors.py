"""Errors that a user can mend, told in three parts and without a traceback."""

import sys
from collections.abc import Callable, Sequence

EXIT_USER_ERROR = 2
EXIT_INTERRUPTED = 130


class UserError(Exception):
    """Something the user can mend: what is wrong, what was expected, what to do."""

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
