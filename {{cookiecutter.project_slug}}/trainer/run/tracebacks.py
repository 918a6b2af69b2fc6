"""Errors of the user's own code: a line that names the place, and a traceback of their frames alone."""

import traceback
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]
# What calls the code that users write; its frames explain nothing, unless an error is its own.
CALLERS = (
    *("task.py", "prepare.py", "run/", "training/contract.py", "training/distribution.py"),
    *("training/loop.py", "training/metrics.py", "training/train_step.py"),
)


def own_frames(error: BaseException) -> list[traceback.FrameSummary]:
    """Return the frames of an error in this package, the innermost last, with paths such as trainer/model.py."""
    frames = []
    for frame in traceback.extract_tb(error.__traceback__):
        path = Path(frame.filename)
        if path.is_relative_to(PACKAGE):
            frame.filename = path.relative_to(PACKAGE.parent).as_posix()
            frames.append(frame)
    called = tuple(f"{PACKAGE.name}/{name}" for name in CALLERS)
    return [frame for frame in frames if not frame.filename.startswith(called)] or frames


def place_of(error: BaseException) -> str:
    frame = own_frames(error)[-1]
    return f"{frame.filename}, line {frame.lineno}, in {frame.name}"


def report(error: Exception) -> str:
    """Return one line that names place and error, and the traceback of the own frames below it."""
    name, text = type(error).__name__, str(error).strip()
    first_line = text.partition("\n")[0]
    listed = "".join(traceback.format_list(own_frames(error)))
    return f"error: {place_of(error)}: {name}: {first_line}\n{listed}{name}: {text}"
