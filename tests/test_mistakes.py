"""Every mistake of the catalogue, planted in a baked project, is reported locally: a sample of those that need a run.

`nox -s drills` plants all and writes docs/mistakes.md from the messages.
"""

import random
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bakery import ROOT
from tests.drill import SEED, WHOLE, many
from tests.mistakes import PLANTS, RUNS, WHAT
from tests.mistakes.changes import LAYERS, Mistake, last
from tests.mistakes.code import NEWER
from tests.mistakes.data import shuffled_columns
from tests.sessions import changed, check, errors, nox, planted, ran, warnings
from tests.submitting import World

pytestmark = pytest.mark.full

PAGE = ROOT / "docs" / "mistakes.md"
HEAD = """# Mistakes and the commands that report them

`tests/test_mistakes.py` plants each mistake in a freshly baked project, and variants that the checks were not written for; `nox -s drills`
writes this page. The seconds are those of the complete command on two cores, with built environments and little else running.
Each area has its range of numbers, so that some are not used.

| | mistake | command | seconds | message |
|---|---|---|---|---|
"""

BEFORE_THE_PROJECT = re.compile(r"/(?:[\w.-]+/)*(?=census-income|shuffled)")
Reports = dict[int, tuple[str, str, float, str]]


@pytest.fixture(scope="module")
def project(lived_in: Path) -> Path:
    """The project to plant mistakes in, whose checks have run once."""
    (lived_in / "trainer" / "words.txt").write_text("some words", encoding="utf-8")
    ran(lived_in, "check")
    return lived_in


@pytest.fixture(scope="module")
def reports() -> Iterator[Reports]:
    """The message about each mistake, which a whole drill writes to the page."""
    found: Reports = {}
    yield found
    if WHOLE and set(found) == set(WHAT):
        rows = "".join(
            f"| {number} | {what} | `{command}` | {seconds:.1f} | {message} |\n"
            for number, (what, command, seconds, message) in sorted(found.items())
        )
        _, heading, rest = PAGE.read_text(encoding="utf-8").partition("\n## ")
        PAGE.write_text(HEAD + rows + heading + rest, encoding="utf-8")


def note(reports: Reports, number: int, command: str, seconds: float, message: str) -> None:
    """Keep the first message about a mistake."""
    plain = BEFORE_THE_PROJECT.sub("…/", message.removeprefix("error: ").replace("|", "\\|"))
    reports.setdefault(number, (WHAT[number], command, seconds, plain))


@pytest.mark.parametrize(
    "mistake",
    random.Random(SEED).sample(RUNS, many(4, len(RUNS))),
    ids=lambda each: each.name,
)
def test_a_local_run_reports_the_mistake(project: Path, reports: Reports, mistake: Mistake) -> None:
    run = f"runs/mistake-{mistake.number}"
    output = ("--job-dir", run) if mistake.session == "local_train" else ()
    with planted(project, mistake.file, mistake.change):
        started = time.monotonic()
        done = nox(project, mistake.session, *mistake.arguments, *output)
        seconds = time.monotonic() - started
    shutil.rmtree(project / run, ignore_errors=True)
    said = done.stdout + done.stderr
    assert (done.returncode != 0) == (mistake.severity == "error"), said[-4000:]
    assert "Traceback" not in said, said[-4000:]
    mark = f"{mistake.severity}: "
    line = next(line for line in said.splitlines() if mistake.part in line and mark in line)
    assert mistake.severity == "warning" or "; expected " in line or "exit code" in line, line
    command = " ".join(("nox -s", mistake.session, *("--", *mistake.arguments)))
    note(reports, mistake.number, command, seconds, line[line.index(mark) :])


def test_preparing_reports_another_order_of_columns(project: Path, reports: Reports) -> None:
    with planted(project, "job.toml", shuffled_columns(project)):
        started = time.monotonic()
        done = nox(project, "prepare")
        seconds = time.monotonic() - started
    assert done.returncode != 0 and "cannot be used" in done.stderr, done.stderr
    [line] = [line for line in done.stderr.splitlines() if "error: " in line]
    note(reports, 25, "nox -s prepare", seconds, line)


def test_a_run_that_cannot_resume_is_reported(project: Path, reports: Reports) -> None:
    run = ("--job-dir", "runs/corrupted")
    ran(project, "local_train", "--epochs", "1", *run)
    for path in (project / "runs" / "corrupted" / "checkpoints").iterdir():
        path.write_bytes(path.read_bytes()[:-100])
    started = time.monotonic()
    done = nox(project, "local_train", "--epochs", "2", *run)
    seconds = time.monotonic() - started
    assert done.returncode != 0 and "can be read; expected" in done.stderr, done.stderr
    line = next(line for line in done.stderr.splitlines() if "error: none of" in line)
    note(reports, 29, "nox -s local_train", seconds, line)


@pytest.mark.skipif(not WHOLE, reason="shown by other tests, and here for the page")
def test_the_check_reports_every_mistake_of_a_file(project: Path, reports: Reports) -> None:
    # test_checks.py plants them with their variants; here the first of each, for the page.
    firsts = {int(each.name): each for each in PLANTS if each.name.isdigit()}
    for number, plant in sorted(firsts.items()):
        with planted(project, plant.file, plant.change):
            started = time.monotonic()
            done = check(project)
            found = errors(done) if plant.severity == "error" else warnings(done)
            finding = next(line for line in found if plant.part in line)
            note(reports, number, "nox -s check", time.monotonic() - started, finding)


@pytest.mark.skipif(not WHOLE, reason="shown by other tests, and here for the page")
def test_the_check_reports_a_module_of_a_newer_python(project: Path, reports: Reports) -> None:
    facts = project / "launcher" / "spec" / "google_cloud.json"
    older = facts.read_text(encoding="utf-8").replace(
        '"2.21", "python": "3.11"', '"2.21", "python": "3.10"'
    )
    _, text, part = NEWER[0]
    with changed(facts, older), planted(project, LAYERS, last(text)):
        started = time.monotonic()
        [finding] = errors(check(project))
        note(reports, 6, "nox -s check", time.monotonic() - started, finding)
    assert part in finding


@pytest.mark.skipif(not WHOLE, reason="shown by other tests, and here for the page")
def test_an_unusable_bucket_is_reported_before_a_job_is_created(
    world: World, reports: Reports
) -> None:
    world.cloud.storage.create_bucket("all-of-europe", "EU")
    world.cloud.storage.create_bucket("far-away-1", "asia-east1")
    cases = ((20, "not-there-1", "nox -s bucket"), (21, "all-of-europe", "multi-region"))
    for number, name, words in cases:
        started = time.monotonic()
        done = world.run("submit", "--bucket", name, code=2)
        [line] = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
        assert words in line
        note(reports, number, "nox -s check -- --cloud, submit", time.monotonic() - started, line)
    world.run("prepare", "--upload", "--bucket", "far-away-1")
    started = time.monotonic()
    done = world.run("submit", "--bucket", "far-away-1")
    [line] = [line for line in done.stderr.splitlines() if line.startswith("warning: the bucket")]
    note(reports, 22, "nox -s check -- --cloud, submit", time.monotonic() - started, line)
    assert len(world.jobs) == 1


@pytest.mark.skipif(not WHOLE, reason="the page is that of a whole drill")
def test_the_page_has_every_mistake(reports: Reports) -> None:
    assert set(reports) == set(WHAT)
