"""`nox -s check` in a baked project: each mistake of the catalogue, and kin of it, is told in one line before a job is sent."""

import os
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.bakery import COVERED, bake
from tests.specs import SPECS, specs_of
from tests.test_life import changed, nox

Change = Callable[[str], str]
Plant = tuple[str, str, Change, str]

WARM_SECONDS = 5.0


def put(text: str) -> Change:
    """Return a change that replaces a file."""
    return lambda _: text


def first(text: str) -> Change:
    """Return a change that puts a line before all others."""
    return lambda before: f"{text}\n{before}"


def last(text: str) -> Change:
    """Return a change that adds lines."""
    return lambda before: f"{before}\n{text}\n"


def key(name: str, value: str) -> Change:
    """Return a change that gives a key of job.toml another value."""
    return lambda before: re.sub(rf"(?m)^{name} = .*$", lambda _: f"{name} = {value}", before)


def under(section: str, lines: str) -> Change:
    """Return a change that adds lines to a section of job.toml."""
    return lambda before: before.replace(f"[{section}]\n", f"[{section}]\n{lines}\n")


def swap(old: str, new: str) -> Change:
    """Return a change that replaces a text."""
    return lambda before: before.replace(old, new)


def chief(lines: str) -> Change:
    """Return a change that makes the tier CUSTOM of one chief, and takes it."""
    tier = f"[tiers.CUSTOM.chief]\n{lines}\n"
    return lambda before: key("scale_tier", '"CUSTOM"')(before.partition("[tiers.")[0] + tier)


def tier(name: str, more: Change) -> Change:
    """Return a change of the scale tier and one more."""
    return lambda before: more(key("scale_tier", f'"{name}"')(before))


JOB, SETUP, LAYERS = "job.toml", "setup.py", "trainer/training/layers.py"
IMAGES = "us-docker.pkg.dev/vertex-ai/training"
PARAMETER_SERVER = '[tiers.CUSTOM.parameter_server]\nmachine = "n1-standard-4"'
PODS = '[tiers.POD.chief]\nmachine = "ct5lp-hightpu-4t"\ntpu_topology = "4x4"'
TWO_TPUS = '[tiers.POD.chief]\nmachine = "ct5lp-hightpu-4t"\ntpu_topology = "2x2"\nreplicas = 2'
MANY = "\n".join(f'V{number} = ""' for number in range(101))

