"""A line that is written over and over, on terminals only."""

import shutil
import sys
from dataclasses import dataclass, field

from launcher.console import Console

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
