"""The requirement on every answer: plain text on one line."""

import re
import unicodedata

from jinja2 import Undefined

from .quoting import JINJA_MARK
from .refusal import refusal, shown

BIDI_AND_BREAKS = re.compile("[\u200e\u200f\u2028-\u202e\u2066-\u2069]")
CONTROL_CATEGORIES = ("Cc", "Cs")  # Cs: a surrogate, from a file name that is not UTF-8


def checked_text(value: object, prompt: str, noun: str = "value") -> str:
    """Return `value` if it is text on one line without Jinja marks; refuse it otherwise.

    `noun` names it if it is only a part of the answer, such as a column's name.
    """
    if isinstance(value, Undefined):
        expected = "an answer to every prompt"
        raise refusal(prompt, "the replay file has only some of the answers", expected, "add them")
    if not isinstance(value, str):
        raise refusal(prompt, f"the {noun} is {shown(value)}", "text", "put it in quotes")
    if has_control_character(value):
        raise refusal(
            prompt,
            f"the {noun} {shown(value)} contains a control character",
            "visible characters on one line",
            "remove it",
        )
    if is_template(value):
        raise refusal(
            prompt,
            f"the {noun} {shown(value)} would be evaluated as a template",
            "text without {{, {% or {#, and without #% at its start",
            "remove them",
        )
    return value


def has_control_character(text: str) -> bool:
    """Return whether text contains a control character, a line break or a change of direction."""
    return bool(BIDI_AND_BREAKS.search(text)) or any(
        unicodedata.category(character) in CONTROL_CATEGORIES for character in text
    )


def is_template(text: str) -> bool:
    """Return whether cookiecutter would evaluate a part of `text` if it rendered it again."""
    return bool(JINJA_MARK.search(text)) or text.lstrip().startswith("#%")
