"""The grammar of the answer `features`: `name:kind, name:kind`, on one line.

The kind follows the last colon. A name that contains a comma, a colon or a quote, or begins or ends with a
blank, is written as a JSON string: "a, b":numeric.
"""

import json
import re
from collections.abc import Iterable

from .quoting import quoted
from .refusal import refusal, shown

PROMPT = "features"
EXAMPLE = "for example age:numeric, city:categorical"
NEEDS_QUOTES = re.compile('[,:"]')
AFTER_NAME = re.compile(r"\s*:([^,:]*)(?:,|$)")


def format_features(kinds: Iterable[tuple[str, str]]) -> str:
    """Return pairs of a column's name and kind as one line; `parse_features` is the inverse."""
    return ", ".join(f"{format_name(name)}:{kind}" for name, kind in kinds)


def format_name(name: str) -> str:
    """Return a name unchanged, or as a JSON string if the grammar needs it."""
    bare = name and name == name.strip() and not NEEDS_QUOTES.search(name)
    return name if bare else quoted(name)


def parse_features(text: str) -> list[tuple[str, str]]:
    """Return the pairs of name and kind; refuse text outside the grammar. Kinds are not validated."""
    pairs: list[tuple[str, str]] = []
    position = 0
    while position < len(text) or not pairs:
        rest = text[position:].lstrip()
        position = len(text) - len(rest)
        read = quoted_item if rest.startswith('"') else bare_item
        name, kind, position = read(text, position)
        pairs.append((name, kind))
    return pairs


def quoted_item(text: str, start: int) -> tuple[str, str, int]:
    """Return name, kind and end position of an item whose name is a JSON string."""
    try:
        name, end = json.JSONDecoder().raw_decode(text, start)
    except json.JSONDecodeError:
        problem = f"the quotes in {shown(text[start:])} are not closed"
        expected = 'a name in double quotes, with \\" for a quote inside'
        raise refusal(PROMPT, problem, expected, 'for example "a, b":numeric') from None
    match = AFTER_NAME.match(text, end)
    if not match:
        problem = f"no kind follows the name {shown(name)}"
        raise refusal(
            PROMPT, problem, "a colon, a kind, and a comma before the next column", EXAMPLE
        )
    return name, match[1].strip(), match.end()


def bare_item(text: str, start: int) -> tuple[str, str, int]:
    """Return name, kind and end position of an item whose name is not quoted."""
    end = text.find(",", start)
    item = text[start : len(text) if end < 0 else end]
    name, colon, kind = item.rpartition(":")
    if not colon or not name.strip():
        problem = f"the item {shown(item.strip())} is not a column with a kind"
        raise refusal(PROMPT, problem, "name:kind for each column, separated by commas", EXAMPLE)
    return name.strip(), kind.strip(), len(text) if end < 0 else end + 1
