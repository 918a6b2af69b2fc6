"""Messages, names and documents use the terms of the field; the commonest private phrases are listed here."""

import re
import subprocess

from tests.bakery import ROOT

REPLACED_BY = {
    r"told (apart|at|by|in|its|of|once)": "reported, distinguished",
    r"mend(ed|ing|s)?": "fix",
    r"is no whole number": "invalid value: expected an integer",
    r"(go|goes|going|gone) on (from|where|with)": "resume, continue",
    r"(held|hold) against": "compared with",
    r"anew": "rebuilt, rewritten",
    r"so many": "the number itself",
}
PHRASE = re.compile(rf"\b({'|'.join(REPLACED_BY)})\b", re.IGNORECASE)
TEXT_FILES = ("*.py", "*.md", "*.toml", "*.json", "*.yml")


def test_texts_use_the_terms_of_the_field() -> None:
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", *TEXT_FILES]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    paths = [ROOT / name for name in listed.split("\0") if name and (ROOT / name).is_file()]
    found = [
        f"{path.relative_to(ROOT)}:{number}: {match[0]!r}"
        for path in paths
        if path.name != "test_language.py"
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        if (match := PHRASE.search(line))
    ]
    assert not found, "\n".join(found)
