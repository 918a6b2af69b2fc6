"""Everything that runs on this machine: `python -m launcher.local {prepare,local_train,predict,smoke}`.

Training gets the conditions of the cloud: the built source distribution, installed in a clean environment,
started from another folder.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from launcher.console import Console, Refused, UserError, nearest, shown
from launcher.environment import Environment, ensure_environment
from launcher.imports import absent_modules, import_findings, imports_of
from launcher.job import Data, Job, argument_flags, read_job
from launcher.package import (
    SourceDistribution,
    build_source_distribution,
    data_findings,
    left_out_findings,
    python_files,
    syntax_findings,
)
from launcher.processes import (
    EXIT_INTERRUPTED,
    clean_variables,
    end_children_on_terminate,
    run_captured,
    run_visible,
)
from launcher.runs import choose_job_dir, newest_model

EXIT_USER_ERROR = 2


@dataclass(frozen=True)
class Project:
    """The project's folder and what the launcher keeps in it."""

    folder: Path

    @property
    def job_file(self) -> Path:
        """Where and how the job runs."""
        return self.folder / "job.toml"

    @property
    def runs(self) -> Path:
        """The folders of local runs."""
        return self.folder / "runs"

    @property
    def distributions(self) -> Path:
        """Where the source distribution is built."""
        return self.folder / ".nox" / "dist"

    @property
    def training(self) -> Environment:
        """What the cloud's machine has after it installed the package."""
        folder = self.folder / ".nox" / "runtime"
        takes = "about a minute the first time"
        return Environment(folder, "local", "training environment", takes)

    @property
    def preparation(self) -> Environment:
        """What preparing data needs, which training must not."""
        folder = self.folder / ".nox" / "preparation"
        return Environment(folder, "prepare", "preparation environment", "some seconds")


def parser() -> argparse.ArgumentParser:
    """Return the launcher's command line; what it does not know goes on to the trainer."""
    parser = argparse.ArgumentParser(prog="python -m launcher.local", allow_abbrev=False)
    commands = parser.add_subparsers(dest="command", required=True)
    added = {
        name: commands.add_parser(
            name,
            prog=f"nox -s {name} --",
            description=f"{text} Other arguments go to python -m {module}.",
            allow_abbrev=False,
        )
        for name, (text, module) in DESCRIPTIONS.items()
    }
    for each in added.values():
        each.add_argument("-q", "--quiet", action="store_true", help="warnings and errors only")
        each.add_argument("-v", "--verbose", action="store_true", help="everything, installs too")
    train = added["local_train"]
    train.add_argument("--job-dir", help="where the run is written, instead of the next runs/NNNN")
    train.add_argument("--data-dir", help="prepared data to train on, instead of job.toml's table")
    train.add_argument("--scale-tier", help="the tier to run as, instead of job.toml's")
    added["predict"].add_argument("--model", help="a SavedModel, instead of the newest run's")
    added["predict"].add_argument("--input", help="rows to predict, one JSON object a line")
    return parser


DESCRIPTIONS = {
    "prepare": ("Prepare the table that job.toml names.", "trainer.prepare"),
    "local_train": ("Prepare the data and train on this machine.", "trainer.task"),
    "predict": ("Predict rows with a trained model.", "trainer.predict"),
    "smoke": ("Import the whole package and train one step.", "trainer.task"),
}


def prepare(project: Project, given: argparse.Namespace, rest: list[str], console: Console) -> int:
    """Prepare the data anew."""
    job = read_job(project.job_file)
    distribution = build(project, console)
    return run_prepare(project, job.data, distribution, [*rest, *levels(given)], console)


def local_train(
    project: Project, given: argparse.Namespace, rest: list[str], console: Console
) -> int:
    """Check and install the package, prepare the data if need be, and train."""
    job = read_job(project.job_file)
    say_scale_tier(given.scale_tier or job.cloud.scale_tier, console)
    distribution = build(project, console)
    install_checked(project, distribution, console)
    if given.data_dir:
        data_dir = absolute(given.data_dir, project)
    else:
        data_dir = absolute(job.data.prepared, project)
        code = run_prepare(project, job.data, distribution, ["--reuse", *levels(given)], console)
        if code:
            return code
    return train(project, job, given, data_dir, rest, console)


def smoke(project: Project, given: argparse.Namespace, rest: list[str], console: Console) -> int:
    """Import every module of the installed package and train one step on made-up rows."""
    install_checked(project, build(project, console), console)
    arguments = ["trainer.task", "--smoke-test", *rest, *levels(given)]
    return run_module(project.training, arguments, project.folder)


def predict(project: Project, given: argparse.Namespace, rest: list[str], console: Console) -> int:
    """Print a prediction for each row of a file: one JSON object a line, and nothing else."""
    job = read_job(project.job_file)
    model = absolute(given.model, project) if given.model else str(newest_model(project.runs))
    prepared = absolute(job.data.prepared, project)
    rows = absolute(given.input, project) if given.input else str(Path(prepared, "examples.jsonl"))
    if not given.input and not Path(rows).is_file():
        raise UserError(
            f"{rows} does not exist",
            "the rows that preparing the data sets aside",
            "run nox -s prepare first, or name a file with --input",
        )
    ensure_environment(project.training, build(project, console), console)
    console.step("predict", f"{shown_path(model, project)}, rows of {shown_path(rows, project)}")
    arguments = ["trainer.predict", "--model", model, "--input", rows, *rest]
    return run_module(project.training, arguments, project.folder)


COMMANDS = {"prepare": prepare, "local_train": local_train, "predict": predict, "smoke": smoke}


