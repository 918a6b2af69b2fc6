"""The commands that run on this machine: prepare, local_train, predict, smoke."""

import argparse
import contextlib
import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from launcher import spec
from launcher.checks import require_sound
from launcher.cluster import replicas_of, shrunk
from launcher.console import Console, UserError
from launcher.environment import Environment, ensure_environment
from launcher.job import Data, Job
from launcher.local import run_custom_job
from launcher.package import SourceDistribution
from launcher.processes import clean_variables, run_visible
from launcher.project import Project, build, job_of, levels, run_of
from launcher.runs import choose_job_dir, newest_model

BUCKET_MOUNT = "/gcs"


def prepare(project: Project, given: argparse.Namespace, rest: list[str], console: Console) -> int:
    """Prepare the data anew; with --upload, send it to the bucket unless it is there already."""
    job = job_of(project, given)
    distribution = build(project, console)
    if not given.upload:
        return run_prepare(project, job.data, distribution, [*rest, *levels(given)], console)
    code = run_prepare(project, job.data, distribution, ["--reuse", *rest, *levels(given)], console)
    if code:
        return code
    from launcher.bucket import upload_prepared

    return upload_prepared(project, job, console)


def local_train(
    project: Project, given: argparse.Namespace, rest: list[str], console: Console
) -> int:
    """Check and install the package, prepare the data if need be, and run the job on this machine."""
    job = job_of(project, given)
    distribution = build(project, console)
    require_sound(project, job, distribution, rest, console)
    data_dir = Path(on_this_machine(given.data_dir or job.data.prepared, project))
    if not given.data_dir:
        code = run_prepare(project, job.data, distribution, ["--reuse", *levels(given)], console)
        if code:
            return code
    job_dir = job_folder(project, given, console)
    arguments = [*rest, *levels(given)]
    data_uri = spec.data_uri(job, "given") if given.data_dir else ""
    run = run_of(project, job, distribution, job_dir.name, arguments, data_uri)
    custom_job = spec.custom_job(job, run)
    if not given.all_replicas:
        whole, custom_job = custom_job, shrunk(custom_job)
        say_replicas(job, len(replicas_of(whole)), len(replicas_of(custom_job)), console)
    links = {run.data_uri: data_dir, spec.output_uri(job, run.name): job_dir}
    with mounted(links) as mount:
        python = project.training.python
        return run_custom_job(custom_job, python, mount, console, given.preempt)


def job_folder(project: Project, given: argparse.Namespace, console: Console) -> Path:
    """Return the folder that the run writes to, made if need be: the named one, a stopped run's, or the next."""
    if given.job_dir:
        folder, note = Path(on_this_machine(given.job_dir, project)), ""
    else:
        folder, resumed = choose_job_dir(project.runs)
        note = ", going on where it was stopped (a new run: --job-dir DIR)" if resumed else ""
    console.step("train", f"{project.shown_path(folder)}{note}")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"the job folder {folder} cannot be made ({error.strerror})",
            "a folder that this process may write",
            "name another --job-dir",
        ) from error
    return folder


def on_this_machine(path: str, project: Project) -> str:
    """Return a path that holds from any folder; gs://bucket/x lies below the mount of Cloud Storage."""
    if path.startswith("gs://"):
        return f"{os.environ.get('GCS_ROOT', BUCKET_MOUNT)}/{path.removeprefix('gs://')}"
    return project.absolute(path)


def say_replicas(job: Job, whole: int, here: int, console: Console) -> None:
    """Say how a job of several replicas runs on one machine."""
    if whole == 1:
        return
    fewer = f", {here} of its {whole} replicas (all: --all-replicas)" if here < whole else ""
    console.step("tier", f"{job.cloud.scale_tier}{fewer}; {here} processes share this machine")


@contextlib.contextmanager
def mounted(links: dict[str, Path]) -> Iterator[Path]:
    """Give a folder that stands for the mount of Cloud Storage, with folders of this machine at gs:// addresses."""
    with tempfile.TemporaryDirectory(prefix="gcs-") as name:
        for address, folder in links.items():
            link = Path(name) / address.removeprefix("gs://")
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(folder, target_is_directory=True)
        yield Path(name)


def smoke(project: Project, given: argparse.Namespace, rest: list[str], console: Console) -> int:
    """Import every module of the installed package and train one step on made-up rows."""
    distribution = build(project, console)
    require_sound(project, job_of(project, given), distribution, [], console)
    arguments = ["trainer.task", "--smoke-test", *rest, *levels(given)]
    return run_module(project.training, arguments, project.folder)


def predict(project: Project, given: argparse.Namespace, rest: list[str], console: Console) -> int:
    """Print a prediction for each row of a file: one JSON object a line, and nothing else."""
    job = job_of(project, given)
    model = project.absolute(given.model) if given.model else str(newest_model(project.runs))
    prepared = project.absolute(job.data.prepared)
    rows = project.absolute(given.input) if given.input else str(Path(prepared, "examples.jsonl"))
    if not given.input and not Path(rows).is_file():
        raise UserError(
            f"{rows} does not exist",
            "the rows that preparing the data sets aside",
            "run nox -s prepare first, or name a file with --input",
        )
    ensure_environment(project.training, build(project, console), console)
    console.step("predict", f"{project.shown_path(model)}, rows of {project.shown_path(rows)}")
    arguments = ["trainer.predict", "--model", model, "--input", rows, *rest]
    return run_module(project.training, arguments, project.folder)


def run_prepare(
    project: Project,
    data: Data,
    distribution: SourceDistribution,
    rest: Sequence[str],
    console: Console,
) -> int:
    """Run trainer.prepare on the table that job.toml names; return its exit code."""
    ensure_environment(project.preparation, distribution, console)
    arguments = ["trainer.prepare", "--train", project.absolute(data.train)]
    if data.test:
        arguments += ["--test", project.absolute(data.test)]
    arguments += ["--output", project.absolute(data.prepared)]
    arguments += ["--eval-share", str(data.eval_share)]
    arguments += ["--max-rejected-share", str(data.max_rejected_share)]
    if data.deduplicate:
        arguments.append("--deduplicate")
    return run_module(project.preparation, [*arguments, *rest], project.folder)


def run_module(environment: Environment, arguments: Sequence[str], folder: Path) -> int:
    """Run a module of the package installed in `environment`; return its exit code."""
    # Without it a start in the project's folder would import trainer/ from there.
    cleaned = clean_variables(PYTHONSAFEPATH="1")
    return run_visible([str(environment.python), "-m", *arguments], folder, cleaned)
