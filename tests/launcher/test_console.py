"""What the console writes, on an 80-column terminal and into a file."""

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios

import pytest

from tests.bakery import SOURCES

ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
LONG = "the folder /a/very/long/path/that/is/not/broken is not what it should be; " * 3
SCRIPT = f"""
import sys
from launcher.console import Console, Refused, UserError
console = Console(quiet="-q" in sys.argv)
console.step("package", {LONG!r})
with console.transfer("upload", 10) as advance:
    advance(10)
with console.status("job") as show:
    show("running " + {LONG!r})
    console.step("job", "pending")
console.warning("be careful")
console.error(Refused([UserError({LONG!r}, "x", "y"), UserError("a", "b", "c")]))
console.table(("tier", "machines"), [("BASIC", "[bold] n1"), ("LARGE", "m " * 60)])
"""


def output(*arguments: str, **variables: str) -> str:
    """Return what the script writes to a terminal of 80 columns."""
    terminal, end = pty.openpty()
    fcntl.ioctl(end, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    environment = {"PATH": os.environ["PATH"], "TERM": "xterm-256color", **variables}
    command = [sys.executable, "-c", SCRIPT, *arguments]
    with subprocess.Popen(
        command, cwd=SOURCES, stdin=end, stdout=end, stderr=end, env=environment
    ) as child:
        os.close(end)
        text = b""
        while block := read(terminal):
            text += block
    os.close(terminal)
    assert child.returncode == 0, text
    return text.decode().replace("\r\n", "\n")


def read(terminal: int) -> bytes:
    """Return what comes next; nothing at the end, which Linux reports as an error."""
    try:
        return os.read(terminal, 4096)
    except OSError:
        return b""


def plain(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the script without a terminal."""
    command = [sys.executable, "-c", SCRIPT, *arguments]
    return subprocess.run(command, cwd=SOURCES, capture_output=True, text=True, check=True)


def test_without_a_terminal_each_message_is_one_line() -> None:
    done = plain()
    package, state, warning, *errors = done.stderr.splitlines()
    assert package == f"package  {LONG}" and state == "job      pending"
    assert warning == "warning: be careful"
    assert errors == [f"error: {LONG}; expected x; y", "error: a; expected b; c"]
    headings, basic, _ = done.stdout.splitlines()
    assert (headings, basic) == ("tier   machines", "BASIC  [bold] n1")


def test_a_quiet_run_shows_warnings_errors_and_results() -> None:
    assert len(plain("-q").stderr.splitlines()) == 3 and plain("-q").stdout


def test_lines_on_a_terminal_are_broken_between_words() -> None:
    kept = re.split(r"[\r\n]+", ESCAPE.sub("", output(NO_COLOR="1")))
    assert any("0/10 bytes" in line or "10/10 bytes" in line for line in kept), kept
    assert all(len(line) <= 80 for line in kept), kept
    assert sum("/a/very/long/path/that/is/not/broken" in line for line in kept) >= 5


def test_colour_is_for_terminals_that_want_it() -> None:
    assert "\x1b[1;31merror:" in output() and "\x1b[1;31merror:" in output(NO_COLOR="")
    assert "\x1b[1;31m" not in output(NO_COLOR="1") + plain().stderr


@pytest.mark.parametrize("module", ["launcher.__main__", "launcher.commands.check"])
def test_rich_is_imported_only_to_draw(module: str) -> None:
    code = f"import sys, {module}; print('rich' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=SOURCES, capture_output=True, text=True, check=True
    )
    assert done.stdout == "False\n"
