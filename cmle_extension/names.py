"""Answers that need no data: the project's name, its folder, and whether the smoke test runs."""

import re
import unicodedata

from .recorded import recorded_answers
from .refusal import advice, refusal, shown, spelt_as
from .text import checked_text

LONGEST_NAME = 100
LONGEST_SLUG = 63
SLUG = re.compile(r"[a-z][a-z0-9_-]{0,62}")
FALLBACK_SLUG = "training"
SMOKE_TEST_CHOICES = ("auto", "skip")

# Names that Windows reserves for devices.
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
    """Return the display name: one line of text, at most 100 characters."""
    name = checked_text(value, "project_name")
    if not name.strip() or len(name) > LONGEST_NAME:
        raise refusal(
            "project_name",
            f"the value {shown(name)} is {'empty' if not name.strip() else 'too long'}",
            f"1 to {LONGEST_NAME} characters",
            "write a display name, such as Census Income",
        )
    return name


def suggested_slug(project_name: str) -> str:
    """Return a folder name from the project's name, one that `checked_slug` accepts."""
    plain = unicodedata.normalize("NFKD", str(project_name)).encode("ascii", "ignore").decode()
    words = re.sub("[^a-z0-9]+", "-", plain.lower()).lstrip("-0123456789")
    slug = words[:LONGEST_SLUG].strip("-")
    return FALLBACK_SLUG if not slug or slug in WINDOWS_DEVICES else slug


def checked_slug(value: object) -> str:
    """Return the folder's name; refuse paths, and names that are invalid on some operating system."""
    slug = checked_text(value, "project_slug")
    if slug in WINDOWS_DEVICES:
        raise refusal(
            "project_slug",
            f"{shown(slug)} is the name of a device on Windows",
            "a folder name that is valid on every operating system",
            f"write {slug}-training, for example",
        )
    if not SLUG.fullmatch(slug):
        raise refusal(
            "project_slug",
            f"{shown(slug)} is not a valid folder name",
            f"a lower-case letter, then letters a-z, digits, _ or -, at most {LONGEST_SLUG} in all, no path",
            f"write {suggested_slug(slug)}, for example, and set the parent folder with --output-dir",
        )
    return slug


def checked_smoke_test(value: object) -> str:
    """Return `auto` or `skip`; `update` during `cruft update`, which renders the project twice in a temporary folder."""
    answer = spelt_as(checked_text(value, "smoke_test"), SMOKE_TEST_CHOICES)
    if answer not in SMOKE_TEST_CHOICES:
        raise refusal(
            "smoke_test",
            f"the value is {shown(answer)}",
            "auto or skip",
            advice(answer, SMOKE_TEST_CHOICES, "write auto to run the smoke test, or skip"),
        )
    return "update" if recorded_answers() else answer
