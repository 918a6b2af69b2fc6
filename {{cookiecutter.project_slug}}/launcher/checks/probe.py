"""Questions to the clean environment, each to a program of probes/."""

import contextlib
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from subprocess import PIPE
from typing import Any

from launcher.subprocesses import Process, clean_variables, send


@contextlib.contextmanager
def started(python: Path, name: str, *lines: object) -> Iterator[Process]:
    """Start a program of probes/ in a folder of its own, and give it values, each a line of JSON; end it at last."""
    probe = Path(__file__).parent / "probes" / f"{name}.py"
    command = [str(python), "-I", "-B", str(probe)]
    variables = clean_variables(TF_CPP_MIN_LOG_LEVEL="3")
    with (
        tempfile.TemporaryDirectory() as folder,
        Process(str(python), command, Path(folder), variables, PIPE, PIPE) as process,
    ):
        send(process, *lines)
        yield process


def read(process: Process, opening: str) -> tuple[list[Any], str]:
    """Return the JSON of each line of a program's output that begins with `opening`, and the whole output."""
    output = process.communicate()[0].decode(errors="replace")
    return [json.loads(line) for line in output.splitlines() if line.startswith(opening)], output
