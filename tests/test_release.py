"""The version of the template: one file, the changelog and the tag agree, and the checklist names what exists."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.bakery import ROOT, SOURCES

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

VERSION = re.compile(r"\d+\.\d+\.\d+(\.dev0)?")


def version_of(folder: Path) -> str:
    """Return the version of the template that a project names, or the template's own."""
    document = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))
    return str(document["tool"]["cmle-template"]["version"])


def release_faults(version: str, changelog: str, tags: list[str]) -> list[str]:
    """Return where the version, the top section of the changelog and the tags of the commit disagree."""
    heading, text = sections(changelog)[0]
    faults = [] if VERSION.fullmatch(version) else [f"version {version}"]
    if version.endswith(".dev0"):
        expected = "Unreleased"
    else:
        expected = rf"{re.escape(version)} - \d{{4}}-\d\d-\d\d"
        faults += [] if text else [f"nothing is below {heading}"]
    faults += [] if re.fullmatch(expected, heading) else [f"section {heading} for {version}"]
    return faults + [f"tag {tag} for {version}" for tag in tags if tag != f"v{version}"]


def sections(changelog: str) -> list[tuple[str, str]]:
    """Return heading and text of each section, the newest first."""
    found = re.findall(r"^## ([^\n]*)\n(.*?)(?=^## |\Z)", changelog, re.MULTILINE | re.DOTALL)
    return [(heading, text.strip()) for heading, text in found]


def tags_of_head() -> list[str]:
    """Return the version tags of the commit that is checked out, none outside a clone."""
    command = ["git", "-C", str(ROOT), "tag", "--points-at", "HEAD", "v*"]
    return subprocess.run(command, check=False, capture_output=True, text=True).stdout.split()


def test_version_changelog_and_tag_agree() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert release_faults(version_of(SOURCES), changelog, tags_of_head()) == []


def test_every_project_names_the_version(baked: dict[str, Path]) -> None:
    assert {version_of(project) for project in baked.values()} == {version_of(SOURCES)}


NOTES = "# Changelog\n\n## {}\n\n- A change.\n\n## 0.0.1 - 2026-01-01\n"


@pytest.mark.parametrize(
    ("version", "heading", "tags"),
    [
        ("0.1.0.dev0", "Unreleased", []),
        ("0.1.0", "0.1.0 - 2026-12-01", []),
        ("0.1.0", "0.1.0 - 2026-12-01", ["v0.1.0"]),
    ],
)
def test_a_good_release_has_no_faults(version: str, heading: str, tags: list[str]) -> None:
    assert release_faults(version, NOTES.format(heading), tags) == []


@pytest.mark.parametrize(
    ("version", "heading", "tags"),
    [
        ("0.1", "0.1 - 2026-12-01", []),
        ("0.1.0", "Unreleased", []),
        ("0.1.0", "0.1.0", []),
        ("0.1.0", "0.2.0 - 2026-12-01", []),
        ("0.1.0.dev0", "0.1.0 - 2026-12-01", []),
        ("0.1.0", "0.1.0 - 2026-12-01", ["v0.2.0"]),
        ("0.1.0.dev0", "Unreleased", ["v0.1.0"]),
    ],
)
def test_a_bad_release_has_one_fault(version: str, heading: str, tags: list[str]) -> None:
    assert len(release_faults(version, NOTES.format(heading), tags)) == 1


def test_a_release_without_a_changelog_has_a_fault() -> None:
    assert release_faults("0.1.0", "## 0.1.0 - 2026-12-01\n\n## 0.0.1 - 2026-01-01\n", [])


def sessions_of(folder: Path) -> set[str]:
    """Return the names of the sessions in a folder's noxfile."""
    text = (folder / "noxfile.py").read_text(encoding="utf-8")
    return set(re.findall(r"^@nox\.session.*\ndef (\w+)", text, re.MULTILINE))


def test_the_checklist_names_sessions_and_files_that_exist() -> None:
    text = (ROOT / "docs" / "releasing.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`nox -s (\w+)", text))
    assert named and named <= sessions_of(ROOT)
    files = re.findall(r"`((?:\S+/)?[\w.-]+\.(?:md|py|toml|json))`", text)
    assert files and all((ROOT / name).exists() or (SOURCES / name).exists() for name in files)


@pytest.mark.parametrize("folder", [ROOT, SOURCES], ids=["template", "project"])
def test_ci_checks_style_and_workflows_and_tests(folder: Path) -> None:
    text = (folder / "noxfile.py").read_text(encoding="utf-8")
    started = re.findall(r'"([a-z]+)"', re.findall(r"^CI = .*$", text, re.MULTILINE)[0])
    assert {"lint", "workflows", "tests"} <= set(started)
    assert set(started) - {"full"} <= sessions_of(folder)