def build(project: Project, console: Console) -> SourceDistribution:
    """Build the source distribution and say which."""
    distribution = build_source_distribution(project.folder, project.distributions, console)
    console.step("package", f"{distribution.path.name}, {len(distribution.files)} files")
    return distribution


def install_checked(project: Project, distribution: SourceDistribution, console: Console) -> None:
    """Install the package in its clean environment; raise `Refused` with all that would fail there."""
    ensure_environment(project.training, distribution, console)
    found = imports_of(project.folder)
    modules = [each.module for each in found]
    absent = absent_modules(project.training.python, modules, Path(tempfile.gettempdir()))
    findings = [
        *syntax_findings(project.folder),
        *left_out_findings(project.folder, distribution.files),
        *data_findings(project.folder, distribution.files),
        *import_findings(project.folder, found, absent, distribution.declared),
    ]
    if findings:
        raise Refused(findings)
    console.step("check", f"{len(python_files(project.folder))} modules, nothing missing")


def run_prepare(
    project: Project,
    data: Data,
    distribution: SourceDistribution,
    rest: Sequence[str],
    console: Console,
) -> int:
    """Run trainer.prepare on the table that job.toml names; return its exit code."""
    ensure_environment(project.preparation, distribution, console)
    arguments = ["trainer.prepare", "--train", absolute(data.train, project)]
    if data.test:
        arguments += ["--test", absolute(data.test, project)]
    arguments += ["--output", absolute(data.prepared, project)]
    arguments += ["--eval-share", str(data.eval_share)]
    arguments += ["--max-rejected-share", str(data.max_rejected_share)]
    if data.deduplicate:
        arguments.append("--deduplicate")
    return run_module(project.preparation, [*arguments, *rest], project.folder)


def train(
    project: Project,
    job: Job,
    given: argparse.Namespace,
    data_dir: str,
    rest: Sequence[str],
    console: Console,
) -> int:
    """Train in an empty folder far from the project; return the exit code."""
    if given.job_dir:
        job_dir = absolute(given.job_dir, project)
        console.step("train", shown_path(job_dir, project))
    else:
        folder, resumed = choose_job_dir(project.runs)
        job_dir = str(folder)
        note = ", going on where it was stopped (a new run: --job-dir DIR)" if resumed else ""
        console.step("train", f"{shown_path(job_dir, project)}{note}")
    arguments = ["trainer.task", "--data-dir", data_dir, "--job-dir", job_dir]
    arguments += [*argument_flags(job.arguments), *rest, *levels(given)]
    elsewhere = Path(tempfile.mkdtemp(prefix="local-train-"))
    try:
        code = run_module(project.training, arguments, elsewhere, **git_revision(project))
    finally:
        written = sorted(path.name for path in elsewhere.iterdir())
        if not written:
            elsewhere.rmdir()
    if written and code == 0:
        raise UserError(
            f"training wrote {shown(written[0])} into its working folder ({elsewhere})",
            "all outputs below the folder that --job-dir names, because a cloud job loses the others",
            "write to a path below --job-dir",
        )
    return code


def git_revision(project: Project) -> dict[str, str]:
    """Return the variable that tells the trainer, which runs elsewhere, the project's revision."""
    try:
        code, output = run_captured(["git", "rev-parse", "HEAD"], project.folder, clean_variables())
    except OSError:
        return {}
    return {} if code else {"GIT_REVISION": output.strip()}


def run_module(
    environment: Environment, arguments: Sequence[str], folder: Path, **variables: str
) -> int:
    """Run a module of the package installed in `environment`; return its exit code."""
    # Without it a start in the project's folder would import trainer/ from there.
    cleaned = clean_variables(PYTHONSAFEPATH="1", **variables)
    return run_visible([str(environment.python), "-m", *arguments], folder, cleaned)


def say_scale_tier(name: str, console: Console) -> None:
    """Say that a larger tier changes nothing here; raise `UserError` if there is no such tier."""
    facts = json.loads(Path(__file__).with_name("google_cloud.json").read_text(encoding="utf-8"))
    tiers = facts["tiers"]
    if name not in tiers:
        guess = nearest(name, tiers)
        raise UserError(
            f"the scale tier is {shown(name)}",
            f"one of {', '.join(tiers)}",
            f"write {guess}" if guess else "correct scale_tier in job.toml, or --scale-tier",
        )
    if name != "BASIC":
        console.step("tier", f"{name}; on this machine one replica trains, whatever the tier")


def absolute(path: str, project: Project) -> str:
    """Return a path that holds from any folder: relative ones start at the project, URLs and - stay."""
    return path if "://" in path or path == "-" else str(project.folder / Path(path).expanduser())


def shown_path(path: str, project: Project) -> str:
    """Return a path relative to the project where it lies below it."""
    inside = Path(path).is_relative_to(project.folder)
    return Path(path).relative_to(project.folder).as_posix() if inside else path


def levels(given: argparse.Namespace) -> list[str]:
    """Return the options that make the trainer as quiet or as verbose as the launcher."""
    return ["-q"] * given.quiet + ["-v"] * given.verbose


def main(arguments: Sequence[str]) -> int:
    """Run one command in the project of the working folder; return the exit code."""
    end_children_on_terminate()
    given, rest = parser().parse_known_args(arguments)
    console = Console(quiet=given.quiet, verbose=given.verbose)
    try:
        return COMMANDS[given.command](Project(Path.cwd()), given, rest, console)
    except UserError as error:
        console.always(f"error: {error}")
    except Refused as refused:
        for finding in refused.findings:
            console.always(f"error: {finding}")
    except KeyboardInterrupt:
        console.always("stopped")
        return EXIT_INTERRUPTED
    return EXIT_USER_ERROR


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
