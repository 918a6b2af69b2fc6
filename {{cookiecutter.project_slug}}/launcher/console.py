"""The launcher's output, and its errors. Standard output carries results only; all else goes to standard error.

On a terminal, lines are wrapped between words, and errors, tables and progress are drawn by rich, which is imported
only then. Elsewhere each message is one plain line, so that scripts can read it.
"""

import contextlib
import functools
import shutil
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console as Terminal

LABEL_WIDTH = 8
ELAPSED_WIDTH = len(" 0:00:00  ")


class UserError(Exception):
    """Something the user can fix: what is wrong, what was expected, what to do."""

    def __init__(self, what: str, expected: str, remedy: str) -> None:
        super().__init__(f"{what}; expected {expected}; {remedy}")


class Refused(Exception):
    """Several findings at once, each a `UserError`."""

    def __init__(self, findings: Sequence[UserError]) -> None:
        super().__init__("\n".join(str(finding) for finding in findings))
        self.findings = tuple(findings)


@dataclass(frozen=True)
class Console:
    quiet: bool = False
    verbose: bool = False

    def step(self, label: str, text: str) -> None:
        """Report what happens now, unless the user wants quiet."""
        if not self.quiet:
            self.always(f"{label:<{LABEL_WIDTH}} {text}")

    def always(self, text: str) -> None:
        """Report something that even a quiet run shows."""
        print(wrapped(text), file=sys.stderr, flush=True)

    def warning(self, text: object) -> None:
        self._marked("warning:", "bold yellow", text)

    def error(self, error: UserError | Refused | str) -> None:
        for finding in error.findings if isinstance(error, Refused) else (error,):
            self._marked("error:", "bold red", finding)

    def table(self, headings: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        """Print rows to standard output with their cells aligned."""
        if sys.stdout.isatty():
            draw_table(headings, [*rows])
        else:
            print(aligned([headings, *rows] if headings else [*rows]))

    @contextlib.contextmanager
    def status(self, label: str) -> Iterator[Callable[[str], None]]:
        """Yield a function that shows the elapsed time and a text as the terminal's last line until the block ends."""
        room = max(1, shutil.get_terminal_size().columns - LABEL_WIDTH - ELAPSED_WIDTH)
        with self._last_line(label) as update:
            yield lambda text: update(description=textwrap.shorten(text, room, placeholder="…"))

    @contextlib.contextmanager
    def transfer(self, label: str, total_bytes: int) -> Iterator[Callable[[int], None]]:
        """Yield a function that adds to the bytes that a bar shows until the block ends."""
        with self._last_line(label, total_bytes) as update:
            yield lambda added: update(advance=added)

    @contextlib.contextmanager
    def _last_line(self, label: str, total: int | None = None) -> Iterator[Callable[..., None]]:
        """Yield what updates the terminal's last line: a bar, or, without a total, the time and a description."""
        if self.quiet or not sys.stderr.isatty():
            yield lambda **_: None
            return
        from rich import progress

        text = progress.TextColumn("{task.description}", markup=False)
        elapsed = (progress.TimeElapsedColumn(), text)
        bar = (progress.BarColumn(), progress.DownloadColumn(), progress.TimeRemainingColumn())
        columns = (f"{label:<{LABEL_WIDTH}}", *(elapsed if total is None else bar))
        with progress.Progress(*columns, console=terminal(), transient=True) as last_line:
            task = last_line.add_task("", total=total)
            yield functools.partial(last_line.update, task)

    def _marked(self, mark: str, style: str, text: object) -> None:
        """Print a line that begins with a mark, in colour on a terminal unless NO_COLOR is set."""
        line = wrapped(f"{mark} {text}")
        print(coloured(mark, style) + line[len(mark) :], file=sys.stderr, flush=True)


def coloured(text: str, style: str) -> str:
    """Return a text in a style of rich, plain unless standard error is a terminal that shows colours."""
    if not sys.stderr.isatty():
        return text
    drawer = terminal()
    with drawer.capture() as captured:
        drawer.print(text, style=style, end="", markup=False, soft_wrap=True)
    return captured.get()


def terminal(stderr: bool = True) -> "Terminal":
    from rich.console import Console as Terminal

    return Terminal(stderr=stderr, highlight=False)


def draw_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, show_header=bool(headings), header_style="bold", pad_edge=False)
    for heading in headings or [""] * len(rows[0]):
        table.add_column(heading, overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    terminal(stderr=False).print(table)


def aligned(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    padded = [map(str.ljust, row, widths) for row in rows]
    return "\n".join("  ".join(cells).rstrip() for cells in padded)


def wrapped(text: str) -> str:
    """Return a text with line breaks between words at the width of the terminal, if standard error is one.

    Paths and addresses stay unbroken.
    """
    if not sys.stderr.isatty():
        return text
    wrapper = textwrap.TextWrapper(
        shutil.get_terminal_size().columns - 1,
        subsequent_indent=" " * (LABEL_WIDTH + 1),
        replace_whitespace=False,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return "\n".join(map(wrapper.fill, text.splitlines()))


def shown(value: object, limit: int = 60) -> str:
    """Return `value` quoted for a message: printable, and at most `limit` characters."""
    text = repr(value) if str(value).isprintable() else ascii(value)
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def nearest(value: str, choices: Iterable[str]) -> str:
    """Return the choice that `value`, or the last part of it if it is a path, most likely meant, "" if none is close."""
    import difflib  # here, because --help needs none of it

    by_folded = {choice.casefold().replace("-", "_"): choice for choice in choices}
    folded = value.casefold().replace("-", "_").rstrip("/")
    parts = (folded, folded.rpartition("/")[2])
    matches = [each for part in parts for each in difflib.get_close_matches(part, by_folded, n=1)]
    return by_folded[matches[0]] if matches else ""
