"""Literals for generated files, and JSON that a private variable passes to the templates."""

import json
import re
from typing import Any

# JSON does not escape these, but TOML, YAML or an editor would reject, drop or hide them.
INVISIBLE = re.compile(
    "[\x7f-\x9f\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufffe\uffff\ud800-\udfff]"
)

# What Jinja evaluates: cruft renders stored answers again when a project is updated.
JINJA_MARK = re.compile(r"\{(?=[{%#])")


def quoted(value: str | list[str] | tuple[str, ...] | dict[str, str]) -> str:
    """Return text, or a list or dictionary of texts, as a literal that Python and YAML, and TOML but for a dictionary, read.

    Raises `TypeError` for other values.
    """
    items = [*value, *value.values()] if isinstance(value, dict) else value
    items = items if isinstance(items, (list, tuple)) else [items]
    if not all(isinstance(item, str) for item in items):
        raise TypeError(f"quoted takes text, or a list or dictionary of texts, not {value!r}")
    return INVISIBLE.sub(escaped, json.dumps(value, ensure_ascii=False))


def escaped(match: re.Match[str]) -> str:
    return f"\\u{ord(match.group()):04x}"


def packed(value: object) -> str:
    """Return `value` as JSON text that holds no Jinja marks; `parsed` is its inverse."""
    text = INVISIBLE.sub(escaped, json.dumps(value, ensure_ascii=False))
    return JINJA_MARK.sub(escaped, text)


def parsed(text: str) -> Any:
    """Return the value of the text; the inverse of `packed`."""
    return json.loads(text)
