"""What a command shows: messages, and a progress bar on a terminal."""

import os
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from trainer.run.errors import UserError

BAR_WIDTH, SHORTEST_BAR = 20, 8
LINE_EVERY_SECONDS = 10.0
REDRAW_EVERY_SECONDS = 0.1
LOG_LINE = re.compile(rb"^[IWEF][0-9]{4} ", re.MULTILINE)  # of TensorFlow's C++ side


class Console:
    """Writes messages to standard error at one of three levels; colours only on a terminal."""

    def __init__(self, quiet: bool = False, verbose: bool = False) -> None:
        self.quiet = quiet
        self.verbose = verbose
        self.terminal = sys.stderr.isatty()
        self.coloured = self.terminal and not os.environ.get("NO_COLOR")
        self._bar_shown = False

    def line(self, text: str) -> None:
        if not self.quiet:
            self._write(text)

    def detail(self, text: str) -> None:
        if self.verbose:
            self._write(text)

    def warning(self, text: str) -> None:
        self._write(f"\x1b[33mwarning:\x1b[0m {text}" if self.coloured else f"warning: {text}")

    def bar(self, done: float, parts: Sequence[str]) -> None:
        """Draw or redraw a bar that is `done` (0 to 1) full, and as many parts of a text as fit, the first before others."""
        # A line that is wrapped cannot be erased.
        room = shutil.get_terminal_size().columns - 1
        while len(parts) > 1 and len("  ".join(parts)) > room - SHORTEST_BAR - 1:
            parts = parts[:-1]
        text = "  ".join(parts)
        width = max(min(BAR_WIDTH, room - len(text) - 1), SHORTEST_BAR)
        filled = round(width * min(max(done, 0.0), 1.0))
        line = f"{'━' * filled}{'╌' * (width - filled)} {text}"
        sys.stderr.write(f"\r\x1b[2K{line[:room]}")
        sys.stderr.flush()
        self._bar_shown = True

    def table(self, rows: Sequence[tuple[str, str]]) -> None:
        width = max(len(name) for name, _ in rows)
        for name, value in rows:
            self.line(f"  {name:<{width}}  {value}")

    def _write(self, text: str) -> None:
        if self._bar_shown:
            sys.stderr.write("\r\x1b[2K")
            self._bar_shown = False
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()


class Progress:
    """Shows how far a run is: a bar on a terminal, a line every ten seconds elsewhere."""

    def __init__(self, console: Console, total_steps: int) -> None:
        self.console = console
        self.total_steps = total_steps
        self._first_step = self._rows = 0
        self._started = self._shown = 0.0

    def advance(self, step: int, rows: int, loss: float) -> None:
        """Count `rows` more rows and show `step` of the total, when due."""
        now = time.perf_counter()
        # The first steps trace the graph, so their pace says nothing of the others.
        if not self._started:
            self._first_step, self._started, self._shown = step, now, now
            return
        self._rows += rows
        interval = REDRAW_EVERY_SECONDS if self.console.terminal else LINE_EVERY_SECONDS
        if self.console.quiet or now - self._shown < interval:
            return
        self._shown = now
        parts = self.parts(step, loss, now - self._started)
        if self.console.terminal:
            self.console.bar(step / self.total_steps, parts)
        else:
            self.console.line(f"train    {'  '.join(parts)}")

    def seconds_left(self, step: int) -> float | None:
        """Return the time that the remaining steps will take, None while the first ones alone were taken."""
        if not self._rows:
            return None
        seconds = time.perf_counter() - self._started
        return (self.total_steps - step) * seconds / (step - self._first_step)

    def parts(self, step: int, loss: float, seconds: float) -> list[str]:
        left = (self.total_steps - step) * seconds / max(step - self._first_step, 1)
        rate = self._rows / max(seconds, 1e-9)
        shown = [f"step {step:,}/{self.total_steps:,}", f"{duration(left)} left"]
        return [*shown, f"loss {measure(loss)}", f"{rate:,.0f} rows/s"]


def duration(seconds: float) -> str:
    """Return `seconds` as `1 h 02 min`, `3 min 04 s` or `5 s`."""
    minutes, rest = divmod(round(seconds), 60)
    if minutes >= 60:
        return f"{minutes // 60} h {minutes % 60:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def measure(value: float) -> str:
    """Return a measure with four decimals, unless these would hide it or mean nothing."""
    if 0 < abs(value) < 1e-4 or abs(value) >= 1e15:
        return f"{value:.4g}"
    return f"{value:,.0f}" if abs(value) >= 1e6 else f"{value:.4f}"


def shown_path(path: Path) -> str:
    """Return `path` relative to the working folder where it lies below it."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def suppressed_stderr() -> AbstractContextManager[None]:
    """Suppress what is written to standard error, and show it only after an exception other than `UserError`.

    TensorFlow's C++ side writes before its own log level applies, so nothing milder suppresses it.
    """
    return held_stderr(
        lambda text, error: b"" if error is None or isinstance(error, UserError) else text
    )


def delayed_stderr() -> AbstractContextManager[None]:
    """Show what is written to standard error afterwards; of a `UserError`, what came before TensorFlow's log of its cause."""
    return held_stderr(
        lambda text, error: LOG_LINE.split(text)[0] if isinstance(error, UserError) else text
    )


@contextmanager
def held_stderr(shown: Callable[[bytes, BaseException | None], bytes]) -> Iterator[None]:
    """Hold back what is written to standard error; then write what `shown` returns of it, given an exception or None."""
    with tempfile.TemporaryFile() as file:
        original, failure = os.dup(2), None
        os.dup2(file.fileno(), 2)
        try:
            yield
        except BaseException as error:
            failure = error
            raise
        finally:
            sys.stderr.flush()
            os.dup2(original, 2)
            file.seek(0)
            os.write(original, shown(file.read(), failure))
            os.close(original)
