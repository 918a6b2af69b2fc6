"""docs/prompts.md: where each answer ends up, compared with projects that differ in one answer."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from launcher.spec.custom_job import Run, custom_job_of
from launcher.spec.job_file import read_job

from tests.bakery import ROOT, SOURCES, Answers, bake, files_of, write_table
from tests.mistakes import PLANTS

RUN = Run("a-run", "gs://other/package.tar.gz", "0123456789abcdef" * 4, "gs://other/data")
FIELDS = ("displayName", "outputUriPrefix", "workerPoolSpecs")
LABEL = "the binary target"
OTHER_ANSWERS: dict[str, Answers] = {
    "project_name": {"project_name": "Other"},
    "project_slug": {"project_slug": "other"},
    "label": {"label": "a b"},
    "gcp_project": {"gcp_project": "other-project-1"},
    "region": {"region": "europe-west4"},
    "bucket": {"bucket": "other-bucket"},
    "scale_tier": {"scale_tier": "STANDARD_1"},
}


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> Answers:
    """The answers of the project that the others are compared with."""
    table = write_table(tmp_path_factory.mktemp("table"), "comma.csv", "binary")
    return {
        "project_name": "First",
        "project_slug": "first",
        "data_path": str(table),
        "label": LABEL,
        "gcp_project": "first-project-1",
        "region": "us-central1",
        "bucket": "first-bucket",
        "scale_tier": "BASIC",
    }


@pytest.fixture(scope="module")
def first(answers: Answers, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project that the others are compared with."""
    return bake(tmp_path_factory.mktemp("first"), answers)


def documented() -> dict[str, tuple[str, str]]:
    """Return the cells about files and about Google Cloud for each prompt of the page."""
    text = (ROOT / "docs" / "prompts.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| (.*) \| (.*) \|$", text, re.MULTILINE)
    return {name: (files, cloud) for name, files, cloud in rows}


def fields_of(project: Path) -> dict[str, Any]:
    """Return the fields of the project's CustomJob that the page may name."""
    body = custom_job_of(read_job(project / "job.toml"), RUN)
    spec = body["jobSpec"]
    return {
        "displayName": body["displayName"],
        "outputUriPrefix": spec["baseOutputDirectory"]["outputUriPrefix"],
        "workerPoolSpecs": spec["workerPoolSpecs"],
    }


def check_row(prompt: str, first: Path, other: Path) -> None:
    """Compare what differs between two projects with the row of a prompt."""
    before, after = files_of(first), files_of(other)
    files, cloud = documented()[prompt]
    changed = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
    assert {name for name in before if f"`{name}`" in files} == changed
    jobs = fields_of(first), fields_of(other)
    differing = {name for name in FIELDS if jobs[0][name] != jobs[1][name]}
    assert {name for name in FIELDS if f"`{name}`" in cloud} == differing


def test_the_page_has_every_prompt() -> None:
    context = json.loads((ROOT / "cookiecutter.json").read_text(encoding="utf-8"))
    assert list(documented()) == [name for name in context if not name.startswith("_")]


@pytest.mark.parametrize("prompt", OTHER_ANSWERS)
def test_an_answer_ends_up_where_the_page_says(
    prompt: str, answers: Answers, first: Path, tmp_path: Path
) -> None:
    check_row(prompt, first, bake(tmp_path, {**answers, **OTHER_ANSWERS[prompt]}))


def test_the_path_of_the_table_ends_up_where_the_page_says(
    answers: Answers, first: Path, tmp_path: Path
) -> None:
    table = write_table(tmp_path, "comma.csv", "binary")
    check_row("data_path", first, bake(tmp_path, {**answers, "data_path": str(table)}))


def test_the_features_end_up_where_the_page_says(
    answers: Answers, first: Path, tmp_path: Path
) -> None:
    columns = (first / "trainer" / "features.py").read_text(encoding="utf-8")
    kinds = re.findall(r'^    ("[^\n]*"): "(\w+)",$', columns, re.MULTILINE)
    text = ", ".join(f"{name}:{kind}" for name, kind in [(kinds[0][0], "ignore"), *kinds[1:]])
    check_row("features", first, bake(tmp_path, {**answers, "features": text}))


def test_the_smoke_test_is_in_no_file() -> None:
    sources = b"".join(files_of(SOURCES).values())
    assert b"cookiecutter.smoke_test" not in sources and b"cookiecutter.__smoke_test" not in sources


def test_every_page_is_linked() -> None:
    pages = sorted(path.name for path in (ROOT / "docs").glob("*.md"))
    for name in ("README.md", "CONTRIBUTING.md"):
        text = (ROOT / name).read_text(encoding="utf-8")
        assert [page for page in pages if f"(docs/{page})" not in text] == [], name


@pytest.mark.parametrize("folder", [ROOT, SOURCES], ids=["template", "project"])
def test_a_readme_names_every_file_of_the_trainer_and_counts_none(folder: Path) -> None:
    """A count is wrong as soon as a module is added."""
    text = (folder / "README.md").read_text(encoding="utf-8")
    files = [f"trainer/{path.name}" for path in (SOURCES / "trainer").glob("[a-z]*.py")]
    assert [name for name in files if f"`{name}`" not in text] == []
    assert re.findall(r"[0-9]+ (?:modules|files)\b", text) == []


def test_every_command_that_uses_the_cloud_has_its_permissions() -> None:
    text = (SOURCES / "README.md").read_text(encoding="utf-8").split("### Permissions")[1]
    commands = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    named = {name.split()[0] for line in commands for name in re.findall("`([^`]+)`", line)}
    used = {"bucket", "prepare", "check", "submit", "tune", "image", "deploy", "batch"}
    assert named == used


def test_the_readme_counts_the_mistakes_that_are_planted() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    sentence = re.search(r"more than ([0-9]+) planted mistakes of ([0-9]+) kinds", text)
    assert sentence and int(sentence[1]) < len(PLANTS)
    kinds = {re.split("[ -]", plant.name)[0] for plant in PLANTS}
    assert int(sentence[2]) == len(kinds)