PLANTS: list[Plant] = [
    ("1", "trainer/sub/x.py", put(""), "create trainer/sub/__init__.py"),
    ("1 package", "trainer/a/b/x.py", put(""), "create trainer/a/__init__.py"),
    ("2", LAYERS, first("import pandas"), 'add "pandas" to install_requires'),
    ("2 lazy", LAYERS, last("def f():\n    import sklearn"), 'add "scikit-learn"'),
    ("2 extra", LAYERS, first("import duckdb"), "import it inside the function"),
    ("3", LAYERS, first("import model"), 'write "from trainer import model"'),
    ("3 from", LAYERS, first("from model import x"), 'write "from trainer import model"'),
    ("5", SETUP, swap("==2.21.*", "==2.15.*"), "the job's machines have TensorFlow 2.21"),
    ("5 range", SETUP, swap("==2.21.*", ">=2.10,<2.19"), "TensorFlow 2.21"),
    ("5 required", SETUP, swap('"numpy>=1.26"', '"numpy", "tensorflow"'), 'EXTRAS["local"]'),
    ("7", JOB, key("module", '"trainer.tusk"'), "write trainer.task"),
    ("7 path", JOB, key("module", '"trainer/task.py"'), "write trainer.task"),
    ("7 no entry", JOB, key("module", '"trainer.training.layers"'), "does nothing when it is started"),
    ("8", LAYERS, last("print('hello')"), "code runs when the module is imported"),
    ("8 trains", LAYERS, last("import keras\nkeras.Model().fit([1])"), "code runs when"),
    ("8 reads", LAYERS, last("with open('t.csv') as file:\n    ROWS = file.read()"), "code runs"),
    ("8-hidden", LAYERS, last("def rows():\n    return open('/x.csv').read()\nROWS = rows()"), "reads /x.csv"),
    ("8 network", LAYERS, last("import socket\nHOST = socket.getaddrinfo('a.example', 80)"), "network"),
    ("8 program", LAYERS, last("import subprocess\nX = subprocess.Popen(['ls'])"), "starts a program"),
    ("8 fails", LAYERS, last("X = UNDEFINED"), "fails with NameError"),
    ("8 ends", LAYERS, last("import sys\nX = sys.exit(0)"), "ends the process"),
    ("9", JOB, key("epochs", "3\nepoch_count = 3"), "trainer.task has no flag --epoch-count"),
    ("9 spelling", JOB, swap("learning_rate =", "learning_rat3 ="), "write learning_rate"),
    ("9 type", JOB, key("learning_rate", '"fast"'), "is no number from 0"),
    ("9 whole", JOB, key("epochs", "1.5"), "is no whole number"),
    ("9 false", JOB, key("epochs", "3\nshufle = false"), "has no flag --shufle"),
    ("10", JOB, swap("parameters.learning_rate]", "parameters.learning_rat3]"), "write learning_rate"),
    ("10 value", JOB, swap('["64,32", ', '["64;32", '), "is no whole number"),
    ("10 bound", JOB, swap("max = 0.5", "max = 1.5"), "is no share from 0 to below 1"),
    ("10 scale", JOB, swap("min = 0.0005", "min = 0.0"), "values above 0 for a logarithm"),
    ("10 type", JOB, swap('type = "categorical"', 'type = "category"'), "one of double, integer"),
    ("10 condition", JOB, swap("max = 0.5", "max = 0.5\nwhen = { ensembel = [1] }"), "another parameter of the study"),
    ("12", JOB, under("arguments", f'hidden_units = "{"8," * 60_000}8"'), "at most 100,000"),
    ("12 entries", JOB, under("environment", MANY), "101 entries"),
    ("12 label", JOB, under("labels", 'Team = "a"'), "lower-case letters"),
    ("12 name", JOB, key("name", f'"{"n" * 129}"'), "at most 128"),
    ("13", JOB, key("region", '"us-centrall"'), "write us-central1"),
    ("13 zone", JOB, key("region", '"us-central1-a"'), "write us-central1"),
    ("13 accelerator", JOB, tier("L4", key("region", '"asia-east1"')), "asia-south1"),
    ("14", JOB, chief('machine = "n1-highcpu-8"'), "does not accept the machine"),
    ("14 count", JOB, chief('machine = "n1-standard-8"\naccelerator = "NVIDIA_TESLA_T4"\naccelerator_count = 3'), "1 or 2 or 4"),
    ("14 family", JOB, chief('machine = "e2-standard-8"\naccelerator = "NVIDIA_TESLA_T4"\naccelerator_count = 1'), "n1-standard-4"),
    ("15", JOB, chief('machine = "n1-standard-8"\naccelerator = "NVIDIA_TESLA_K80"\naccelerator_count = 1'), "write NVIDIA_TESLA_T4"),
    ("15 spelling", JOB, chief('machine = "n1-standard-8"\naccelerator = "nvidia-tesla-p100"\naccelerator_count = 1'), "write NVIDIA_TESLA_V100"),
    ("16", JOB, tier("POD", last(TWO_TPUS)), "one pool of one replica"),
    ("16 spot", JOB, tier("POD", lambda before: key("strategy", '"spot"')(before) + PODS), "a TPU of one host"),
    ("16 flex", JOB, key("strategy", '"flex_start"'), "none of its accelerators"),
    ("16 servers", JOB, tier("CUSTOM", last(PARAMETER_SERVER)), "all-reduce"),
    ("16 reserved", JOB, key("reservation", '"mine"'), "projects/PROJECT/zones"),
    ("17", JOB, key("kind", '"stok"'), "write stock"),
    ("17 tpu", JOB, tier("BASIC_TPU", key("kind", '"stock"')), "an image of your own"),
    ("18", JOB, key("timeout", '"1 week"'), "a whole number with s, m, h or d"),
    ("18 zero", JOB, key("timeout", '"0h"'), "more than 0"),
    ("18 long", JOB, key("timeout", '"8d"'), "at most 7d"),
    ("18 tier", JOB, key("scale_tier", '"BASIK"'), "write BASIC"),
    ("19", JOB, key("bucket", '"goog-data"'), "start with goog"),
    ("19 word", JOB, key("bucket", '"my-google-data"'), "without the word google"),
    ("19 address", JOB, key("bucket", '"192.168.5.4"'), "IP address"),
    ("19 capitals", JOB, key("bucket", '"My-Data"'), "lower-case"),
    ("19 scheme", JOB, key("bucket", '"gs://my-data"'), "without gs://"),
    ("19 length", JOB, key("bucket", f'"{"b" * 64}"'), "3 to 63"),
    ("23", JOB, under("environment", 'TABLE = "/home/me/t.csv"'), "a gs:// address"),
    ("23 relative", JOB, under("environment", 'TABLE = "data/adult.data.gz"'), "a gs:// address"),
]  # fmt: skip


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project baked with defaults, its environments made."""
    project = bake(tmp_path_factory.mktemp("checks"), {})
    done = nox(project, "check")
    assert done.returncode == 0, done.stderr[-4000:]
    return project


def check(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the check as nox does, in the environment that nox made."""
    python = project / ".nox" / "check" / "bin" / "python"
    variables = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    command = [str(python), "-m", "launcher", "check", *arguments]
    return subprocess.run(
        command, cwd=project, env=variables, capture_output=True, text=True, check=False
    )


