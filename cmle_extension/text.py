"""What every answer has to be before anything else is asked of it: plain text on one line."""

import re
import unicodedata

from .quoting import JINJA_MARK
from .refusal import refusal, shown

BIDI_AND_BREAKS = re.compile("[\u200e\u200f\u2028-\u202e\u2066-\u2069]")
CONTROL_CATEGORIES = ("Cc", "Cs")  # Cs: half of a character, from a file name that is no UTF-8


def checked_text(value: object, prompt: str, noun: str = "value") -> str:
    """Return `value` if it is text on one line without Jinja marks; refuse it otherwise.

    `noun` says what it is if it is not the whole answer, such as a column's name.
    """
    if not isinstance(value, str):
        raise refusal(prompt, f"the {noun} is {shown(value)}", "text", "put it in quotes")
    if has_control_character(value):
        raise refusal(
            prompt,
            f"the {noun} {shown(value)} holds a control character",
            "characters that can be seen, on one line",
            "take it out",
        )
    if is_template(value):
        raise refusal(
            prompt,
            f"the {noun} {shown(value)} would be evaluated as a template",
            "no {{, {% or {# in it, and no #% at its start",
            "take the braces out",
        )
    return value


def has_control_character(text: str) -> bool:
    """Tell whether text holds a character that moves the cursor, ends the line or turns its direction."""
    return bool(BIDI_AND_BREAKS.search(text)) or any(
        unicodedata.category(character) in CONTROL_CATEGORIES for character in text
    )


def is_template(text: str) -> bool:
    """Tell whether the engine would evaluate a part of `text` if it rendered it once more."""
    return bool(JINJA_MARK.search(text)) or text.lstrip().startswith("#%")
