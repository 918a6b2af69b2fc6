"""How an answer is refused: one line in three parts, which the engine prints without a traceback."""

import difflib
from collections.abc import Iterable

LONGEST_SHOWN = 60


class AnswerRefused(Exception):
    """Stands in for the engine's exception where the engine is not installed."""


def refusal(prompt: str, problem: str, expected: str, remedy: str) -> Exception:
    """Return the exception that ends generation with one line and nothing written.

    `prompt` is the name of the answer at fault, `problem` what is wrong with it (with the value received).
    """
    line = f"{prompt}: {problem}; expected {expected}; {remedy}"
    try:
        from cookiecutter.exceptions import FailedHookException
    except ImportError:
        return AnswerRefused(line)
    refused: Exception = FailedHookException(line)
    return refused


def shown(value: object) -> str:
    """Return `value` quoted for a message: on one line, printable, at most 60 characters."""
    text = repr(value) if str(value).isprintable() else ascii(value)
    return text if len(text) <= LONGEST_SHOWN else f"{text[: LONGEST_SHOWN - 1]}…"


def nearest(value: str, choices: Iterable[str]) -> str:
    """Return the choice that `value` most likely meant, or "" if none is close."""
    by_folded = {folded(choice): choice for choice in choices}
    matches = difflib.get_close_matches(folded(value), by_folded, n=1)
    return by_folded[matches[0]] if matches else ""


def folded(text: str) -> str:
    """Return `text` without the differences that people do not mean: case, dashes and blanks."""
    return text.strip().casefold().replace("-", "_").replace(" ", "_")


def advice(value: str, choices: Iterable[str], otherwise: str) -> str:
    """Return what to do about an unknown value: write its nearest spelling, or `otherwise`."""
    guess = nearest(value, choices)
    return f"write {shown(guess)}, if that is what you mean" if guess else otherwise
