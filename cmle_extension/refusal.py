"""How an answer is refused: one line in three parts, which cookiecutter prints without a traceback."""

import difflib
from collections.abc import Iterable

LONGEST_SHOWN = 60


AnswerRefused: type[Exception]
try:
    from cookiecutter.exceptions import FailedHookException

    AnswerRefused = FailedHookException  # which cookiecutter reports in one line
except ImportError:
    AnswerRefused = ValueError


def refusal(prompt: str, problem: str, expected: str, remedy: str) -> Exception:
    """Return the exception that ends generation with one line and nothing written.

    `prompt` is the name of the invalid answer, `problem` what is wrong with it, including its value.
    """
    return AnswerRefused(f"{prompt}: {problem}; expected {expected}; {remedy}")


def shown(value: object) -> str:
    """Return `value` quoted for a message: on one line, printable, at most 60 characters."""
    text = repr(value) if str(value).isprintable() else ascii(value)
    return text if len(text) <= LONGEST_SHOWN else f"{text[: LONGEST_SHOWN - 1]}…"


def nearest(value: str, choices: Iterable[str]) -> str:
    """Return the choice closest to `value`, or "" if none is close."""
    by_folded = {folded(choice): choice for choice in choices}
    matches = difflib.get_close_matches(folded(value), by_folded, n=1)
    return by_folded[matches[0]] if matches else ""


def spelt_as(value: str, choices: Iterable[str]) -> str:
    """Return the choice that differs from `value` in case, dashes and blanks at most; `value` itself if there is none."""
    return {folded(choice): choice for choice in choices}.get(folded(value), value)


def folded(text: str) -> str:
    """Return `text` with case, dashes and blanks normalised."""
    return text.strip().casefold().replace("-", "_").replace(" ", "_")


def advice(value: str, choices: Iterable[str], otherwise: str) -> str:
    """Return how to fix an unknown value: write the closest choice, or `otherwise`."""
    closest = nearest(value, choices)
    return f"write {shown(closest)}, if that is what you mean" if closest else otherwise
