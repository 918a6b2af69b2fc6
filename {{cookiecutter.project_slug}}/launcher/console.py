"""What the launcher says, and how it says that something is wrong.

The launcher imports nothing from `trainer`: it has to be able to report that `trainer` cannot be imported.
"""

import difflib
import shutil
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field


class UserError(Exception):
    """Something the user can mend: what is wrong, what was expected, what to do."""

    def __init__(self, what: str, expected: str, remedy: str) -> None:
        super().__init__(f"{what}; expected {expected}; {remedy}")


class Refused(Exception):
    """Several findings at once, each a `UserError`."""

    def __init__(self, findings: Sequence[UserError]) -> None:
        super().__init__("\n".join(str(finding) for finding in findings))
        self.findings = tuple(findings)


@dataclass(frozen=True)
class Console:
    """Writes to standard error, so that standard output carries results only."""

    quiet: bool = False
    verbose: bool = False

    def step(self, label: str, text: str) -> None:
        """Say what happens now, unless the user wants quiet."""
        if not self.quiet:
            self.always(f"{label:<8} {text}")

    def always(self, text: str) -> None:
        """Say something that even a quiet run shows."""
        print(text, file=sys.stderr, flush=True)


def print_table(rows: Sequence[Sequence[str]]) -> None:
    """Print rows to standard output with their cells aligned."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True))
        print("  ".join(cells).rstrip())


def shown(value: object, limit: int = 60) -> str:
    """Return `value` quoted for a message: printable, and at most `limit` characters."""
    text = repr(value) if str(value).isprintable() else ascii(value)
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def nearest(value: str, choices: Iterable[str]) -> str:
    """Return the choice that `value` most likely meant, or "" if none is close."""
    by_folded = {choice.casefold().replace("-", "_"): choice for choice in choices}
    matches = difflib.get_close_matches(value.casefold().replace("-", "_"), by_folded, n=1)
    return by_folded[matches[0]] if matches else ""


ERASE = "\r\x1b[K"


@dataclass
class Progress:
    """The last line of the terminal; elsewhere, nothing."""

    console: Console
    shows: bool = field(init=False)

    def __post_init__(self) -> None:
        """Find out whether anybody looks."""
        self.shows = sys.stderr.isatty() and not self.console.quiet

    def show(self, text: str) -> None:
        """Put `text` in the place of what was shown before."""
        if self.shows:
            columns = shutil.get_terminal_size().columns
            print(ERASE + text[: columns - 1], end="", file=sys.stderr, flush=True)

    def line(self, text: str) -> None:
        """Write a line that stays, above the one that changes."""
        self.clear()
        self.console.always(text)

    def clear(self) -> None:
        """Take the line away."""
        if self.shows:
            print(ERASE, end="", file=sys.stderr, flush=True)
