"""The recorded answers of a project, while `cruft update` renders it again.

cruft stores them in the project's .cruft.json and runs in the project's folder. It passes the answers of the prompts but
not the private variables, so each answer is validated again, even if the table no longer exists.
"""

import functools
import glob
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from types import FrameType

from .refusal import shown

CRUFT_FILE = ".cruft.json"
CREATING_MODULE = "cruft._commands.create"


def recorded_answers() -> Mapping[str, str]:
    """Return the answers of the project in the working folder, empty unless cruft runs and this template made it."""
    if "cruft" not in sys.modules or is_creating():
        return {}  # a new project, created from within another one
    try:
        answers = json.loads(Path(CRUFT_FILE).read_text(encoding="utf-8"))["context"][
            "cookiecutter"
        ]
        texts = {str(name): value for name, value in answers.items() if isinstance(value, str)}
        return texts if "data_path" in texts else {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def is_creating() -> bool:
    """Return whether `cruft create` runs; cruft passes nothing that says so, only its frame does."""
    frame: FrameType | None = sys._getframe()
    while frame and frame.f_globals.get("__name__") != CREATING_MODULE:
        frame = frame.f_back
    return frame is not None


def recorded_path(data_path: str) -> str:
    """Return the absolute path of a data_path answer at the project's creation, "" if unknown."""
    answers = recorded_answers()
    return answers.get("__data_path", "") if answers.get("data_path") == data_path else ""


def answers_without_table(data_path: str) -> Mapping[str, str]:
    """Return the recorded answers, with a warning, if the project's table is no longer at `data_path`; else empty."""
    answers = recorded_answers()
    if not data_path or answers.get("__data_path") != data_path or "__table" not in answers:
        return {}
    if os.path.exists(data_path) or glob.glob(data_path, recursive=True):
        return {}
    warn_of_missing(data_path)
    return answers


@functools.cache
def warn_of_missing(data_path: str) -> None:
    """Warn that the table is missing; cached, so that several filters warn once per rendered commit."""
    print(
        f"warning: data_path: {shown(data_path)} does not exist; the project keeps the columns "
        f"in {CRUFT_FILE}, unchecked",
        file=sys.stderr,
    )
