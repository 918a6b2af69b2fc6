"""The commands of this project: `nox -l` lists them, `nox -s NAME -- ARGUMENTS` runs one."""

import hashlib
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

import nox

nox.needs_version = ">=2024.4.15"
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.reuse_venv = "yes"
nox.options.sessions = ["tests", "lint"]

FOLDER = Path(__file__).parent
GROUPS = nox.project.load_toml(FOLDER / "pyproject.toml")["dependency-groups"]
"""What the sessions need."""
TABLES = (FOLDER / "launcher" / "commands" / "commands.json").read_text(encoding="utf-8")
COMMANDS = json.loads(TABLES)["commands"]
"""The commands of the launcher, each of which is a session."""

CI = ("lint", "workflows", "tests")

# If it exists, the environments have exactly these versions, and their hashes are checked.
LOCK = "requirements.lock"

# Longer than the grace period in which the trainer saves a checkpoint after Ctrl-C.
STOP_SECONDS = 20.0

GOOGLE_TABLE = re.compile(r"""(?m)^\s*(train|test)\s*=\s*["']gs://""")
WRITE_STAMP = "import pathlib, sys; pathlib.Path(sys.argv[1]).write_text(sys.argv[2])"


def launch(session: nox.Session) -> None:
    """Run the launcher's command with the session's name."""
    install_if_changed(session, group_of(session), *storage_client(session))
    # Standard error is not merged, so that standard output holds a command's results and nothing else.
    try:
        session.run(
            *("python", "-m", "launcher", session.name, *session.posargs),
            log=False,
            stderr=None,
            env={"LAUNCHER_PARENT": str(os.getpid())},
            interrupt_timeout=STOP_SECONDS,
            terminate_timeout=STOP_SECONDS,
        )
    except nox.command.CommandFailed as error:
        if session.name == "monitor" and (code := re.search("(?<= )[0-9]+$", str(error))):
            raise SystemExit(int(code[0])) from error  # a scheduler needs it; nox ends with 1
        raise


for name, command in COMMANDS.items():
    nox.session(name=name)(launch).__doc__ = command["session"]


@nox.session
def tensorboard(session: nox.Session) -> None:
    """Show the curves of all runs in a browser, to this machine alone; -- --port 6007."""
    install_if_changed(session, "tensorboard")
    session.run("tensorboard", "--logdir", "runs", "--host", "127.0.0.1", *session.posargs)


@nox.session
def tests(session: nox.Session) -> None:
    """Run the tests; arguments after -- go to pytest."""
    install_if_changed(session, "tests", "--editable", ".[evaluate,serve]")
    session.run("python", "-m", "pytest", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Check style, formatting and types."""
    install_if_changed(session, "lint")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("mypy")


@nox.session
def fix(session: nox.Session) -> None:
    """Format the code and apply ruff's safe fixes."""
    install_if_changed(session, "fix")
    session.run("ruff", "check", "--fix", ".")
    session.run("ruff", "format", ".")


@nox.session
def workflows(session: nox.Session) -> None:
    """Check the workflows of .github: errors with actionlint, security with zizmor."""
    if not Path(".github").is_dir():
        session.skip("there is no .github")
    install_if_changed(session, "workflows")
    session.run("actionlint", *map(str, Path(".github", "workflows").glob("*.yml")))
    session.run("zizmor", "--offline", "--quiet", ".github")


@nox.session(venv_backend="none")
def ci(session: nox.Session) -> None:
    """Run what CI runs: lint, workflows and tests."""
    for name in CI:
        session.notify(name)


@nox.session
def lock(session: nox.Session) -> None:
    """Pin everything that setup.py requires, with hashes, in requirements.lock; -- --upgrade takes newer versions."""
    install_if_changed(session, "launcher")
    extras = ("--extra", "evaluate")
    pinned = ("--universal", "--python-version", "3.10", "--generate-hashes", "--output-file", LOCK)
    session.run("uv", "pip", "compile", "--quiet", "setup.py", *extras, *pinned, *session.posargs)


@nox.session
def audit(session: nox.Session) -> None:
    """Scan what requirements.lock pins for known vulnerabilities, and check the workflows; needs the network."""
    if not Path(LOCK).is_file():
        session.error(f"there is no {LOCK}; expected the pinned versions; run `nox -s lock` first")
    session.notify("workflows")
    install_if_changed(session, "audit")
    session.run("pip-audit", "--requirement", LOCK, "--require-hashes", "--disable-pip", "--strict")


def group_of(session: nox.Session) -> str:
    """Return the requirements of a command; Google's client only if it calls Google's APIs."""
    arguments = set(session.posargs)
    calls_google = "calls_google" in COMMANDS[session.name]
    if session.name == "tune" and "--local" in arguments:
        return "studies"
    if calls_google and not arguments & {"--dry-run", "--gcloud", "-h", "--help"}:
        return "cloud"
    return "cloud" if arguments & {"--cloud", "--upload"} else "launcher"


def storage_client(session: nox.Session) -> Iterator[str]:
    """Yield the requirements of reading a table in Cloud Storage, if job.toml names one and this session may prepare it."""
    job = FOLDER / "job.toml"
    text = job.read_text(encoding="utf-8-sig") if job.is_file() else ""
    if "reads_tables" in COMMANDS[session.name] and GOOGLE_TABLE.search(text):
        yield from requirements_of("cloud")


def requirements_of(group: str) -> Iterator[str]:
    """Yield the requirements of a group, and of those that it includes."""
    for each in GROUPS[group]:
        yield from [each] if isinstance(each, str) else requirements_of(each["include-group"])


def install_if_changed(session: nox.Session, group: str, *more: str) -> None:
    """Install what a session needs, if that changed since the last time."""
    requirements = [*more, *requirements_of(group)]
    setup = [Path("setup.py").read_text(encoding="utf-8")] if "--editable" in requirements else []
    wanted = hashlib.sha256("\0".join([*requirements, *setup]).encode()).hexdigest()
    stamp = session.env_dir / "installed.txt"
    if stamp.is_file() and stamp.read_text(encoding="utf-8") == wanted:
        return
    session.log(f"installing what {session.name} needs")
    # Without compiled bytecode every import of TensorFlow takes four seconds longer.
    session.install(*requirements, log=False, env={"UV_COMPILE_BYTECODE": "1"})
    # As an install step, because nox skips those with --no-install.
    session.run_install("python", "-c", WRITE_STAMP, str(stamp), wanted, log=False)
