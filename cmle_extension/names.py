"""Answers about names: the project's name, its folder, and whether the smoke test runs."""

import re
import unicodedata

from .recorded import recorded_answers
from .refusal import advice, refusal, shown
from .text import checked_text

LONGEST_NAME = 100
LONGEST_SLUG = 63
SLUG = re.compile(r"[a-z][a-z0-9_-]{0,62}")
FALLBACK_SLUG = "training"
SMOKE_TEST_CHOICES = ("auto", "skip")

# Windows opens a device instead of a folder of this name.
WINDOWS_DEVICES = frozenset(
    [
        "con",
        "prn",
        "aux",
        "nul",
        *(f"{port}{digit}" for port in ("com", "lpt") for digit in range(10)),
    ]
)


def checked_project_name(value: object) -> str:
    """Return the project's name for people: one line of text, at most 100 characters."""
    name = checked_text(value, "project_name")
    if not name.strip() or len(name) > LONGEST_NAME:
        raise refusal(
            "project_name",
            f"the value {shown(name)} is {'empty' if not name.strip() else 'too long'}",
            f"1 to {LONGEST_NAME} characters",
            "write a name for people, such as Census Income",
        )
    return name


def suggested_slug(project_name: str) -> str:
    """Return a folder name made of the project's name, one that `checked_slug` accepts."""
    plain = unicodedata.normalize("NFKD", str(project_name)).encode("ascii", "ignore").decode()
    words = re.sub("[^a-z0-9]+", "-", plain.lower()).lstrip("-0123456789")
    slug = words[:LONGEST_SLUG].strip("-")
    return FALLBACK_SLUG if not slug or slug in WINDOWS_DEVICES else slug


def checked_slug(value: object) -> str:
    """Return the folder's name; refuse anything that is a path, or no folder name on some system."""
    slug = checked_text(value, "project_slug")
    if slug in WINDOWS_DEVICES:
        raise refusal(
            "project_slug",
            f"{shown(slug)} is the name of a device on Windows",
            "a name that is a folder on every system",
            f"write {slug}-training, for example",
        )
    if not SLUG.fullmatch(slug):
        raise refusal(
            "project_slug",
            f"{shown(slug)} is no folder name",
            f"a lower-case letter, then letters a-z, digits, _ or -, at most {LONGEST_SLUG} in all, no path",
            f"write {suggested_slug(slug)}, for example, and choose the place with --output-dir",
        )
    return slug


def checked_smoke_test(value: object) -> str:
    """Return `auto` or `skip`; always `skip` while cruft updates a project, which renders it twice in a temporary folder."""
    answer = checked_text(value, "smoke_test")
    if answer not in SMOKE_TEST_CHOICES:
        raise refusal(
            "smoke_test",
            f"the value is {shown(answer)}",
            "auto or skip",
            advice(answer, SMOKE_TEST_CHOICES, "write auto to try the new project once, or skip"),
        )
    return "skip" if recorded_answers() else answer
