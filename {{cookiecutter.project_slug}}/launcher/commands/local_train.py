"""The commands that run on this machine: prepare, local_train, predict, smoke."""

import argparse
import os
from pathlib import Path

from launcher.checks.findings import require_sound
from launcher.commands.prepare import run_prepare
from launcher.console import Console, UserError
from launcher.executors.local.cluster import replicas_of, shrunk
from launcher.executors.local.executor import run_custom_job
from launcher.executors.local.mount import mounted
from launcher.project import Project, build, job_of, levels, run_of
from launcher.run_folders import choose_job_dir
from launcher.spec.custom_job import custom_job_of, data_uri, output_uri
from launcher.spec.job_file import Job

BUCKET_MOUNT = "/gcs"


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
    given_uri = data_uri(job, "given") if given.data_dir else ""
    run = run_of(project, job, distribution, job_dir.name, arguments, given_uri)
    custom_job = custom_job_of(job, run)
    if not given.all_replicas:
        whole, custom_job = custom_job, shrunk(custom_job)
        say_replicas(job, len(replicas_of(whole)), len(replicas_of(custom_job)), console)
    links = {run.data_uri: data_dir, output_uri(job, run.name): job_dir}
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
