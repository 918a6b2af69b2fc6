"""Questions to the clean environment, each to a program of probes/."""

import json
import tempfile
from pathlib import Path
from typing import Any

from launcher.subprocesses import clean_variables, run_captured


def ask(python: Path, name: str, request: object, opening: str) -> tuple[list[Any], str]:
    """Run a program of probes/ in a folder of its own.

    Returns the JSON of each line of its output that begins with `opening`, and the whole output.
    """
    probe = Path(__file__).parent / "probes" / f"{name}.py"
    command = [str(python), "-I", "-B", str(probe)]
    variables = clean_variables(TF_CPP_MIN_LOG_LEVEL="3")
    with tempfile.TemporaryDirectory() as folder:
        given = json.dumps(request)
        _, output = run_captured(command, Path(folder), variables, given=given)
    return [json.loads(line) for line in output.splitlines() if line.startswith(opening)], output
