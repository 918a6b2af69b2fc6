"""docs/extending.md: each of its changes applies to a baked project, touches the files it lists, and does what it shows."""

import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.bakery import ROOT, bake
from tests.sessions import settled

PAGE = ROOT / "docs" / "extending.md"
SECTION = re.compile(r"^## (?P<title>[^\n]+)\n(?P<body>.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)
BLOCK = re.compile(r"```(?P<kind>diff|console)\n(?P<text>.*?)```", re.DOTALL)


@dataclass(frozen=True)
class Change:
    """A section of the page: the files it lists, the diff, and a command with lines of its output."""

    title: str
    listed: frozenset[str]
    diff: str
    command: str
    output: tuple[str, ...]

    @property
    def touched(self) -> frozenset[str]:
        """The files that the diff changes or adds."""
        return frozenset(re.findall(r"^\+\+\+ b/(\S+)$", self.diff, re.MULTILINE))


def changes() -> list[Change]:
    """Return the sections of the page that show a change."""
    found = []
    for section in SECTION.finditer(PAGE.read_text(encoding="utf-8")):
        blocks = {block["kind"]: block["text"] for block in BLOCK.finditer(section["body"])}
        if "diff" in blocks:
            before = section["body"].partition("```")[0]
            command, *output = blocks["console"].splitlines()
            listed = frozenset(re.findall(r"^- `([^`]+)`", before, re.MULTILINE))
            found.append(
                Change(
                    section["title"],
                    listed,
                    blocks["diff"],
                    command.removeprefix("$ "),
                    tuple(output),
                )
            )
    return found


CHANGES = changes()
each_change = pytest.mark.parametrize("change", CHANGES, ids=[each.title for each in CHANGES])


def apply(change: Change, folder: Path) -> None:
    """Apply the diff of a change to the project in `folder`."""
    done = subprocess.run(
        ["git", "apply", "--unidiff-zero", "-"],
        cwd=folder,
        input=change.diff,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_the_page_answers_ten_questions() -> None:
    assert len(CHANGES) == 10


@each_change
def test_a_change_touches_the_files_that_it_lists(change: Change, tmp_path: Path) -> None:
    assert change.touched == change.listed
    apply(change, bake(tmp_path, {}))


@pytest.mark.minute
@each_change
def test_a_change_does_what_it_shows(change: Change, lived_in: Path, tmp_path: Path) -> None:
    project = settled(bake(tmp_path, {}), lived_in)
    shutil.copytree(lived_in / "data" / "prepared", project / "data" / "prepared")
    apply(change, project)
    command = [sys.executable, "-m", *shlex.split(change.command)]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)
    output = done.stdout + done.stderr
    for line in change.output:
        assert line in output, output[-4000:]