def errors(done: subprocess.CompletedProcess[str]) -> list[str]:
    """Return the findings of a check that failed as it should."""
    assert done.returncode == 2, done.stdout + done.stderr
    assert "Traceback" not in done.stderr and not done.stdout
    return [line for line in done.stderr.splitlines() if line.startswith("error: ")]


def planted(project: Path, name: str, change: Change) -> ExitStack:
    """Plant a mistake for a while."""
    path, stack = project / name, ExitStack()
    before = path.read_text(encoding="utf-8") if path.is_file() else ""
    if not path.parent.is_dir():
        path.parent.parent.mkdir(exist_ok=True)
    assert change(before) != before or name.startswith("trainer/")
    stack.enter_context(changed(path, change(before)))
    return stack


def speed(name: str) -> pytest.MarkDecorator:
    """Return the marker of a mistake: the kin of one takes its place in the full tests only."""
    return pytest.mark.full if " " in name else pytest.mark.minute


@pytest.mark.parametrize(
    ("name", "change", "part"),
    [pytest.param(*plant[1:], id=plant[0], marks=speed(plant[0])) for plant in PLANTS],
)
def test_a_mistake_is_told_in_one_line(project: Path, name: str, change: Change, part: str) -> None:
    with planted(project, name, change):
        [finding] = errors(check(project))
    assert part in finding
    assert finding.count("; ") >= 2


@pytest.fixture
def older(project: Path) -> Iterator[None]:
    """Make the machines of the job run Python 3.10."""
    path = project / "launcher" / "spec" / "google_cloud.json"
    text = path.read_text(encoding="utf-8")
    with changed(path, text.replace('"2.21", "python": "3.11"', '"2.21", "python": "3.10"')):
        yield


NEWER = [
    ("6", "import tomllib", "tomllib is new in Python 3.11"),
    ("6 name", "from datetime import UTC", "datetime.UTC is new"),
    ("6 attribute", "import enum\nclass A(enum.StrEnum):\n    B = 'b'", "enum.StrEnum is new"),
    ("6 syntax", "def f():\n    try:\n        g()\n    except* ValueError:\n        h()", "syntax"),
]


@pytest.mark.usefixtures("older")
@pytest.mark.parametrize(
    ("text", "part"),
    [pytest.param(*newer[1:], id=newer[0], marks=speed(newer[0])) for newer in NEWER],
)
def test_what_the_machines_python_does_not_have(project: Path, text: str, part: str) -> None:
    with planted(project, LAYERS, last(text)):
        [finding] = errors(check(project))
    assert part in finding and "Python 3.10" in finding


@pytest.mark.minute
def test_the_command_line_is_checked_like_job_toml(project: Path) -> None:
    for arguments, part in (
        (("--epohcs", "3"), "write --epochs"),
        (("--epochs", "many"), "is no whole number"),
        (("--hidden-units=/home/me/x",), "a gs:// address"),
        (("--region", "mars"), "there is no training in the region"),
        (("--scale-tier", "B200", "--region", "me-west1"), "us-west3"),
    ):
        assert part in errors(check(project, *arguments))[0]


@pytest.mark.minute
def test_all_mistakes_are_told_at_once(project: Path) -> None:
    with (
        planted(project, JOB, lambda text: key("bucket", '"goog-x"')(key("timeout", '"0h"')(text))),
        planted(project, SETUP, swap("==2.21.*", "==2.15.*")),
        planted(project, LAYERS, first("import pandas")),
        planted(project, "trainer/sub/x.py", put("")),
    ):
        found = errors(check(project))
    assert len(found) == 5


@pytest.mark.minute
def test_a_sound_project_is_checked_within_seconds(project: Path) -> None:
    assert check(project).returncode == 0
    started = time.monotonic()
    done = check(project)
    assert done.returncode == 0, done.stderr
    assert time.monotonic() - started < WARM_SECONDS
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
def test_an_image_that_runs_no_package(project: Path, image: str, part: str) -> None:
    executor = swap('kind = "auto"', 'kind = "executor"')
    with planted(project, JOB, lambda text: key("image", f'"{image}"')(executor(text))):
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
