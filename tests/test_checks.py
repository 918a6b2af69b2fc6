"""`nox -s check` in a baked project: each mistake of the catalogue, and variants of it, is reported in one line before a job is submitted."""

import random
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bakery import COVERED, bake
from tests.drill import SEED, many
from tests.mistakes import PLANTS, RUNS
from tests.mistakes.changes import JOB, LAYERS, SETUP, Mistake, Plant, first, key, last, put, swap
from tests.mistakes.code import NEWER
from tests.mistakes.job import IMAGES
from tests.sessions import changed, check, errors, nox, planted, warnings
from tests.specs import SPECS, specs_of

WARM_SECONDS = 4.0
"""Of the processors: other tests take turns on the same cores, so a clock on the wall would measure them too."""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project baked with defaults, its environments made."""
    project = bake(tmp_path_factory.mktemp("checks"), {})
    done = nox(project, "check")
    assert done.returncode == 0, done.stderr[-4000:]
    return project


def speed(name: str) -> pytest.MarkDecorator:
    """Return the marker of a mistake: its variants run in the full tests only."""
    return pytest.mark.full if " " in name else pytest.mark.minute


def test_every_planted_mistake_changes_its_file(baked: dict[str, Path]) -> None:
    rows: list[Plant | Mistake] = [*PLANTS, *RUNS]
    for each in rows:
        path = baked["defaults"] / each.file
        before = path.read_text(encoding="utf-8") if path.is_file() else "no such file"
        assert each.change(before) != before, f"{each.name}, {each.file}: {before[:200]}"


def sample_of_plants() -> list[Plant]:
    """Return the first mistake of each number, and as many variants as there is time for."""
    variants = [plant for plant in PLANTS if " " in plant.name]
    chosen = random.Random(SEED).sample(variants, many(40, len(variants)))
    return [plant for plant in PLANTS if plant in chosen or plant not in variants]


@pytest.mark.parametrize(
    "plant",
    [pytest.param(each, id=each.name, marks=speed(each.name)) for each in sample_of_plants()],
)
def test_a_mistake_is_reported_in_one_line(project: Path, plant: Plant) -> None:
    with planted(project, plant.file, plant.change):
        done = check(project)
    found = errors(done) if plant.severity == "error" else warnings(done)
    [finding] = [line for line in found if plant.severity == "error" or plant.part in line]
    assert plant.part in finding
    assert finding.count("; ") >= 2


@pytest.fixture
def older(project: Path) -> Iterator[None]:
    """Make the machines of the job run Python 3.10."""
    path = project / "launcher" / "spec" / "google_cloud.json"
    text = path.read_text(encoding="utf-8")
    with changed(path, text.replace('"2.21", "python": "3.11"', '"2.21", "python": "3.10"')):
        yield


@pytest.mark.usefixtures("older")
@pytest.mark.parametrize(
    ("text", "part"),
    [pytest.param(*newer[1:], id=newer[0], marks=speed(newer[0])) for newer in NEWER],
)
def test_what_the_image_s_python_lacks_is_reported(project: Path, text: str, part: str) -> None:
    with planted(project, LAYERS, last(text)):
        [finding] = errors(check(project))
    assert part in finding and "Python 3.10" in finding


@pytest.mark.minute
def test_the_command_line_is_checked_as_job_toml_is(project: Path) -> None:
    for arguments, part in (
        (("--epohcs", "3"), "write --epochs"),
        (("--epochs", "many"), "expected an integer >= 1"),
        (("--hidden-units=/home/me/x",), "a gs:// address"),
        (("--region", "mars"), "there is no training in the region"),
        (("--scale-tier", "B200", "--region", "me-west1"), "us-west3"),
    ):
        assert part in errors(check(project, *arguments))[0]


@pytest.mark.minute
def test_all_mistakes_are_reported_together(project: Path) -> None:
    with (
        planted(project, JOB, lambda text: key("bucket", '"goog-x"')(key("timeout", '"0h"')(text))),
        planted(project, SETUP, swap("==2.21.*", "==2.15.*")),
        planted(project, LAYERS, first("import pandas")),
        planted(project, "trainer/sub/x.py", put("")),
    ):
        found = errors(check(project))
    assert len(found) == 5


@pytest.mark.minute
def test_a_valid_project_is_checked_within_seconds(project: Path) -> None:
    assert check(project).returncode == 0
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = check(project)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode == 0, done.stderr
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < WARM_SECONDS
    assert "a placeholder" in done.stderr and "error" not in done.stderr


@pytest.mark.minute
def test_nox_fails_for_a_mistake(project: Path) -> None:
    with planted(project, JOB, key("timeout", '"0h"')):
        done = nox(project, "check")
    assert done.returncode != 0 and done.stderr.count("error: ") == 1


@pytest.mark.minute
def test_the_tiers_of_a_region_are_a_table(project: Path) -> None:
    done = nox(project, "tiers", "--region", "europe-west4")
    assert done.returncode == 0, done.stderr
    here, _, elsewhere = done.stdout.partition("not in europe-west4:")
    headings = ["tier", "machines", "scheduling", "default", "quota"]
    assert here.splitlines()[0].split() == headings
    assert "\nL4 " in here and "0: ask for more" in here.partition("\nL4 ")[2].splitlines()[0]
    assert "\nL4 " in here and "flex_start" in here and "\nCUSTOM " in here
    assert elsewhere.split()[0] == "BASIC_TPU" and "us-west4" in elsewhere


@pytest.mark.minute
@pytest.mark.parametrize(
    ("image", "part"),
    [
        (f"{IMAGES}/tf-cpu.2-17.py310:latest", "2026-07-11"),
        ("docker.io/me/mine:1", "an image of Google's list"),
        ("", "an image of Google's list"),
    ],
)
def test_an_image_that_cannot_run_the_package_is_reported(
    project: Path, image: str, part: str
) -> None:
    executor = swap('kind = "auto"', 'kind = "executor"')
    # The first one is that of [runtime].
    with planted(
        project, JOB, lambda text: executor(text).replace('image = ""', f'image = "{image}"', 1)
    ):
        found = errors(check(project))
    assert part in found[0]
    assert len(found) == 1 or "have TensorFlow 2.17" in found[1]


@pytest.mark.full
@pytest.mark.parametrize("name", COVERED)
def test_no_covered_project_has_a_finding(name: str, baked: dict[str, Path], project: Path) -> None:
    environments = baked[name] / ".nox"
    environments.symlink_to(project / ".nox", target_is_directory=True)
    done = check(baked[name])
    environments.unlink()
    assert done.returncode == 0, done.stderr


@pytest.mark.full
def test_an_environment_that_cannot_be_built_hides_nothing(project: Path) -> None:
    with (
        planted(project, SETUP, swap('"pyarrow>=16"', '"pyarrow>=16", "no-such-package-zz==1"')),
        planted(project, JOB, key("region", '"mars"')),
    ):
        found = errors(check(project))
    assert any("mars" in finding for finding in found)
    assert any("training environment cannot be built" in finding for finding in found)


def test_the_specs_of_every_tier_and_runtime_are_the_golden_ones(baked: dict[str, Path]) -> None:
    made = specs_of(baked["defaults"])
    kept = {path.stem: path.read_text(encoding="utf-8") for path in SPECS.glob("*.json")}
    assert made == kept, "run python -m tests.specs and look at the difference"
